"""Every registered upstream passes the contract, and every upstream x interface x task trains and saves at toy size.

By default all pairs of an upstream, an interface and a task; the whole product is slow.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import torch
from lhotse import MonoCut, SupervisionSegment
from torch.func import functional_call, vmap

from audiossl import DOWNSTREAMS, INTERFACES, UPSTREAMS, Batch, Upstream, load_upstream
from audiossl.core.cards import UpstreamCard
from audiossl.core.config import structured
from audiossl.core.errors import ConfigError
from audiossl.core.types import Features
from audiossl.encoders.building import build_upstream
from audiossl.encoders.hub import published
from audiossl.encoders.testing import check_upstream, noise, pad
from audiossl.training.downstream import Downstream
from audiossl.training.interface import build_interface

# Normalised over the utterance: their mean over time is zero, so a linear head before the mean learns nothing.
ZERO_MEAN = {"fbank", "mfcc"}
TOY = {"width": 16, "num_layers": 2, "num_heads": 2, "ffn_width": 32}


def contract_names() -> list[str]:
    """Each encoder's code once: of published weights only those whose family has no name for its architecture.

    The others are in tests/upstreams/test_published_cards.py.
    """
    cards = {name: UPSTREAMS.card(name) for name in UPSTREAMS.names()}
    unpublished = {name: card for name, card in cards.items() if not published(getattr(card, "weights", ""))}
    covered = {card.target for card in unpublished.values()}
    return [name for name, card in cards.items() if name in unpublished or card.target not in covered]


NAMES = contract_names()


def has_no_weights_here(card: UpstreamCard) -> bool:
    return card.architecture or published(card.weights)


def toy(name: str) -> Upstream:
    """The upstream at toy size where it has no weights here; as it ships where it has some or needs none."""
    card = UPSTREAMS.card(name)
    assert isinstance(card, UpstreamCard)
    return build(name, **(card.toy or TOY)) if has_no_weights_here(card) else build(name)


def build(name: str, **options: Any) -> Upstream:
    """Random weights where the name has none here; skips the test where an optional package is missing."""
    card = UPSTREAMS.card(name)
    assert isinstance(card, UpstreamCard)
    try:
        return load_upstream(name, weights="random" if has_no_weights_here(card) else "pretrained", **options)
    except ConfigError as error:
        if isinstance(error.__cause__, ImportError):
            pytest.skip(str(error))
        raise


@pytest.mark.parametrize("name", NAMES)
def test_upstream_contract(name: str) -> None:
    report = check_upstream(toy(name))
    assert report.padding_error <= 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_card_tells_the_truth(name: str) -> None:
    card = UPSTREAMS.card(name)
    assert isinstance(card, UpstreamCard)
    assert card.summary
    if card.architecture and not card.num_parameters:  # a name without a size of its own
        assert toy(name).sample_rate_hz == card.sample_rate_hz
        return
    if has_no_weights_here(card):
        with torch.device("meta"):  # the size without the memory
            upstream = build_upstream(name, card.options, seed=0)
    else:
        upstream = build(name)
    assert upstream.sample_rate_hz == card.sample_rate_hz
    assert sum(p.numel() for p in upstream.parameters()) == card.num_parameters


def labelled_batch(upstream: Upstream) -> Batch:
    """Four items with all that a manifest row can say."""
    wavs, lengths = pad(noise(upstream, [0.4, 0.25, 0.3, 0.4]))
    return Batch(wavs, lengths, tuple(row(i, int(n) / upstream.sample_rate_hz) for i, n in enumerate(lengths)))


def row(number: int, duration_s: float) -> MonoCut:
    facts = {"text": ("a b", "b a")[number % 2], "speaker": f"speaker {number % 2}", "language": "en"}
    segment = SupervisionSegment(
        id=f"item{number}",
        recording_id=f"item{number}",
        start=0,
        duration=duration_s,
        custom={"label": "ab"[number % 2]},
        **facts,
    )
    return MonoCut(id=f"item{number}", start=0, duration=duration_s, channel=0, supervisions=[segment])


def assemble(upstream: Upstream, interface: str, downstream: str, batch: Batch) -> Downstream:
    torch.manual_seed(0)
    made = build_interface(interface, upstream.widths, {"width": 12} if interface == "pca" else {})
    kind, options = DOWNSTREAMS.load(downstream), DOWNSTREAMS.card(downstream).toy
    config = kind.complete(structured(kind.Config, {**DOWNSTREAMS.card(downstream).options, **options}), batch.cuts)
    task: Downstream = kind(upstream, made, config)
    if task.needs_fit:
        task.fit([batch])
    return task


def nearly(value: Any) -> Any:
    """Numbers up to rounding, at any depth; everything else as it is."""
    if isinstance(value, dict):
        return {key: nearly(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [nearly(inner) for inner in value]
    return pytest.approx(value, abs=1e-4, rel=1e-4) if isinstance(value, float) else value


INTERFACE, DOWNSTREAM = "weighted_sum", "utterance_classification"
EVERYTHING = list(product(NAMES, INTERFACES.names(), DOWNSTREAMS.names()))
PAIRS = [(n, i, d) for n, i, d in EVERYTHING if (n == "tera") + (i == INTERFACE) + (d == DOWNSTREAM) >= 1]


@pytest.mark.parametrize(
    ("name", "interface", "downstream"),
    [pytest.param(*case, marks=[] if case in PAIRS else pytest.mark.slow) for case in EVERYTHING],
)
def test_everything_fits_everything(name: str, interface: str, downstream: str) -> None:
    upstream = toy(name)
    batch = labelled_batch(upstream)
    task = assemble(upstream, interface, downstream, batch)

    optimizer = torch.optim.Adam([p for p in task.parameters() if p.requires_grad], lr=1e-4)
    task.train()
    losses = []
    encoded = batch if task.reads_waveforms else replace(batch, features=task.features(batch))
    for seen in [batch, *[encoded] * 9]:
        loss = task.loss(seen)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        losses.append(float(loss.total.detach()))
    assert all(map(math.isfinite, losses))
    if name not in ZERO_MEAN:
        assert min(losses[1:]) < losses[0]
    assert all(p.grad is None for p in task.upstream.parameters()), "a frozen upstream got gradients"

    task.eval()
    together = task.predict(batch)
    for index, found in enumerate(together):
        one = slice(index, index + 1)
        wav = batch.wavs[one, : int(batch.lengths[index])]
        (alone,) = task.predict(Batch(wav, batch.lengths[one], batch.cuts[one]))
        assert alone == nearly(found)

    again = assemble(toy(name), interface, downstream, batch)
    again.load_trainable_state(task.trainable_state())
    assert again.eval().predict(batch) == together


HEADS = list(product(INTERFACES.names(), DOWNSTREAMS.names()))


@pytest.mark.parametrize(("interface", "downstream"), HEADS)
def test_a_head_that_commutes_with_the_mean_needs_no_more(interface: str, downstream: str) -> None:
    upstream = toy("tera")
    batch = labelled_batch(upstream)
    task = assemble(upstream, interface, downstream, batch)
    claimed = task.commutes_with_mean and task.interface.commutes_with_mean
    assert claimed or (interface, downstream) != (INTERFACE, DOWNSTREAM)
    if not claimed:
        return
    features = task.features(batch)
    valid = (torch.arange(features.layers[0].shape[1]) < features.lengths[:, None])[..., None]
    means = [(layer * valid).sum(dim=1, keepdim=True) / valid.sum(dim=1, keepdim=True) for layer in features.layers]
    ones = torch.ones(len(batch), dtype=torch.int64)
    pooled = Batch(torch.zeros(len(batch), 0), batch.lengths, batch.cuts, None, Features(tuple(means), ones))
    for mode in (True, False):
        task.train(mode)
        torch.testing.assert_close(task.loss(pooled).total, task.loss(batch).total, atol=1e-5, rtol=1e-5)
    assert task.predict(pooled) == nearly(task.predict(batch))


@pytest.mark.parametrize(("interface", "downstream"), HEADS)
def test_heads_that_are_stackable_are_computed_as_one(interface: str, downstream: str) -> None:
    upstream = toy("tera")
    batch = labelled_batch(upstream)
    task = assemble(upstream, interface, downstream, batch).train()
    claimed = task.stackable and task.interface.stackable
    assert claimed or (interface, downstream) != (INTERFACE, DOWNSTREAM)
    if not claimed:
        return
    own = {name: p.detach() for name, p in task.named_parameters() if p.requires_grad}
    heads = [own, {name: p + 0.1 * torch.randn_like(p) for name, p in own.items()}]
    alone = torch.stack([functional_call(task, head, (batch,))[0] for head in heads])
    whole = {name: torch.stack([head[name] for head in heads]) for name in own}
    together = vmap(lambda parameters: functional_call(task, parameters, (batch,))[0])(whole)
    assert float((alone[0] - alone[1]).detach().abs()) > 1e-3
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
