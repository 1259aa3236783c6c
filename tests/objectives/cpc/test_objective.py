"""CPC: its loss written out from the equations, its draws, its quantisers, other encoders, resuming."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from audiossl import UPSTREAMS, Batch, Upstream, check_objective, load_objective, load_upstream
from audiossl.core.errors import ConfigError
from audiossl.core.types import Position
from audiossl.encoders.testing import noise, pad
from audiossl.objectives.cpc import objective

TOY: dict[str, Any] = dict(UPSTREAMS.card("wav2vec").toy)


def pretraining(
    kind: str = "none", seconds: tuple[float, ...] = (0.5, 0.3), shape: dict[str, Any] | None = None, **options: Any
) -> tuple[Any, Batch]:
    torch.manual_seed(0)
    encoder = load_upstream("wav2vec", weights="random", **{**TOY, "quantizer": kind, **(shape or {})})
    wavs, lengths = pad(noise(encoder, seconds))
    task = load_objective("cpc", encoder, **{"steps": 4, "distractors": 5, **options})
    return task, Batch(wavs, lengths, (), Position(0, 3))


@pytest.mark.parametrize("kind", ["none", "gumbel", "kmeans"])
def test_the_loss_is_that_of_the_equations(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    task, batch = pretraining(kind, diversity_weight=0.3, diversity="item", codebook_weight=2.0)
    drawn: list[Tensor] = []
    module: Any = objective
    original = module.draw_distractors

    def noted(*arguments: Any) -> Tensor:
        drawn.append(original(*arguments))
        return drawn[-1]

    monkeypatch.setattr(module, "draw_distractors", noted)
    with torch.no_grad():
        loss = task.eval().loss(batch)
        total, pairs = 0.0, 0
        for item, length in enumerate(batch.lengths.tolist()):
            wav = batch.wavs[item : item + 1, :length]
            states = task.upstream(wav).layers
            z, c = (states[0] if kind == "none" else states[1])[0], states[-1][0]
            parts, extra = [], 0.0
            for k in range(4):
                maps = (
                    task.predict_steps.weight.unflatten(0, (4, -1))[k],
                    task.predict_steps.bias.unflatten(0, (4, -1))[k],
                )
                for t in range(len(z) - k - 2):  # 2 frames on, nothing of the sound is shared
                    h, target = maps[0] @ c[t] + maps[1], t + k + 2
                    wrong = z[drawn[0][item, target]]
                    parts.append(-torch.sigmoid(z[target] @ h).log() - torch.sigmoid(-(wrong @ h)).log().sum())
            if kind == "gumbel":
                mean = task.upstream.quantize(states[0], None).probabilities[0].mean(0)
                extra = 0.3 * (16 - float(torch.special.entr(mean).sum(-1).exp().sum())) / 16
            if kind == "kmeans":
                quantizer = task.upstream.quantizer
                rounded = quantizer.norm(quantizer.project(states[0].transpose(1, 2)))[0].T
                extra = 2.0 * 1.25 * float((rounded - z).square().mean())
            total, pairs = total + float(sum(parts)) + extra * len(parts), pairs + len(parts)
    assert float(loss.weight) == pairs
    assert float(loss.total) == pytest.approx(total / pairs, rel=1e-5)


@pytest.mark.parametrize("kind", ["gumbel", "kmeans"])
def test_contract(kind: str) -> None:
    task, _ = pretraining(kind, diversity="item", diversity_weight=0.1)
    report = check_objective(task, seconds=(0.2, 0.12), steps=5)
    assert report.batch_error < 1e-5 and not report.without_gradient


def test_the_published_defaults() -> None:
    task, _ = pretraining(
        shape={"conv_kernels": (10, 8, 4, 4, 4), "conv_strides": (5, 4, 2, 2, 2), "conv_widths": (8,) * 5}
    )
    assert task.first_step == 3  # a receptive field of 465 samples in steps of 160
    config = objective.CpcConfig()
    assert (config.steps, config.distractors, config.diversity_weight, config.codebook_weight) == (12, 10, 0.0, 1.0)
    assert pretraining("gumbel")[0].item_wise
    assert not pretraining("gumbel", diversity_weight=0.1)[0].item_wise
    assert pretraining("kmeans", diversity_weight=0.1)[0].item_wise


def test_codes_are_drawn_in_training_by_a_temperature_that_follows_from_the_step() -> None:
    task, batch = pretraining("gumbel")
    with torch.no_grad():
        likeliest, drawn = (float(task.train(training).loss(batch).total) for training in (False, True))
        assert likeliest != drawn
    for step, expected in ((0, 2.0), (100_000, 2.0 * 0.999995**100_000), (400_000, 0.5)):
        task.begin_step(step)
        assert task.temperature == pytest.approx(expected)
        assert float(task.loss(batch).logs["temperature"]) == pytest.approx(expected)


def test_sound_that_is_too_short_counts_nothing_and_can_be_trained_on() -> None:
    task, batch = pretraining("gumbel", seconds=(0.02,))
    loss = task.train().loss(batch)
    loss.total.backward()
    assert (float(loss.total.detach()), float(loss.weight)) == (0.0, 0.0)
    assert task.shortest_s == pytest.approx((320 + 2 * 160) / 16000)


class Recurrent(Upstream):
    """Another causal encoder: blocks of samples into a GRU."""

    is_causal = True

    def __init__(self) -> None:
        super().__init__()
        self.stride = self.receptive_field = 160
        self.num_features, self.widths = 12, (12, 10)
        self.stem, self.inner = nn.Linear(160, 12), nn.GRU(12, 10, batch_first=True)

    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> list[Tensor]:
        return self.contextualize(self.local_features(wavs, lengths), self.num_frames(lengths), last)

    def local_features(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        return self.stem(wavs.unfold(1, 160, 160)).tanh()  # type: ignore[no-any-return]

    def embed(self, x: Tensor) -> Tensor:
        return x

    def contextualize(self, x: Tensor, frames: Tensor, last: int) -> list[Tensor]:
        return [x, self.inner(x)[0]][: last + 1]


def test_any_causal_encoder_will_do_and_no_other() -> None:
    torch.manual_seed(0)
    task = load_objective("cpc", Recurrent(), steps=3, distractors=4)
    assert check_objective(task, seconds=(0.2, 0.12), steps=5).batch_error < 1e-5
    with pytest.raises(ConfigError, match="'mel_transformer' has no is_causal"):
        load_objective("cpc", load_upstream("mel_transformer", weights="random", width=16, num_layers=1, num_heads=2))


def test_a_resumed_run_goes_on_exactly_and_learns() -> None:
    def steps(one: Any, numbers: range) -> list[float]:
        losses = []
        for step in numbers:
            one.begin_step(step)
            loss = one.loss(batch).total
            one.zero_grad()
            loss.backward()
            with torch.no_grad():
                for parameter in one.parameters():
                    parameter.sub_(0.02 * parameter.grad)
            losses.append(float(loss.detach()))
        return losses

    task, batch = pretraining("gumbel", temperature_decay=0.8)
    whole = steps(task.train(), range(6))
    twin, resumed = (pretraining("gumbel", temperature_decay=0.8)[0].train() for _ in range(2))
    steps(twin, range(3))
    resumed.load_trainable_state(twin.trainable_state())
    assert steps(resumed, range(3, 6)) == whole[3:]
    assert whole[-1] < whole[0]


@pytest.mark.slow
def test_which_tone_comes_is_learnt() -> None:
    draw = torch.Generator().manual_seed(0)
    tones = [torch.sin(2 * torch.pi * hz * torch.arange(3200) / 16000) for hz in (200, 500, 1100, 2300, 4100)]
    wavs = torch.stack([torch.cat([tones[place] for place in torch.randperm(5, generator=draw)]) for _ in range(4)])
    batch = Batch(0.3 * wavs + 0.01 * torch.randn(wavs.shape, generator=draw), torch.full((4,), 16000), ())
    task = pretraining()[0].train()
    optimizer = torch.optim.Adam(task.parameters(), lr=5e-3)
    for _ in range(60):
        loss = task.loss(batch)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
    assert float(loss.logs["accuracy"]) > 0.3  # by chance it is a sixth
