"""Trials of a split, and what is said of them once they are scored."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from toys.voices import Config, written

from audiossl.core.errors import ConfigError
from audiossl.downstreams.speaker_verification.judging import TrialJudge, pairs_among, trial_rows
from audiossl.downstreams.speaker_verification.scoring import Judged
from audiossl.metrics.calibration import Calibration

ROWS = [
    {"id": name, "speaker": name[0], "audio": {"path": f"/{name}.wav", "start_s": 0.0, "duration_s": 1.0}}
    for name in ("a1", "a2", "b1", "b2")
]


def test_all_pairs_a_list_and_an_enrolment_without_trials(tmp_path: Path) -> None:
    assert len(pairs_among(Config(), ROWS, "test").test) == 6
    listed = dataclasses.replace(Config(), trials={"test": written(tmp_path, "1 a1 a2\n0 a1 b1\n")})
    assert pairs_among(listed, ROWS, "test").target.tolist() == [True, False]
    with pytest.raises(ConfigError, match="task.enrolment.test needs the trials of its models"):
        pairs_among(dataclasses.replace(Config(), enrolment={"test": "models.txt"}), ROWS, "test")


def test_rows_metrics_facts_and_the_score_file(tmp_path: Path) -> None:
    pairs = pairs_among(Config(), ROWS, "test")
    scores = np.where(pairs.target, 0.9, 0.1)
    scores[1] = 0.95  # a1 and b1: the error that is most sure
    rows = trial_rows(pairs, ROWS, Judged(scores, 4 * scores - 2))
    assert rows[1]["audio_test"]["path"] == "/b1.wav"
    judge = TrialJudge(Calibration(4, -2), score_file="voxceleb")
    assert judge.score(rows)["eer"].value == pytest.approx(0.25, abs=0.1)
    facts = judge.facts(rows)
    assert (facts["num_target_trials"], facts["scoring"]) == (2, {"backend": "cosine"})
    judge.write_files(tmp_path, rows)
    assert (tmp_path / "scores.txt").read_text().splitlines()[0].endswith(" a1 a2")
    TrialJudge(None).write_files(tmp_path / "none", rows)
    assert not (tmp_path / "none").exists()
