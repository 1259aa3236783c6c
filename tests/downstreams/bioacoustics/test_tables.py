"""The table of the classes, and what it says of scores; how dev, the user and several models decide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from toys.calls import toy

from audiossl.downstreams.bioacoustics.tables import calibration_facts, class_table


def rows_of(task: Any, num: int = 600, seed: int = 0) -> list[dict[str, Any]]:
    """Windows in which `hi` is rare, with logits as the weighted loss leaves them, twice too large."""
    rng = np.random.default_rng(seed)
    true = np.array([-3.0, 0.0]) + 1.5 * rng.standard_normal((num, 2))
    present = rng.random((num, 2)) < expit(true)
    rows = []
    for number, (logits, there) in enumerate(zip(2 * (true + np.log(task._weights)), present, strict=True)):
        row = {"id": f"{number:04}", "target": [name for name, one in zip(("hi", "lo"), there, strict=True) if one]}
        row |= {"recording": "a.wav", "group": f"g{number % 8}", "start_s": number, "end_s": number + 1, "calls": []}
        rows.append({**row, **task._judged({"logits": logits.tolist()})})
    return rows


def weighted(**options: Any) -> Any:
    return toy(class_weights=True, label_counts=[50, 500], num_items=1000, **options)


def precision_and_recall(task: Any, rows: list[dict[str, Any]]) -> list[float]:
    (table,) = task.tables(rows)
    assert table.header[5:7] == ["precision", "recall"]
    return [float(value) for value in table.rows[0][5:7]]


def test_decisions_come_from_dev_and_travel_with_the_weights() -> None:
    task = weighted()
    earlier = {name: value for name, value in task.trainable_state().items() if name != "calibration"}
    task.load_trainable_state(earlier)
    flooded = precision_and_recall(task, rows_of(task, seed=1))  # as versions before decided: half under the weights
    task.assemble(rows_of(task), "dev")
    assert task.is_calibrated
    test = rows_of(task, seed=1)
    decided = precision_and_recall(task, test)
    assert decided[0] > 1.3 * flooded[0]
    assert decided[1] > 0.3
    (table,) = task.tables(test)
    assert table.header[7:] == ["threshold", "a probability"]
    assert table.rows[0][7] == pytest.approx(task.decisions[0].threshold, rel=0.01)
    twin = weighted()
    twin.load_trainable_state(task.trainable_state())
    assert twin.decisions == task.decisions
    facts = task.facts(test)
    assert facts["decisions"]["hi"] == task.decisions[0]._asdict()
    assert facts["calibration"]["as_written"]["ece"] < 0.05 < facts["calibration"]["as_trained"]["ece"]
    assert "Scores as trained: ECE" in table.note
    folded = [{**row, "fold": "a"} for row in test]
    assert task.facts(folded)["decisions"] is None
    assert len(task.tables(folded)[0].header) == 7


def test_what_the_user_sets_goes_before_dev() -> None:
    task = weighted(threshold=0.8)
    task.assemble(rows_of(task), "dev")
    assert task.thresholds.tolist() == [0.8, 0.8]


def test_models_hear_together_what_most_of_them_hear() -> None:
    task = weighted()
    row = {"id": "a", "logits": [0.0, 0.0], "calibrated": True}
    rows = [{**row, "predicted": heard, "scores": [0.01 * n, 0.5]} for n, heard in enumerate([["hi"], ["hi"], ["lo"]])]
    found = task.ensemble(rows)
    assert (found["predicted"], found["scores"]) == (["hi"], pytest.approx([0.01, 0.5]))
    long = {"id": "a", "windows": [[0, 1], [1, 2], [2, 3]], "calibrated": False}
    parts = [{**long, "thresholds": [t, 0.9], "scores": [[t, 0.0], [0.0, 0.0], [0.3, 0.0]]} for t in (0.1, 0.3)]
    assert [event[:3] for event in task.ensemble(parts)["events"]] == [[0.0, 1.0, "hi"], [2.0, 3.0, "hi"]]


def test_rows_of_earlier_versions_have_no_such_facts() -> None:
    rows = [{"target": ["hi"], "predicted": ["hi"], "scores": [0.9, 0.1]}]
    targets = np.array([[1, 0]])
    assert calibration_facts(rows, targets) is None
    facts = {"labels": ["hi", "lo"], "labels_left_out": ["lo"], "decisions": None, "calibration": None}
    table = class_table(rows, targets, np.array([[0.9, 0.1]]), facts)
    assert table.note == "The average precision of guessing is the share. No window has lo: left out of the means."
