"""Checks that every interface, task and objective passes, for the project's own tests and for authors of plug-ins.

from audiossl import check_interface, check_objective
check_interface(MyInterface((8, 8, 8)))      # raises AssertionError with one sentence
check_objective(MyObjective(encoder))        # the same, and returns what was measured

Each works on a copy: what is passed in stays as it is. `audiossl.check_upstream` is the one for encoders.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

import torch
from lhotse import MonoCut
from torch import Tensor, nn
from torch.func import functional_call, vmap

from audiossl.core.tensors import fingerprint
from audiossl.core.types import Batch, Features, Position
from audiossl.encoders.testing import noise, pad, relative_distance
from audiossl.encoders.upstream import Upstream
from audiossl.training.downstream import Downstream
from audiossl.training.interface import Interface
from audiossl.training.objective import Objective
from audiossl.training.task import Prediction, Task


@dataclass
class ObjectiveReport:
    """What `check_objective` measured."""

    batch_error: float = 0.0
    """Largest relative difference between the loss of a batch and of its items, 0 where it is not item-wise."""
    losses: list[float] = field(default_factory=list)
    """Of the steps on one batch."""
    without_gradient: list[str] = field(default_factory=list)
    """Parameters that the loss does not reach, and need not."""


def check_objective(
    objective: Objective,
    *,
    tolerance: float = 1e-5,
    seconds: Sequence[float] = (0.6, 0.4, 0.5),
    steps: int = 20,
    unreached: Sequence[str] = (),
    seed: int = 0,
) -> ObjectiveReport:
    """Assert the contract of an objective on noise of several lengths.

    What is random follows from seed, epoch and item. The loss of a batch is that of its items averaged by weight, with
    and without padding (where `item_wise` holds). It is finite for the shortest input and under bfloat16 autocast. It
    gives every trainable parameter a gradient, and a few steps lower it. Saving and loading is the identity.

    objective: on an encoder of a small size
    tolerance: relative, of losses that must be equal
    seconds: lengths of the noise
    steps: updates by Adam on one batch
    unreached: patterns for names of parameters that the loss need not reach, beside the encoder's `training_only`
    seed: of the noise
    """
    report, task = ObjectiveReport(), copy.deepcopy(objective)
    batch = _unlabelled(task.upstream, seconds, seed)
    if task.needs_fit:
        _fit(task, batch)
    for training in (False, True):
        _only_it_trains(task, training)
        with torch.no_grad():
            _check_loss(task, batch)
            _check_draws(task, batch)
            if task.item_wise:
                error = _check_batch(task, batch, tolerance)
                report.batch_error = max(report.batch_error, error)
            _check_loss(task, _unlabelled(task.upstream, [0.0, *seconds], seed), "with the shortest input")
            with torch.autocast("cpu", torch.bfloat16):
                _check_loss(task, batch, "under bfloat16 autocast")
    _check_validation(task.eval(), batch)
    skipped = [*unreached, *(f"upstream.{name}" for name in task.upstream.training_only)]
    _only_it_trains(task, True)
    report.without_gradient = _check_gradients(task, batch, skipped)
    _check_reload(task.eval(), batch)
    report.losses = _check_steps(task, batch, steps, lr=1e-3)
    return report


def check_interface(interface: Interface, *, tolerance: float = 1e-5, seed: int = 0) -> None:
    """Assert the contract of an interface on random layers of its widths.

    The output is (B, T, width). Each frame is treated alone, so that padding cannot reach a valid one. Layers that are
    not read do not matter. Gradients reach every trainable parameter. `commutes_with_mean` and `stackable` are true
    where they are claimed. Half precision stays finite. Saving and loading is the identity.

    tolerance: relative L2 distance of outputs that must be equal
    seed: of the layers, and of a step off the initial parameters, which hide errors (all weights equal, for instance)
    """
    made, draw = copy.deepcopy(interface), torch.Generator().manual_seed(seed)
    if made.needs_fit:
        made.fit([_random_layers(made.widths, (40, 30), draw)])
        assert not made.needs_fit, "needs_fit is still True after `fit`."
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=draw).to(parameter))
    features = _random_layers(made.widths, (7, 4), draw)
    with torch.no_grad():
        whole = made.eval()(features)
        assert whole.shape == (2, 7, made.width), f"width says {made.width}, the output is {tuple(whole.shape)}."
        _check_frames(made, features, whole, tolerance)
        _check_layers_read(made, features, whole, tolerance)
        _check_half_precision(made, features)
        if made.commutes_with_mean:
            _check_mean_of_layers(made, features, tolerance)
    _check_gradients_of_interface(made, features)
    if made.stackable:
        _check_stacked(made.train(), features, lambda output: output.square().mean(), tolerance)
    twin = copy.deepcopy(made)
    _forget(twin.state_dict())
    twin.load_state_dict(made.state_dict())
    assert torch.equal(twin.eval()(features), made.eval()(features)), "Loading its own state changes the interface."


def check_downstream(
    task: Downstream, batch: Batch, *, tolerance: float = 1e-4, steps: int = 9, learns: bool = True
) -> list[Prediction]:
    """Assert the contract of a task on a batch of labelled rows, and return its predictions before any step.

    The prediction of an item does not depend on its batch, nor does its loss. Predictions are JSON-able and have the
    ids of the rows. `commutes_with_mean` and `stackable` are true where they are claimed. Steps leave a frozen encoder
    without gradients and lower the loss. Saving and loading is the identity.

    task: with a frozen encoder, its settings completed for the batch's rows
    batch: labelled items of different lengths
    tolerance: absolute and relative, of numbers that must be equal
    steps: updates by Adam on the batch
    learns: False for an encoder of whose states the head can learn nothing
    """
    task = copy.deepcopy(task)
    if task.needs_fit:
        _fit(task, batch)
    task.eval()
    predictions = task.predict(batch)
    json.dumps(predictions)
    assert [row["id"] for row in predictions] == [cut.id for cut in batch.cuts], "predict must give a row an item."
    for index, found in enumerate(predictions):
        (alone,) = task.predict(_item(batch, index))
        assert _close(alone, found, tolerance), f"Alone, item {index} is predicted as {alone}, in the batch as {found}."
    with torch.no_grad():
        _check_batch(task, batch, tolerance)
    if task.commutes_with_mean and task.interface.commutes_with_mean:
        _check_mean_of_states(task, batch, predictions, tolerance)
    if task.stackable and task.interface.stackable:
        _check_stacked(task.train(), batch, lambda outputs: outputs[0], tolerance)
    twin = copy.deepcopy(task)
    _forget(twin.trainable_state())
    twin.load_trainable_state(task.trainable_state())
    assert twin.eval().predict(batch) == predictions, "Loading its own trainable state changes the task."
    encoded = batch if task.reads_waveforms else replace(batch, features=task.features(batch))
    losses = _losses_of_steps(task, encoded, steps, lr=1e-4)
    assert not learns or min(losses[1:]) < losses[0], f"{steps} steps do not lower the loss: {losses}."
    _losses_of_steps(task, batch, 1, lr=1e-4)  # through the encoder
    assert all(p.grad is None for p in task.upstream.parameters()), "A frozen encoder got gradients."
    return predictions


def _unlabelled(upstream: Upstream, seconds: Sequence[float], seed: int) -> Batch:
    wavs, lengths = pad(noise(upstream, seconds, seed))
    rows = enumerate((lengths / upstream.sample_rate_hz).tolist())
    cuts = tuple(MonoCut(id=f"item{number}", start=0, duration=duration, channel=0) for number, duration in rows)
    return Batch(wavs, lengths, cuts, Position(0, 0))


def _item(batch: Batch, index: int) -> Batch:
    """One item of a batch, without its padding."""
    one = slice(index, index + 1)
    wavs = batch.wavs[one, : int(batch.lengths[index])]
    return Batch(wavs, batch.lengths[one], batch.cuts[one], batch.position)


def _random_layers(widths: Sequence[int], lengths: tuple[int, ...], draw: torch.Generator) -> Features:
    shape = (len(lengths), max(lengths))
    return Features(tuple(torch.randn(*shape, width, generator=draw) for width in widths), torch.tensor(lengths))


def _fit(task: Task, batch: Batch) -> None:
    with torch.no_grad():
        task.eval().fit([batch])
    assert not task.needs_fit, "needs_fit is still True after `fit`."


def _only_it_trains(task: Task, training: bool) -> None:
    """The task's own draws as in training (or not), and everything below it without dropout."""
    task.train(training)
    for child in task.children():
        child.eval()


def _forget(state: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for tensor in state.values():
            tensor.zero_()


def _check_loss(task: Task, batch: Batch, when: str = "on noise") -> None:
    loss = task.loss(batch)
    assert loss.total.shape == () == loss.weight.shape, "total and weight of a Loss are scalars."
    for name, value in {"loss": loss.total, "weight of the loss": loss.weight, **loss.logs}.items():
        assert bool(torch.isfinite(value).all()), f"The {name} is not finite {when}."
    assert float(loss.weight) >= 0, "The weight of a loss is how many items it averages over."


def _check_draws(task: Task, batch: Batch) -> None:
    with torch.random.fork_rng(devices=[]):
        losses = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            losses.append(float(task.loss(batch).total))
    assert losses[0] == losses[1], (
        f"Two passes over one batch give {losses[0]} and {losses[1]}: take what is random from `self.draws(batch, "
        f"seed)`, not from torch's own state."
    )


def _check_batch(task: Task, batch: Batch, tolerance: float) -> float:
    """The relative error of a batch's loss, with its own padding and with more."""
    items = [task.loss(_item(batch, index)) for index in range(len(batch))]
    weight = sum(float(item.weight) for item in items)
    mean = sum(float(item.total) * float(item.weight) for item in items) / max(weight, 1e-30)
    more = nn.functional.pad(batch.wavs, (0, batch.wavs.shape[1] // 2))
    worst = 0.0
    for given, what in ((batch, "a batch"), (replace(batch, wavs=more), "a batch with more padding")):
        loss = task.loss(given)
        error = abs(float(loss.total) - mean) / max(abs(mean), 1e-30)
        fault = f"The loss of {what} is {float(loss.total):.7g} over {float(loss.weight):g}, that of its items averaged"
        assert error <= tolerance and math.isclose(float(loss.weight), weight, rel_tol=1e-5), (
            f"{fault} by weight {mean:.7g} over {weight:g}: mask what lies beyond each item's frames, average over "
            f"what `weight` counts, and draw for each item by itself."
        )
        worst = max(worst, error)
    return worst


def _check_validation(task: Objective, batch: Batch) -> None:
    with torch.no_grad():
        score, loss = task.score(task.predict(batch)), task.loss(batch)
    name = task.monitor.name
    assert name in score, f"score gives {', '.join(score)}, and checkpoints are chosen by {name!r}."
    assert name != "loss" or math.isclose(score[name].value, float(loss.total), rel_tol=1e-5), (
        f"The score of a batch is {score[name].value}, its loss {float(loss.total)}."
    )


def _check_gradients(task: Task, batch: Batch, skipped: Sequence[str]) -> list[str]:
    """Names of those that may be without a gradient and are."""
    task.zero_grad(set_to_none=True)
    task.loss(batch).total.backward()
    missing = [name for name, p in task.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    broken = [name for name, p in task.named_parameters() if p.grad is not None and not bool(p.grad.isfinite().all())]
    task.zero_grad(set_to_none=True)
    faults = [name for name in missing if not any(fnmatchcase(name, pattern) for pattern in skipped)]
    assert not faults, f"No gradient reaches {', '.join(faults)}."
    assert not broken, f"The gradient of {', '.join(broken)} is not finite."
    return missing


def _check_reload(task: Task, batch: Batch) -> None:
    twin = copy.deepcopy(task)
    _forget(twin.state_dict())
    twin.load_trainable_state(task.trainable_state())
    assert fingerprint(twin) == fingerprint(task), "The trainable state does not hold all of the weights."
    with torch.no_grad():
        assert float(twin.loss(batch).total) == float(task.loss(batch).total), "Loading its own state changes the loss."


def _check_steps(task: Task, batch: Batch, steps: int, lr: float) -> list[float]:
    losses = _losses_of_steps(task, batch, steps, lr)
    assert min(losses[1:]) < losses[0], f"{steps} steps on one batch do not lower the loss: {losses}."
    return losses


def _losses_of_steps(task: Task, batch: Batch, steps: int, lr: float) -> list[float]:
    """The loss before each of the steps, and after the last."""
    optimizer = torch.optim.Adam([p for p in task.train().parameters() if p.requires_grad], lr=lr)
    losses: list[float] = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # of dropout
        for step in range(steps + 1):
            task.begin_step(step)
            loss = task.loss(batch)
            losses.append(float(loss.total.detach()))
            optimizer.zero_grad()
            loss.total.backward()
            optimizer.step()
    assert all(map(math.isfinite, losses)), f"The loss does not stay finite: {losses}."
    return losses


def _check_frames(interface: Interface, features: Features, whole: Tensor, tolerance: float) -> None:
    for frame in range(whole.shape[1]):
        layers = tuple(layer[:, frame : frame + 1] for layer in features.layers)
        error = relative_distance(interface(Features(layers, torch.ones_like(features.lengths)))[:, 0], whole[:, frame])
        assert error <= tolerance, (
            f"Frame {frame} changes by {error:.1e} without its neighbours, so padding reaches it."
        )


def _check_layers_read(interface: Interface, features: Features, whole: Tensor, tolerance: float) -> None:
    last = len(features.layers) - 1 if interface.up_to_layer is None else interface.up_to_layer
    kept = [
        layer if number in interface.layers_read else layer[:, :0]
        for number, layer in enumerate(features.layers[: last + 1])
    ]
    error = relative_distance(interface(Features(tuple(kept), features.lengths)), whole)
    assert error <= tolerance, f"The output changes by {error:.1e} without the layers that are not in `layers_read`."


def _check_half_precision(interface: Interface, features: Features) -> None:
    half = Features(tuple(layer.bfloat16() for layer in features.layers), features.lengths)
    for autocast in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            assert bool(torch.isfinite(interface(half)).all()), "The output is not finite for states in bfloat16."


def _check_mean_of_layers(interface: Interface, features: Features, tolerance: float) -> None:
    means = Features(tuple(layer.mean(1, keepdim=True) for layer in features.layers), torch.ones_like(features.lengths))
    error = relative_distance(interface(means)[:, 0], interface(features).mean(1))
    assert error <= tolerance, (
        f"commutes_with_mean is claimed, but the output for mean layers is {error:.1e} off the mean output."
    )


def _check_gradients_of_interface(interface: Interface, features: Features) -> None:
    trainable = {name: p for name, p in interface.named_parameters() if p.requires_grad}
    if not trainable:
        return
    interface.zero_grad(set_to_none=True)
    # A random direction: the plain sum of a layer-normalised output is constant.
    output = interface(features)
    (output * torch.randn(output.shape, generator=torch.Generator().manual_seed(0))).square().sum().backward()
    faults = [n for n, p in trainable.items() if p.grad is None or not bool(p.grad.any() and p.grad.isfinite().all())]
    interface.zero_grad(set_to_none=True)
    assert not faults, f"No finite gradient reaches {', '.join(faults)}."


def _check_stacked(module: nn.Module, given: Any, loss_of: Any, tolerance: float) -> None:
    """Two sets of parameters at once, by `vmap`, give what each gives alone."""
    own = {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}
    if not own:
        return
    draw = torch.Generator().manual_seed(0)
    others = {name: p + 0.1 * torch.randn(p.shape, generator=draw) for name, p in own.items()}
    alone = torch.stack([loss_of(functional_call(module, one, (given,))) for one in (own, others)])
    both = {name: torch.stack([own[name], others[name]]) for name in own}
    try:
        together = vmap(lambda one: loss_of(functional_call(module, one, (given,))))(both)
    except RuntimeError as error:
        raise AssertionError(f"stackable is claimed, but `vmap` fails: {str(error).splitlines()[0]}") from error
    distance = relative_distance(together, alone)
    assert distance <= tolerance, f"stackable is claimed, but computed as one the members are {distance:.1e} off."


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
