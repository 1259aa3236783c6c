"""PSDS of rows: the filter, what is kept of predictions, and rows that cannot be scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lhotse import CutSet
from toys.events import detector, rows_of, write_field

from audiossl.core.errors import ConfigError, LabelError
from audiossl.data.loader import collate
from audiossl.downstreams.bioacoustic_events.all_thresholds import behind_filter, check_short
from audiossl.downstreams.bioacoustic_events.decisions import THRESHOLDS, EventRule
from audiossl.metrics.jackknife import no_intervals


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> CutSet:
    folder = tmp_path_factory.mktemp("field")
    return rows_of(write_field(folder, 3), folder).to_eager()


def test_the_filter_is_that_of_the_decisions_at_every_threshold() -> None:
    probabilities = np.random.default_rng(0).uniform(size=(60, 2)).round(2)
    rules = [EventRule(median_s=0.05), EventRule()]
    found = np.array(behind_filter(probabilities, rules, 0.01)).T
    assert np.array_equal(found[:, 1], probabilities[:, 1])
    for threshold in THRESHOLDS:
        rule = EventRule(threshold, 0.05)
        assert np.array_equal(found[:, 0] >= threshold, rule.active(probabilities[:, 0], 0.01))


def test_frames_that_know_the_truth_have_a_psds_of_one(rows: CutSet) -> None:
    task = detector(psds=True, median_s=0.0)
    predictions: list[dict[str, Any]] = task.predict(collate(list(rows), 16000))
    for row, cut in zip(predictions, rows, strict=True):
        row["probabilities"] = np.array(row["probabilities"])
        labels = task.frame_labels([cut], _length(row), _length(row)[0])[0].numpy().T
        row["probabilities"] = (0.05 + 0.9 * labels).tolist()
    kept = task.assemble(predictions, "test")
    assert all("probabilities" not in row and len(row["filtered"]) == 2 for row in kept)
    made = task.score(kept)
    assert made["psds1"].value == 1.0
    assert "psds1: detection tolerance 0.7" in task.facts(kept)["scoring"]
    with no_intervals():
        assert "psds1" not in task.score(kept)  # training ranks weights without it
    assert "psds1" not in detector().score(kept)


def _length(row: dict[str, Any]) -> Any:
    import torch

    return torch.tensor([np.shape(row["probabilities"])[1]])


def test_what_has_no_psds_is_one_sentence(rows: CutSet, tmp_path: Path) -> None:
    task = detector(psds=True)
    predictions = detector().assemble(task.predict(collate(list(rows), 16000)), "test")
    with pytest.raises(ConfigError, match="was stored without its frames, which PSDS needs; evaluate again"):
        task.score(predictions)
    long = rows_of(write_field(tmp_path, 1, lasts_s=31.0), tmp_path)
    with pytest.raises(LabelError, match="of test lasts 31 s, and PSDS takes rows of at most 30 s"):
        task.check_split(long, "test")
    check_short(rows, "test")
    detector().check_split(long, "test")
