"""Intents: the loss of slots by hand, what is right, errors, and the contract."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import torch
from toys.targets import target_batch, target_cut, target_task, trained

from audiossl import check_downstream
from audiossl.core.errors import ConfigError, LabelError
from audiossl.core.types import Batch
from audiossl.downstreams.intent_classification.task import IntentClassification
from audiossl.report.estimates import scored
from audiossl.training.fusion import RunToFuse


def toy_task(batch: Batch, **options: Any) -> IntentClassification:
    made = target_task("intent_classification", batch, **{"slots": ["pitch", "step"], **options})
    assert isinstance(made, IntentClassification)
    return made


def test_it_keeps_the_contract() -> None:
    batch = target_batch(8)
    for pooling in ("mean", "attentive_statistics"):
        check_downstream(toy_task(batch, pooling=pooling), batch)


def test_the_loss_of_an_item_is_the_sum_over_its_slots() -> None:
    batch = target_batch(9)
    task = toy_task(batch)
    logits = task.outputs_of(batch)
    by_hand: Any = sum(
        torch.nn.functional.cross_entropy(
            each, torch.tensor([values.index(cut.supervisions[0].custom[slot]) for cut in batch.cuts])
        )
        for each, (slot, values) in zip(logits, task.config.labels.items(), strict=True)
    )
    loss = task.loss(batch)
    assert loss.total.item() == pytest.approx(float(by_hand.detach()), rel=1e-6)
    assert loss.weight.item() == 9


def test_an_utterance_is_right_where_all_its_slots_are() -> None:
    batch, other = target_batch(24), target_batch(24, seed=1)
    task = trained(toy_task(batch), batch, 60)
    rows = task.predict(other)
    assert json.loads(json.dumps(rows)) == rows
    assert task.score(rows)["accuracy"].value == 1.0
    spoiled = [
        {**row, "predicted": {**row["predicted"], "step": "9"}} if number < 6 else row
        for number, row in enumerate(rows)
    ]
    spoiled[0]["predicted"]["pitch"] = "none"  # wrong twice, and counts once
    found = task.score(spoiled)
    assert found["accuracy"].value == pytest.approx(18 / 24)
    assert (found["accuracy"].cluster, found["accuracy"].num_clusters) == ("speaker", 6)
    assert found["accuracy"].low is not None
    assert found["pitch.accuracy"].value == pytest.approx(23 / 24)
    assert found["step.accuracy"].value == pytest.approx(18 / 24)
    _, confused = task.tables(spoiled)
    assert confused.rows[0][2] in (1, 2)
    assert "6 of 24 utterances" in (confused.note or "")


def test_runs_are_compared_by_whole_intents_and_folds_united() -> None:
    batch = target_batch(24)
    task = toy_task(batch)
    rows = task.predict(batch)
    wrong = sum(row["target"] != row["predicted"] for row in rows)
    assert [row["num_errors"] for row in rows].count(1) == wrong
    assert scored(rows, "accuracy").estimate.value == pytest.approx(wrong / 24)
    united = task.ensemble([rows[0], rows[0]])
    assert (united["predicted"], united["num_errors"]) == (rows[0]["predicted"], rows[0]["num_errors"])


def test_fused_runs_count_by_whole_intents() -> None:
    batch, other = target_batch(24), target_batch(24, seed=1)
    good, bad = trained(toy_task(batch), batch, 60), toy_task(batch)
    runs = [RunToFuse(task.predict(other), task.predict(other), task.facts([])) for task in (good, bad)]
    made = IntentClassification.fuse(runs, "dev")
    assert made.compared == "accuracy"
    assert made.metrics["accuracy"].value == 1.0
    assert "mean" not in made.metrics
    wrong = bad.score(runs[1].test)["accuracy"].value
    assert [gap.value for gap in made.differences] == pytest.approx([0.0, 1.0 - wrong])
    assert all(row["num_errors"] == 0 for row in made.predictions)
    itself = IntentClassification.fuse([runs[1], runs[1]], "equal")
    assert itself.metrics["accuracy"].value == wrong


def test_a_recording_without_labels_and_half_an_intent_have_no_target() -> None:
    batch = target_batch(6)
    task = toy_task(batch)
    for columns in ({}, {"pitch": "low"}):
        cuts = tuple(target_cut(number, cut.duration, **columns) for number, cut in enumerate(batch.cuts))
        row = task.predict(Batch(batch.wavs, batch.lengths, cuts))[0]
        assert row["target"] is None
        assert "num_errors" not in row
        assert task.columns(row).keys() == {"pitch", "step"}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"pitch": "low"}, r"'item-0' of dev has nothing in the field 'step', and 0 more .* 'none'"),
        ({"pitch": "low", "step": "9"}, r"'item-0' of dev has in the field 'step' '9', which is none of its 3"),
    ],
)
def test_what_training_does_not_know_is_one_sentence(columns: dict[str, str], message: str) -> None:
    batch = target_batch(9)
    with pytest.raises(LabelError, match=message):
        toy_task(batch).check_cuts([target_cut(0, **columns), *batch.cuts], "dev")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"slots": ["pitch", "place"]}, LabelError, "anything in the field 'place', which is a slot; name the columns"),
        ({"slots": []}, ConfigError, "must name at least one column"),
        ({"slots": ["pitch", "pitch"]}, ConfigError, "each of them once"),
        ({"labels": {"place": ["a", "b"]}}, ConfigError, "'place', which is none of task.slots"),
        ({"slots": ["pitch", "system"], "labels": {"system": ["x9"]}}, LabelError, "and a class needs two"),
    ],
)
def test_settings_that_cannot_be_are_one_sentence(options: dict[str, Any], error: type, message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        toy_task(target_batch(9), **options)


def test_a_training_row_without_a_slot_is_an_error() -> None:
    with pytest.raises(LabelError, match="of training has nothing in the field"):
        toy_task(target_batch(12, missing=0.3))
