"""Score files of three forms, out and in, and NIST's tables."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys.voices import written

from audiossl.core.errors import ConfigError, ManifestError
from audiossl.downstreams.speaker_verification.score_files import FILES, read_scores, write_scores
from audiossl.downstreams.speaker_verification.trials import read_enrolment, read_trials

TRIALS = [
    {"enrol": "ann-1", "test": "bob-2", "score": 0.25, "llr": -3.5},
    {"enrol": "ann-1", "test": "ann-3", "score": 0.5, "llr": None},
]


@pytest.mark.parametrize("form", FILES)
def test_what_is_written_is_read_again(form: str, tmp_path: Path) -> None:
    path = write_scores(tmp_path, form, TRIALS)
    assert read_scores(path) == {("ann-1", "bob-2"): -3.5, ("ann-1", "ann-3"): 0.5}
    if form == "nist":
        assert path.read_text().splitlines()[:2] == ["modelid\tsegmentid\tside\tLLR", "ann-1\tbob-2\ta\t-3.5"]


def test_names_that_are_numbers_and_names_with_blanks(tmp_path: Path) -> None:
    assert read_scores(written(tmp_path, "0.5 1 2\n1.5 1 3\n")) == {("1", "2"): 0.5, ("1", "3"): 1.5}
    assert read_scores(written(tmp_path, "1 2 0.5\n1 3 1.5\n")) == {("1", "2"): 0.5, ("1", "3"): 1.5}
    blank = [{"enrol": "ann 1", "test": "b", "score": 1.0, "llr": None}]
    with pytest.raises(ConfigError, match="blank in a name, for which a kaldi score file"):
        write_scores(tmp_path, "kaldi", blank)
    assert read_scores(write_scores(tmp_path, "nist", blank)) == {("ann 1", "b"): 1.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a b\n", "line 1 has not three words"),
        ("a b c\n", "line 1 is no score"),
        ("a b 1\na b 2\n", "line 2 scores a b again"),
        ("modelid\tsegmentid\tLLR\na\tb\n", "line 2 has 2 cells, and the header 3"),
    ],
)
def test_wrong_files_are_named_by_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=message):
        read_scores(written(tmp_path, text, "scores.txt"))


def test_keys_and_enrolments_of_nist(tmp_path: Path) -> None:
    key = written(tmp_path, "modelid\tsegmentid\tside\ttargettype\nm1\ts1.sph\ta\ttarget\nm1\ts2.sph\ta\tnontarget\n")
    assert [trial[:3] for trial in read_trials(key)] == [(True, "m1", "s1.sph"), (False, "m1", "s2.sph")]
    models = read_enrolment(written(tmp_path, "modelid\tsegment\nm1\te1\nm2\te9\nm1\te2\n", "enrol.tsv"))
    assert {name: items for name, (items, _) in models.items()} == {"m1": ["e1", "e2"], "m2": ["e9"]}
    with pytest.raises(ManifestError, match="line 2 does not say whether it is of one speaker"):
        read_trials(written(tmp_path, "modelid\tsegmentid\tside\nm1\ts1\ta\n"))
