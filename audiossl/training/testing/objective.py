"""The check that every objective passes.

from audiossl import check_objective
report = check_objective(MyObjective(encoder))   # raises AssertionError with one sentence

It works on a copy: what is passed in stays as it is.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import torch
from lhotse import MonoCut

from audiossl.core.tensors import fingerprint
from audiossl.core.types import Batch, Position
from audiossl.encoders.testing import noise, pad
from audiossl.encoders.upstream import Upstream
from audiossl.training.objective import Objective
from audiossl.training.task import Task
from audiossl.training.testing.common import check_batch, check_loss_type, fit, forget, losses_of_steps


@dataclass
class ObjectiveReport:
    """What `check_objective` measured.

    batch_error: largest relative difference between the loss of a batch and that of its items. 0 where the objective
    says that it is not item-wise.
    losses: of the steps on one batch.
    without_gradient: trainable parameters that the loss does not depend on.
    """

    batch_error: float = 0.0
    losses: list[float] = field(default_factory=list)
    without_gradient: list[str] = field(default_factory=list)


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

    objective: on an encoder of a small size.
    tolerance: relative, of losses that must be equal.
    seconds: lengths of the noise.
    steps: updates by Adam on one batch.
    unreached: patterns for names of parameters that the loss need not reach, beside the encoder's `training_only`.
    seed: of the noise.
    Raises AssertionError with one sentence on the first breach.
    """
    report, task = ObjectiveReport(), copy.deepcopy(objective)
    assert isinstance(task.item_wise, bool), "item_wise must be True or False: an attribute or a property, no method."
    missing = [name for name in task.needs if not hasattr(task.upstream, name)]
    assert not missing, f"`needs` names {', '.join(missing)}, which {type(task.upstream).__name__} does not have."
    batch = _unlabelled(task.upstream, seconds, seed)
    if task.needs_fit:
        fit(task, batch)
    # The loss, with the draws of an evaluation and with those of training.
    for training in (False, True):
        _only_it_trains(task, training)
        with torch.no_grad():
            _check_loss(task, batch)
            _check_draws(task, batch)
            if task.item_wise:
                error = check_batch(task, batch, tolerance)
                report.batch_error = max(report.batch_error, error)
            _check_loss(task, _unlabelled(task.upstream, [0.0, *seconds], seed), "with the shortest input")
            with torch.autocast("cpu", torch.bfloat16):
                _check_loss(task, batch, "under bfloat16 autocast")
    _check_validation(task.eval(), batch)
    # What training needs: gradients, a state that can be saved, and a loss that falls. Its steps come last, as they
    # change the copy.
    skipped = [*unreached, *(f"upstream.{name}" for name in task.upstream.training_only)]
    _only_it_trains(task, True)
    report.without_gradient = _check_gradients(task, batch, skipped)
    _check_reload(task.eval(), batch)
    report.losses = _check_steps(task, batch, steps, lr=1e-3)
    return report


def _unlabelled(upstream: Upstream, seconds: Sequence[float], seed: int) -> Batch:
    wavs, lengths = pad(noise(upstream, seconds, seed))
    rows = enumerate((lengths / upstream.sample_rate_hz).tolist())
    cuts = tuple(MonoCut(id=f"item{number}", start=0, duration=duration, channel=0) for number, duration in rows)
    return Batch(wavs, lengths, cuts, Position(0, 0))


def _only_it_trains(task: Task, training: bool) -> None:
    """The task's own draws as in training (or not), and everything below it without dropout."""
    task.train(training)
    for child in task.children():
        child.eval()


def _check_loss(task: Task, batch: Batch, when: str = "on noise") -> None:
    loss = task.loss(batch)
    check_loss_type(loss)
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
    forget(twin.state_dict())
    twin.load_trainable_state(task.trainable_state())
    assert fingerprint(twin) == fingerprint(task), "The trainable state does not hold all of the weights."
    with torch.no_grad():
        assert float(twin.loss(batch).total) == float(task.loss(batch).total), "Loading its own state changes the loss."


def _check_steps(task: Task, batch: Batch, steps: int, lr: float) -> list[float]:
    losses = losses_of_steps(task, batch, steps, lr)
    assert min(losses[1:]) < losses[0], f"{steps} steps on one batch do not lower the loss: {losses}."
    return losses
