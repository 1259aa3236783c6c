"""The check that every downstream task passes.

from audiossl import check_downstream
predictions = check_downstream(task, batch)  # raises AssertionError with one sentence

It works on a copy: what is passed in stays as it is.
"""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace
from typing import Any

import torch

from audiossl.core.types import Batch, Features
from audiossl.training.downstream import Downstream
from audiossl.training.task import Prediction
from audiossl.training.testing.common import (
    check_batch,
    check_loss_type,
    check_stacked,
    fit,
    forget,
    item_of,
    losses_of_steps,
)


def check_downstream(
    task: Downstream, batch: Batch, *, tolerance: float = 1e-4, steps: int = 9, learns: bool = True
) -> list[Prediction]:
    """Assert the contract of a task on a batch of labelled rows, and return its predictions before any step.

    The prediction of an item does not depend on its batch, nor does its loss. Predictions are JSON-able and have the
    ids of the rows. `commutes_with_mean` and `stackable` are true where they are claimed. Steps leave a frozen encoder
    without gradients and lower the loss. Saving and loading is the identity.

    task: with a frozen encoder, its settings completed for the batch's rows.
    batch: labelled items of different lengths.
    tolerance: absolute and relative, of numbers that must be equal.
    steps: updates by Adam on the batch.
    learns: False for an encoder of whose states the head can learn nothing.
    Raises AssertionError with one sentence on the first breach.
    """
    task = copy.deepcopy(task)
    if task.needs_fit:
        fit(task, batch)
    # Predictions, and the loss, of the items of a batch together and of each alone.
    task.eval()
    if not task.trains:
        return _check_comparison(task, batch, tolerance)
    predictions = task.predict(batch)
    _check_rows(task, batch, predictions)
    with torch.no_grad():
        check_loss_type(task.loss(batch))
    for index, found in enumerate(predictions):
        (alone,) = task.predict(item_of(batch, index))
        assert _close(alone, found, tolerance), f"Alone, item {index} is predicted as {alone}, in the batch as {found}."
    with torch.no_grad():
        check_batch(task, batch, tolerance)
    if task.commutes_with_mean and task.interface.commutes_with_mean:
        _check_mean_of_states(task, batch, predictions, tolerance)
    if task.stackable and task.interface.stackable:
        check_stacked(task.train(), batch, lambda outputs: outputs[0], tolerance)
    # A state that can be saved, and steps that learn.
    twin = copy.deepcopy(task)
    forget(twin.trainable_state())
    twin.load_trainable_state(task.trainable_state())
    assert twin.eval().predict(batch) == predictions, "Loading its own trainable state changes the task."
    encoded = batch if task.reads_waveforms else replace(batch, features=task.features(batch))
    losses = losses_of_steps(task, encoded, steps, lr=1e-4)
    assert not learns or min(losses[1:]) < losses[0], f"{steps} steps do not lower the loss: {losses}."
    losses_of_steps(task, batch, 1, lr=1e-4)  # through the encoder
    assert all(p.grad is None for p in task.upstream.parameters()), "A frozen encoder got gradients."
    return predictions


def _check_comparison(task: Downstream, batch: Batch, tolerance: float) -> list[Prediction]:
    """The contract of a task that does not train: items, batches and padding give the same, and saving keeps it."""
    task.assemble(task.predict_pass(lambda: [batch]), "dev")  # it chooses
    predictions = task.predict_pass(lambda: [batch])
    _check_scored(task, predictions)
    alone = task.predict_pass(lambda: [item_of(batch, index) for index in range(len(batch))])
    assert _close(alone, predictions, tolerance), f"Item by item {alone} is predicted, in the batch {predictions}."
    twin = copy.deepcopy(task)
    forget(twin.trainable_state())
    twin.load_trainable_state(task.trainable_state())
    assert twin.eval().predict_pass(lambda: [batch]) == predictions, "Loading its own state changes the task."
    assert not any(parameter.requires_grad for parameter in task.parameters()), (
        "Nothing is to train, and something can."
    )
    return predictions


def _check_rows(task: Downstream, batch: Batch, predictions: list[Prediction]) -> None:
    found = [row.get("id") for row in predictions]
    assert found == [cut.id for cut in batch.cuts], f"predict must give one row an item, with its id, not {found}."
    _check_scored(task, predictions)


def _check_scored(task: Downstream, predictions: list[Prediction]) -> None:
    try:
        json.dumps(predictions)
    except TypeError as error:
        raise AssertionError(f"predict must give rows of numbers, texts and lists: {error}.") from error
    scored = task.score(task.assemble(predictions, "dev"))
    assert task.monitor.name in scored, (
        f"score gives {', '.join(scored)}, and checkpoints are chosen by {task.monitor.name!r}."
    )


def _check_mean_of_states(task: Downstream, batch: Batch, predictions: list[Prediction], tolerance: float) -> None:
    features = task.features(batch)
    valid = (torch.arange(features.layers[0].shape[1]) < features.lengths[:, None])[..., None]
    means = [(layer * valid).sum(dim=1, keepdim=True) / valid.sum(dim=1, keepdim=True) for layer in features.layers]
    ones = torch.ones(len(batch), dtype=torch.int64)
    pooled = Batch(torch.zeros(len(batch), 0), batch.lengths, batch.cuts, None, Features(tuple(means), ones))
    for training in (True, False):
        task.train(training)
        losses = [float(task.loss(given).total.detach()) for given in (pooled, batch)]
        assert _close(losses[0], losses[1], tolerance), (
            f"commutes_with_mean is claimed, but the loss of mean states is {losses}."
        )
    assert _close(task.predict(pooled), predictions, tolerance), (
        "commutes_with_mean is claimed, but predictions from mean states differ."
    )


def _close(a: Any, b: Any, tolerance: float) -> bool:
    """Equal but for rounding, at any depth."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_close(a[key], b[key], tolerance) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(_close(x, y, tolerance) for x, y in zip(a, b, strict=True))
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance)
    return bool(a == b)
