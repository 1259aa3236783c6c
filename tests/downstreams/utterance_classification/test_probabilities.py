"""A task that is too sure of itself learns that on dev, keeps it with its weights, and says what it is worth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from toys.words import WORDS, toy_task

from audiossl.downstreams.utterance_classification.probabilities import (
    calibration_facts,
    calibration_table,
    word_of,
)


def rows_of(task: Any, num: int = 400, sharpness: float = 3.0, seed: int = 0) -> list[dict[str, Any]]:
    """Predictions of a task whose logits are too large by a factor."""
    rng = np.random.default_rng(seed)
    true = rng.standard_normal((num, 3))
    targets = (rng.random((num, 1)) > softmax(true, axis=1).cumsum(axis=1)[:, :2]).sum(axis=1)
    rows = []
    for number, (logits, target) in enumerate(zip(sharpness * true, targets, strict=True)):
        row = task._probabilities(logits.tolist(), int(logits.argmax()))
        row |= {"id": f"{number:04}", "target": WORDS[target], "predicted": WORDS[int(logits.argmax())]}
        rows.append({**row, "speaker": f"s{number % 7}"})
    return rows


def test_dev_calibrates_and_the_checkpoint_keeps_it() -> None:
    task = toy_task()
    before = rows_of(task)
    assert {word_of(row) for row in before} == {"score"}
    assert list(task.assemble(before, "test")) == before
    after = task.assemble(before[::-1], "dev")[::-1]
    assert task.temperature == pytest.approx(3.0, rel=0.25)
    assert [row["predicted"] for row in after] == [row["predicted"] for row in before]
    assert task.score(after) == task.score(before)
    assert {word_of(row) for row in after} == {"probability"}
    held_out = calibration_facts(rows_of(task, seed=1), WORDS)
    assert held_out is not None
    assert held_out["temperatures"] == [task.temperature]
    assert held_out["as_written"]["ece"] < 0.08 < 0.2 < held_out["as_trained"]["ece"]
    assert held_out["as_written"]["nll"] < held_out["as_trained"]["nll"]
    twin = toy_task()
    twin.load_trainable_state(task.trainable_state())
    assert twin.temperature == task.temperature
    task.assemble(before[:20], "dev")  # too few for one
    assert task.temperature is None


def test_checkpoints_of_earlier_versions_have_scores_as_they_were() -> None:
    task = toy_task()
    task.assemble(rows_of(task), "dev")
    state = {name: value for name, value in task.trainable_state().items() if name != "calibration"}
    task.load_trainable_state(state)
    assert task.temperature is None
    assert calibration_facts([{"target": "yes", "predicted": "yes", "scores": [1.0, 0.0, 0.0]}], WORDS) is None
    assert calibration_table(None) == []


def test_a_mean_of_checkpoints_is_calibrated_where_most_are() -> None:
    task = toy_task()
    for values, expected in (([2.0, 1.0], 2.0), ([2.0, 2 / 3], 2.0), ([1.5, 0.5], None)):
        task.load_trainable_state({**task.trainable_state(), "calibration": torch.tensor(values)})
        assert task.temperature == expected


def test_class_weights_decide_and_are_no_part_of_probabilities() -> None:
    task = toy_task(class_weights=True, label_counts=[90, 9, 1])
    weights = task.get_buffer("class_weights").double().numpy()
    rng = np.random.default_rng(0)
    rows = []
    for number in range(600):
        chances = softmax(np.log([0.9, 0.09, 0.01]) + rng.standard_normal(3))
        logits = 2 * np.log(chances) + np.log(weights)
        target, said = rng.choice(3, p=chances), int(logits.argmax())
        row = {"id": f"{number:04}", "target": WORDS[target], "predicted": WORDS[said], "speaker": None}
        rows.append({**row, **task._probabilities(logits.tolist(), said)})
    after = task.assemble(rows, "dev")
    assert task.temperature == pytest.approx(2.0, rel=0.2)
    assert [row["predicted"] for row in after] == [row["predicted"] for row in rows]
    said = [row["probability"] for row in after]
    right = [row["predicted"] == row["target"] for row in after]
    assert np.mean(said) == pytest.approx(np.mean(right), abs=0.05)


def test_of_equal_rounded_probabilities_the_higher_logit_is_predicted() -> None:
    task = toy_task()
    logits = torch.tensor([0.0, 40.0, 40.000001], dtype=torch.float64)
    cut = type("Row", (), {"id": "a", "custom": None, "supervisions": [], "duration": 1.0})()
    row = task._prediction(cut, logits)
    assert row["scores"][1] == row["scores"][2] == 0.5
    assert row["predicted"] == WORDS[2]
    assert task.ensemble([row, row])["predicted"] == WORDS[2]


def test_an_ensemble_is_calibrated_where_all_of_it_are() -> None:
    task = toy_task()
    plain = rows_of(task, 60)[0]
    task.assemble(rows_of(task), "dev")
    sharp = rows_of(task, 60, seed=2)[0]
    both, same = task.ensemble([plain, sharp]), task.ensemble([sharp, sharp])
    assert (both["calibrated"], same["calibrated"]) == (False, True)
    assert same["scores"] == pytest.approx(sharp["scores"], abs=1e-6)
    assert both["scores"] == pytest.approx((softmax(plain["logits"]) + softmax(sharp["logits"])) / 2, abs=2e-6)


def test_the_report_says_probabilities_or_scores() -> None:
    task = toy_task()
    (scores,) = task.tables(rows_of(task))
    assert (scores.title, len(scores.rows)) == ("Scores", 1)
    assert "no probabilities" in scores.note
    task.assemble(rows_of(task), "dev")
    (table,) = task.tables(rows_of(task, seed=1))
    assert (table.title, table.header) == ("Probabilities", ["", "ECE", "NLL"])
    assert [row[0] for row in table.rows] == ["as trained", f"calibrated, temperature {task.temperature:.3g}"]
    assert "over 10 bins" in table.note
    assert list(task.columns(rows_of(task)[0])) == ["label", "probability"]
