"""Several targets: masks, errors, figures, and the contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys.targets import target_batch, target_cut, target_task, trained

from audiossl import check_downstream
from audiossl.core.config import structured
from audiossl.core.errors import ConfigError, LabelError
from audiossl.core.types import Batch
from audiossl.downstreams.multi_task.task import MultiTask, MultiTaskConfig

TARGETS = {
    "pitch": "class",
    "step": {"kind": "ordinal", "weight": 0.5},
    "level": {"kind": "number", "column": "noise_db"},
}


def toy_task(batch: Batch, targets: Any = None, **options: Any) -> MultiTask:
    made = target_task("multi_task", batch, targets=targets or TARGETS, **options)
    assert isinstance(made, MultiTask)
    return made


def test_it_keeps_the_contract_with_missing_values() -> None:
    batch = target_batch(9, missing=0.3)
    for pooling in ("mean", "attentive_statistics"):
        task = toy_task(batch, pooling=pooling)
        check_downstream(task, batch)
        assert (task.commutes_with_mean, task.stackable) == (pooling == "mean", True)


def test_the_masked_loss_is_that_of_a_computation_by_hand() -> None:
    batch = target_batch(12, missing=0.3)
    task = toy_task(batch, {**TARGETS, "khz": {"kind": "number", "loss": "ccc", "weight": 2.0}})
    sequence, lengths = task.sequence(batch)
    pooled = task.pooled(sequence, lengths)
    total = weight = 0.0
    for head in task.heads:
        outputs = head(pooled)
        column = head.target.column or head.name
        rows = [(n, cut.supervisions[0].custom[column]) for n, cut in enumerate(batch.cuts)]
        rows = [(n, text) for n, text in rows if text != ""]
        losses = []
        for n, text in rows:
            if head.name == "pitch":
                losses.append(-outputs[n].log_softmax(0)[sorted(["low", "mid", "high"]).index(text)].item())
            elif head.name == "step":
                logits = outputs[n].tolist()
                above = [int(text) > 1, int(text) > 2]
                losses.append(sum(np.log1p(np.exp(-z if a else z)) for z, a in zip(logits, above, strict=True)))
            else:
                losses.append((outputs[n, 0].item() - (float(text) - head.target.mean) / head.target.scale) ** 2)
        mean = float(np.mean(losses))
        if head.name == "khz":
            x = np.array([outputs[n, 0].item() for n, _ in rows])
            y = np.array([(float(text) - head.target.mean) / head.target.scale for _, text in rows])
            mean = 1 - 2 * np.cov(x, y, ddof=0)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
        total, weight = total + head.target.weight * len(rows) * mean, weight + head.target.weight * len(rows)
    loss = task.loss(batch)
    assert float(loss.total.detach()) == pytest.approx(total / weight, rel=1e-5)
    assert float(loss.weight) == pytest.approx(weight)


def test_what_is_missing_gets_no_gradient() -> None:
    batch = target_batch(9)
    task = toy_task(batch)
    cuts = tuple(target_cut(n, step="1") for n in range(9))
    task.loss(Batch(batch.wavs, batch.lengths, cuts)).total.backward()
    heads = {head.name: head for head in task.heads}
    assert float(heads["pitch"].linear.weight.grad.abs().sum()) == 0
    assert float(heads["step"].linear.weight.grad.abs().sum()) > 0
    task.zero_grad()
    nothing = task.loss(Batch(batch.wavs, batch.lengths, tuple(target_cut(n) for n in range(9))))
    nothing.total.backward()
    assert (float(nothing.total), float(nothing.weight)) == (0, 0)


def test_it_learns_all_its_targets_and_scores_them() -> None:
    batch, other = target_batch(36, missing=0.2), target_batch(36, seed=1, missing=0.2)
    task = trained(toy_task(batch), batch, 150)
    rows = task.predict(other)
    assert json.loads(json.dumps(rows)) == rows
    found = task.score(rows)
    assert found["pitch.uar"].value > 0.9
    assert found["step.qwk"].value > 0.9
    assert found["level.ccc"].value > 0.6
    mean = np.mean([found[name].value for name in ("pitch.uar", "step.qwk", "level.ccc")])
    assert found["mean"].value == pytest.approx(mean)
    assert found["mean"].low < found["mean"].value < found["mean"].high  # type: ignore[operator]
    row = next(row for row in rows if row["target"] and row["target"]["level"] is None)
    known = [name for name, value in row["target"].items() if value is not None]
    assert row["num_units"] == len(known)
    assert set(task.columns(row)) == {"pitch", "step", "level"}
    (table,) = task.tables(rows)
    assert {line[0] for line in table.rows} == set(TARGETS)


def test_the_mean_is_left_out_by_whole_speakers() -> None:
    """Each speaker once: the mean over targets moves by what each target moves, 0 where they have none of it."""
    batch = target_batch(24, missing=0.3)
    task = trained(toy_task(batch, {"khz": "number", "noise_db": "number"}), batch, 20)
    rows = task.predict(batch)
    values = [np.mean([task.score(rows)[f"{name}.ccc"].value for name in ("khz", "noise_db")])]
    for speaker in sorted({row["speaker"] for row in rows}):
        kept = [row for row in rows if row["speaker"] != speaker]
        values.append(np.mean([task.score(kept)[f"{name}.ccc"].value for name in ("khz", "noise_db")]))
    spread = (5 / 6 * sum((value - values[0]) ** 2 for value in values[1:])) ** 0.5
    metric = task.score(rows)["mean"]
    assert metric.low is not None
    assert metric.high is not None
    assert (metric.high - metric.low) / 2 >= 2.57 * spread * 0.999  # Student's with at most 5 degrees of freedom


def test_folds_are_united_by_means() -> None:
    batch = target_batch(6)
    task = toy_task(batch)
    first, second = task.predict(batch)[0], trained(task, batch, 30).predict(batch)[0]
    both = task.ensemble([first, second])
    mean = (first["predicted"]["level"] + second["predicted"]["level"]) / 2
    assert both["predicted"]["level"] == pytest.approx(mean, abs=1e-4)
    scores = np.mean([first["scores"]["pitch"], second["scores"]["pitch"]], axis=0)
    assert both["scores"]["pitch"] == pytest.approx(scores, abs=1e-6)
    assert both["num_units"] == 3


def test_outputs_are_what_predictions_say() -> None:
    batch = target_batch(4)
    task = toy_task(batch).eval()
    with torch.no_grad():
        found = task.outputs(*task.sequence(batch))
    assert list(found) == ["pitch_scores", "step_scores", "level_value"]
    rows = task.predict(batch)
    torch.testing.assert_close(
        found["level_value"], torch.tensor([row["predicted"]["level"] for row in rows]), atol=1e-4, rtol=1e-5
    )
    assert task.output_facts()["targets"]["step"] == {"kind": "ordinal", "labels": ["1", "2", "3"]}


def test_pictures_of_each_kind(tmp_path: Path) -> None:
    batch = target_batch(12)
    task = toy_task(batch)
    drawn = task.figures(tmp_path, task.predict(batch))
    assert list(drawn) == ["Predicted against true", "Confusion matrix of pitch", "Confusion matrix of step"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn.values())


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"score": "4"}, r"None of the 2 rows of dev has anything in the field 'kind' of the target 'kind'"),
        ({"kind": "c", "score": "1"}, r"'item-0' of dev has in the field 'kind' 'c', which is none of its 2 classes"),
        ({"kind": "a", "score": "loud"}, r"field 'score' 'loud', which is no finite number"),
        ({"kind": "a", "score": "nan"}, r"field 'score' 'nan', which is no finite number"),
        ({"kind": "a", "level": "7", "score": "1"}, r"field 'level' '7', which is none of its 3 levels \(1, 2, 10\)"),
        ({}, r"None of the 2 rows of dev has anything"),
    ],
)
def test_rows_that_cannot_be_used(columns: dict[str, str], message: str) -> None:
    rows = [target_cut(n, kind="ab"[n % 2], level=("1", "10", "2")[n % 3], score=str(n)) for n in range(6)]
    targets = {"kind": "class", "level": "ordinal", "score": "number"}
    batch = target_batch(6)
    task = toy_task(Batch(batch.wavs, batch.lengths, tuple(rows)), targets)
    task.check_cuts(rows, "dev")
    with pytest.raises(LabelError, match=message):
        task.check_cuts([target_cut(n, **columns) for n in range(2)], "dev")


def test_a_row_without_any_target_is_said(caplog: pytest.LogCaptureFixture) -> None:
    batch = target_batch(6)
    toy_task(batch).check_cuts([*batch.cuts, target_cut(99)], "test")
    assert "1 of the 7 rows of test have no target (pitch, step, level), the first is item-99" in caplog.text


@pytest.mark.parametrize(
    ("targets", "values", "message"),
    [
        ({}, ["1", "2"], r"no target with a weight above 0"),
        ({"x": {"kind": "class", "weight": 0.0}}, ["1", "2"], r"no target with a weight above 0"),
        ({"y": "number"}, ["1", "2"], r"None of the 2 rows of training has anything in the field 'y'.*there are: .*x"),
        ({"x": "number"}, ["1", "two"], r"'item-1' of training has in the field 'x' 'two', which is no finite number"),
        ({"x": "number"}, ["3", "3"], r"target 'x' \(field 'x'\) is 3 in every training row"),
        ({"x": "class"}, ["a", "a"], r"has only 'a' in training rows"),
        ({"x": "ordinal"}, ["low", "high"], r"levels that are no numbers \(high, low\)"),
        ({"x": "ordinal"}, ["1", "1"], r"needs two finite ones"),
    ],
)
def test_targets_that_cannot_be_trained(targets: Any, values: list[str], message: str) -> None:
    rows = [target_cut(n, x=value) for n, value in enumerate(values)]
    with pytest.raises((LabelError, ConfigError), match=message):
        MultiTask.complete(structured(MultiTaskConfig, {"targets": targets}), rows)


def test_a_dev_of_one_number_chooses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    batch = target_batch(6)
    task = toy_task(batch, {"khz": "number"})
    task.check_split(batch.cuts, "dev")
    with pytest.raises(LabelError, match=r"tells checkpoints apart by mean: khz is 1 in all rows that have it"):
        task.check_split([target_cut(n, khz="1.0") for n in range(3)], "dev")
    task.check_split([target_cut(0, khz="1.0")], "test")
    both = toy_task(batch, {"khz": "number", "pitch": "class"})
    both.check_split([target_cut(n, khz="1.0", pitch="low") for n in range(3)], "dev")
    assert "mean of dev is without some targets there: khz is 1" in caplog.text


def test_predictions_without_targets_are_no_score() -> None:
    batch = target_batch(3)
    task = toy_task(target_batch(6))
    rows = task.predict(Batch(batch.wavs, batch.lengths, tuple(target_cut(n) for n in range(3))))
    assert all(row["target"] is None and "num_errors" not in row for row in rows)
    with pytest.raises(LabelError, match="None of the 3 predictions has a target"):
        task.score(rows)
