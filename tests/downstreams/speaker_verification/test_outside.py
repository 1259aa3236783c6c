"""Score files of any program, judged by a list of trials."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toys.voices import written
from typer.testing import CliRunner

from audiossl.cli.main import add_commands_of_tasks, app
from audiossl.core.errors import LabelError, ManifestError
from audiossl.downstreams.speaker_verification.outside import judge_scores, read_speakers
from audiossl.downstreams.speaker_verification.score_files import FILES, write_scores
from audiossl.metrics.verification import Sides, verification_metrics

NAMES = [f"s{speaker}-{take}.wav" for speaker in range(4) for take in range(3)]
PAIRS = [(a, b, a[:2] == b[:2]) for a in NAMES for b in NAMES if a < b]
SCORES = [2.0 * same + (number % 7) / 2 - 2 for number, (_, _, same) in enumerate(PAIRS)]


def trials(folder: Path) -> Path:
    return Path(written(folder, "".join(f"{int(same)} {a} {b}\n" for a, b, same in PAIRS)))


@pytest.mark.parametrize("form", FILES)
def test_the_metrics_are_those_of_the_scores_in_every_form(form: str, tmp_path: Path) -> None:
    rows = [{"enrol": a, "test": b, "score": s, "llr": None} for (a, b, _), s in zip(PAIRS, SCORES, strict=True)]
    scores = write_scores(tmp_path, form, rows[::-1])
    speakers = Path(written(tmp_path, "".join(f"{name} {name[:2]}\n" for name in NAMES), "utt2spk"))
    found = judge_scores(scores, trials(tmp_path), speakers, ratios=True)
    sides = [a[:2] for a, _, _ in PAIRS], [b[:2] for _, b, _ in PAIRS], "speaker"
    assert found.metrics == verification_metrics(SCORES, [same for *_, same in PAIRS], Sides(*sides), SCORES)
    assert found.metrics["eer"].num_clusters == 4
    plain = judge_scores(scores, trials(tmp_path))
    assert plain.metrics["eer"].value == found.metrics["eer"].value
    assert plain.metrics["eer"].cluster == "recording"
    assert "cllr" not in plain.metrics
    assert plain.facts["num_target_trials"] == 12


def test_the_command_prints_figures_and_how_cllr_is_had(tmp_path: Path) -> None:
    rows = "".join(f"{score} {a} {b}\n" for (a, b, _), score in zip(PAIRS, SCORES, strict=True))
    command = ["score-trials", written(tmp_path, rows, "scores.txt"), "--trials", str(trials(tmp_path))]
    add_commands_of_tasks()
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0, shown.output
    assert shown.stdout.startswith("eer (%)")
    assert "12 trials of one speaker, 54 of two" in shown.stdout
    assert "--ratios" in shown.stdout
    told = json.loads(CliRunner().invoke(app, [*command, "--ratios", "--json"]).stdout)
    assert told["metrics"]["cllr"]["value"] > told["min_cllr"]


def test_what_cannot_be_judged_is_named(tmp_path: Path) -> None:
    listed = trials(tmp_path)
    some = Path(written(tmp_path, "0.5 s0-0.wav s0-1.wav\n", "scores.txt"))
    with pytest.raises(ManifestError, match=r"has no score of 65 of the 66 trials, .* line 2: s0-0.wav s0-2.wav"):
        judge_scores(some, listed)
    one = Path(written(tmp_path, "1 s0-0.wav s0-1.wav\n", "one.txt"))
    with pytest.raises(LabelError, match="are of one speaker; add the other kind"):
        judge_scores(some, one)
    with pytest.raises(ManifestError, match="line 1 is not `recording speaker`"):
        read_speakers(Path(written(tmp_path, "a b c\n", "utt2spk")), NAMES)
    with pytest.raises(ManifestError, match="none of the 12 names of the trials, 's0-0.wav' for instance"):
        read_speakers(Path(written(tmp_path, "a b\n", "utt2spk")), NAMES)
