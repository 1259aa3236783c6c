"""Lists of trials and enrolments, all pairs, and what is wrong with them."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import numpy as np
import pytest
from toys.voices import (
    Config,
    cut_of,
    toy_task,
    written,
)

from audiossl.core.errors import ConfigError, LabelError, ManifestError
from audiossl.downstreams.speaker_verification.task import SpeakerVerification
from audiossl.downstreams.speaker_verification.trials import (
    all_pairs,
    check_pairs,
    listed_pairs,
    read_enrolment,
    read_trials,
    scores_of,
)


def test_lists_in_both_forms(tmp_path: Path) -> None:
    voxceleb = read_trials(written(tmp_path, "1 a b\n\n0 a c\n"))
    kaldi = read_trials(written(tmp_path, "a b target\na c nontarget\n", "kaldi"))
    assert [trial[:3] for trial in voxceleb] == [trial[:3] for trial in kaldi] == [(True, "a", "b"), (False, "a", "c")]
    assert voxceleb[1].where.endswith("trials.txt line 3")
    marked = read_trials(written(tmp_path, "\ufeff1\ta b.wav\tc\r\n0\ta d\n", "windows"))
    assert [trial[:3] for trial in marked] == [(True, "a b.wav", "c"), (False, "a", "d")]


@pytest.mark.parametrize(
    ("text", "named"),
    [("1 a b\n2 a b\n", "line 2 is not a trial: '2 a b'"), ("1 a\n", "line 1 is not a trial"), (" \n", "is empty")],
)
def test_wrong_lines_are_named(text: str, named: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=named):
        read_trials(written(tmp_path, text))


def test_lists_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"There is no trial list .*nothing.txt"):
        read_trials(tmp_path / "nothing.txt")
    (tmp_path / "audio.bin").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ManifestError, match="is not text in utf-8"):
        read_trials(tmp_path / "audio.bin")
    with pytest.raises(ManifestError, match="line 1 has no recording for the model 'm'"):
        read_enrolment(written(tmp_path, "m\n", "e"))
    with pytest.raises(ManifestError, match=r"line 2 enrols 'm' again .*line 1"):
        read_enrolment(written(tmp_path, "m a\nm b\n", "e"))
    with pytest.raises(ManifestError, match=r"There is no trial list .*nothing.txt"):  # before any training
        SpeakerVerification.complete(Config(trials={"test": str(tmp_path / "nothing.txt")}), [])


def test_names_are_ids_with_or_without_suffix_or_paths(tmp_path: Path) -> None:
    ids, paths = ["x/1", "x/2", "y"], [str(tmp_path / "1.wav"), str(tmp_path / "2.wav"), None]
    trials = read_trials(written(tmp_path, f"1 x/1.wav x/2\n0 y {tmp_path}/2.wav\n"))
    pairs = listed_pairs(trials, {}, ids, paths, "test")
    assert [pairs.models[place] for place in pairs.enrol] == [[0], [2]]
    assert pairs.test.tolist() == [1, 1]
    assert pairs.target.tolist() == [True, False]
    trials = read_trials(written(tmp_path, "1 y y\n1 y z.wav\n"))
    with pytest.raises(ManifestError, match=r"trials.txt line 2 names 'z.wav', which is no item of test .*'x/1'"):
        listed_pairs(trials, {}, ids, paths, "test")
    both = [str(tmp_path / "1.wav")] * 2
    trials = read_trials(written(tmp_path, f"1 a {tmp_path}/1.wav\n"))
    with pytest.raises(ManifestError, match=r"line 1 names .*2 items of test are parts"):
        listed_pairs(trials, {}, ["a", "b"], both, "test")


def test_enrolment_is_the_mean_of_normalised_embeddings(tmp_path: Path) -> None:
    models = read_enrolment(written(tmp_path, "m a b\n", "models"))
    pairs = listed_pairs(read_trials(written(tmp_path, "1 m c\n0 a c\n")), models, ["a", "b", "c"], [None] * 3, "test")
    assert pairs.names == ["m", "a"]
    vectors = np.array([[10.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    np.testing.assert_allclose(scores_of(pairs, vectors), [1.0, np.sqrt(0.5)])
    wrong = read_enrolment(written(tmp_path, "m a q\n", "models"))
    trials = read_trials(written(tmp_path, "1 m c\n"))
    with pytest.raises(ManifestError, match=r"models line 1 names 'q'"):
        listed_pairs(trials, wrong, ["a", "b", "c"], [None] * 3, "test")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1 a b\n1 b a\n0 a c\n", "1 of the 3 trials of L are in the list before, first .*line 2"),
        ("1 a b\n0 a c\n1 c c\n", "1 of the 3 trials of L compare a recording with itself, first .*line 3"),
        ("1 a b\n0 a c\n0 b d\n1 b c\n", "1 of the 4 trials of L contradict the speakers .*, first .*line 4"),
        ("1 a b\n0 a c\n0 b d\n", ""),
    ],
)
def test_doubtful_trials_are_counted(text: str, told: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ids, speakers = list("abcd"), ["s", "s", "t", None]
    pairs = listed_pairs(read_trials(written(tmp_path, text)), {}, ids, [None] * 4, "test")
    with caplog.at_level(logging.WARNING):
        check_pairs(pairs, speakers, "test", "L")
    assert re.search(told, caplog.text) if told else caplog.text == ""


def test_contradictory_lists_are_refused(tmp_path: Path) -> None:
    ids, speakers = list("abc"), ["s", "s", "t"]
    twice = listed_pairs(read_trials(written(tmp_path, "1 a b\n0 a c\n0 b a\n")), {}, ids, [None] * 3, "test")
    with pytest.raises(LabelError, match=r"line 3 contradicts .*line 1: the same two are of one speaker and of two"):
        check_pairs(twice, speakers, "test", "L")
    turned = listed_pairs(read_trials(written(tmp_path, "0 a b\n1 a c\n")), {}, ids, [None] * 3, "test")
    with pytest.raises(LabelError, match=r"2 of the 2 trials of L contradict the speakers .*1 is for one speaker"):
        check_pairs(turned, speakers, "test", "L")


def test_cosine_of_a_zero_embedding_is_zero() -> None:
    pairs = all_pairs(["a", "b"], ["s", "s"], "dev", 10)
    assert scores_of(pairs, np.array([[0.0, 0.0], [1.0, 0.0]])).tolist() == [0.0]


def test_all_pairs_and_their_bound() -> None:
    pairs = all_pairs(["a", "b", "c"], ["s", "t", "s"], "dev", 3)
    found = [(pairs.names[e], int(t), bool(same)) for e, t, same in zip(*pairs[2:5], strict=True)]
    assert found == [("a", 1, False), ("a", 2, True), ("b", 2, False)]
    with pytest.raises(ConfigError, match=r"3 items of dev make 3 pairs, more than task.max_pairs=2"):
        all_pairs(["a", "b", "c"], ["s", "t", "s"], "dev", 2)
    with pytest.raises(LabelError, match=r"'b' of dev has no speaker"):
        all_pairs(["a", "b"], ["s", None], "dev", 9)


def test_splits_without_both_kinds_of_trials(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    task = toy_task()
    with pytest.raises(LabelError, match="3 items of dev make no trials of both kinds, for no speaker has two"):
        task.check_split([cut_of(number, speaker) for number, speaker in enumerate("abc")], "dev")
    with pytest.raises(LabelError, match="for all are of one speaker"):
        task.check_split([cut_of(number, "a") for number in range(3)], "test")
    with caplog.at_level(logging.WARNING):
        task.check_split([cut_of(number, speaker) for number, speaker in enumerate("aabc")], "dev")
    assert "2 speakers of dev have one recording" in caplog.text
    listed = toy_task(trials={"test": written(tmp_path, "0 item-0 item-1\n0 item-1 item-0\n")})
    with pytest.raises(LabelError, match=r"All 2 trials of .*trials.txt are of two speakers"):
        listed.check_split([cut_of(0, "a"), cut_of(1, "b")], "test")
    with pytest.raises(ManifestError, match=r"line 1 names 'item-0', which is no item of test"):
        listed.check_split([cut_of(1, "b"), cut_of(2, "b")], "test")
    with pytest.raises(ConfigError, match=r"task.enrolment.dev needs the trials"):
        toy_task(enrolment={"dev": "x"}).check_split([cut_of(0, "a"), cut_of(1, "b")], "dev")
