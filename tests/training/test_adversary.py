"""An adversary of a head: sign, scale and reach of its gradient, and the course of its weight."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from toys.core import ToyConfig, ToyUpstream
from toys.words import WORDS, tone_batch

from audiossl.core.config import make
from audiossl.downstreams.utterance_classification.task import UtteranceClassification
from audiossl.encoders.finetuning import FinetuneConfig
from audiossl.training.adversary import Adversary, represented
from audiossl.training.config import AdversaryConfig
from audiossl.training.downstream import Downstream
from audiossl.training.interface import load_interface

SPEAKERS = ("s0", "s1", "s2", "s3")


def head(finetune: str = "none", **options: Any) -> Downstream:
    torch.manual_seed(0)
    upstream = ToyUpstream(ToyConfig())
    settings = {"labels": list(WORDS), "projector_width": 6, **options}
    task = make(UtteranceClassification, settings, upstream, load_interface("weighted_sum", (8,) * 3))
    task.finetune(FinetuneConfig(mode=finetune))  # type: ignore[arg-type]
    return task.train()


def adversary(task: Downstream, **settings: Any) -> Adversary:
    torch.manual_seed(1)
    return Adversary(AdversaryConfig(field="speaker", **settings), task.represented_width, SPEAKERS, steps=10)


def gradients(task: Downstream) -> dict[str, Tensor]:
    task.zero_grad()
    task(tone_batch(8))[0].backward()
    return {name: p.grad.clone() for name, p in task.named_parameters() if p.grad is not None}


def test_the_gradient_on_the_vectors_is_that_of_the_loss_times_minus_the_weight() -> None:
    task, batch = head(), tone_batch(8)
    opposed = adversary(task, weight=0.3)
    vectors = represented(task, batch).detach().requires_grad_()
    opposed(vectors, batch.cuts)[0].backward()
    plain = vectors.detach().requires_grad_()
    targets = torch.tensor([number % 4 for number in range(8)])
    layer = opposed.classifier
    nn.functional.cross_entropy(plain @ layer.weight.T + layer.bias, targets).backward()
    assert plain.grad is not None and vectors.grad is not None
    torch.testing.assert_close(vectors.grad, -0.3 * plain.grad)


def test_the_adversary_itself_learns_by_the_whole_gradient() -> None:
    batch = tone_batch(8)
    found = []
    for weight in (0.01, 5.0):
        task = head()
        opposed = adversary(task, weight=weight)
        opposed(represented(task, batch), batch.cuts)[0].backward()
        found.append(opposed.classifier.weight.grad.clone())
    torch.testing.assert_close(found[0], found[1])


def test_the_head_gets_the_sum_of_both_gradients() -> None:
    plain = gradients(head())
    opposed = {}
    for weight in (1.0, 2.0):
        task = head()
        task.oppose(adversary(task, weight=weight))
        opposed[weight] = gradients(task)
    name = "projector.weight"
    moved = {weight: opposed[weight][name] - plain[name] for weight in opposed}
    assert moved[1.0].abs().max() > 1e-4
    torch.testing.assert_close(moved[2.0], 2 * moved[1.0], atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(opposed[1.0]["classifier.weight"], plain["classifier.weight"])


@pytest.mark.parametrize("reaches", ["head", "encoder"])
def test_what_of_the_encoder_it_reaches(reaches: str) -> None:
    plain, task = gradients(head("all")), head("all")
    task.oppose(adversary(task, reaches=reaches))
    opposed = gradients(task)
    name = "upstream.linears.0.weight"
    same = torch.allclose(opposed[name], plain[name], atol=1e-7)
    assert same == (reaches == "head")
    assert not torch.allclose(opposed["projector.weight"], plain["projector.weight"], atol=1e-6)


def test_the_encoder_runs_once_and_is_read_from_what_a_batch_brings(monkeypatch: pytest.MonkeyPatch) -> None:
    task, batch = head(), tone_batch(4)
    task.oppose(adversary(task))
    calls = []
    whole = ToyUpstream.forward
    monkeypatch.setattr(ToyUpstream, "forward", lambda self, *a, **k: calls.append(1) or whole(self, *a, **k))
    loss = task(batch)[0]
    assert len(calls) == 1
    stored = replace(batch, features=task.features(batch), wavs=torch.zeros(4, 0))
    torch.testing.assert_close(task(stored)[0], loss)


def test_a_vector_depends_on_no_other_item() -> None:
    task, batch = head(pooling="statistics").eval(), tone_batch(5)
    together = represented(task, batch)
    for index in range(5):
        length = int(batch.lengths[index])
        alone = replace(
            batch,
            wavs=batch.wavs[index : index + 1, :length],
            lengths=batch.lengths[index : index + 1],
            cuts=batch.cuts[index : index + 1],
        )
        torch.testing.assert_close(represented(task, alone)[0], together[index], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("schedule", "weights"),
    [("constant", (2.0, 2.0)), ("linear", (0.0, 1.0)), ("sigmoid", (0.0, 2 * (2 / (1 + math.exp(-5)) - 1)))],
)
def test_the_weight_has_a_course(schedule: str, weights: tuple[float, float]) -> None:
    task = head()
    task.oppose(adversary(task, weight=2.0, schedule=schedule))
    assert task.adversary is not None
    found = []
    for step in (0, 5):
        task.begin_step(step)
        found.append(task.adversary.weight)
    assert found == pytest.approx(weights)


def test_a_checkpoint_has_it_until_it_is_over() -> None:
    task = head()
    task.oppose(adversary(task, hidden=[5]))
    state = task.trainable_state()
    assert any(name.startswith("adversary.") for name in state)
    other = head()
    other.load_trainable_state(state)
    assert not any(name.startswith("adversary.") for name in other.trainable_state())
