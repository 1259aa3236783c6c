"""Every registered plug-in passes its contract, and every upstream x interface x task trains and saves at toy size.

By default each of them with the usual others. All pairs are slow, and run in CI. The whole product is long.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from lhotse import MonoCut, SupervisionSegment

from audiossl import (
    DOWNSTREAMS,
    INTERFACES,
    OBJECTIVES,
    UPSTREAMS,
    Batch,
    Downstream,
    Upstream,
    check_downstream,
    check_interface,
    check_objective,
    check_upstream,
    load_objective,
    load_upstream,
)
from audiossl.core.cards import UpstreamCard
from audiossl.core.config import structured
from audiossl.core.errors import ConfigError, LabelError
from audiossl.encoders.building import build_upstream
from audiossl.encoders.hub import published
from audiossl.encoders.row_upstream import RowUpstream
from audiossl.encoders.testing import noise, pad
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
    # What reads rows and no sound is tested in its own folder.
    heard = [name for name in cards if not issubclass(UPSTREAMS.load(name), RowUpstream)]
    return [name for name in heard if name in unpublished or cards[name].target not in covered]


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
        custom={
            "label": "ab"[number % 2],
            "take": str(number % 3),
            "rating": str(1 + number),
            "slots": "B-x a E-x b",
            "query": "a" if number == 0 else "",
            "terms": "ab"[number % 2],
        },
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


INTERFACE, DOWNSTREAM = "weighted_sum", "utterance_classification"
EVERYTHING = list(product(NAMES, INTERFACES.names(), DOWNSTREAMS.names()))


def marks(name: str, interface: str, downstream: str) -> list[pytest.MarkDecorator]:
    """None where one of the three varies alone, slow where two do, long where all do."""
    usual = (name == "tera") + (interface == INTERFACE) + (downstream == DOWNSTREAM)
    return [[pytest.mark.slow, pytest.mark.long], [pytest.mark.slow], [], []][usual]


@pytest.mark.parametrize(
    ("name", "interface", "downstream"), [pytest.param(*case, marks=marks(*case)) for case in EVERYTHING]
)
def test_everything_fits_everything(name: str, interface: str, downstream: str) -> None:
    upstream = toy(name)
    batch = labelled_batch(upstream)
    try:
        task = assemble(upstream, interface, downstream, batch)
        check_downstream(task, batch, learns=name not in ZERO_MEAN)
    except (ConfigError, LabelError) as refused:
        if not upstream.one_frame:
            raise
        pytest.skip(f"a recording is one frame to {name}: {refused}")

    if not task.trains:
        task.assemble(task.predict(batch), "dev")  # it chooses
    again = assemble(toy(name), interface, downstream, batch)
    again.load_trainable_state(task.trainable_state())
    assert again.eval().predict(batch) == task.eval().predict(batch)


def test_what_the_shortcuts_of_cache_and_sweeps_stand_on_is_claimed() -> None:
    """`check_downstream` proves the claims; the most usual head must not stop to make them."""
    upstream = toy("tera")
    task = assemble(upstream, INTERFACE, DOWNSTREAM, labelled_batch(upstream))
    assert task.commutes_with_mean
    assert task.interface.commutes_with_mean
    assert task.stackable
    assert task.interface.stackable


@pytest.mark.parametrize("name", INTERFACES.names())
@pytest.mark.parametrize("widths", [(6,), (6,) * 13, (6, 4, 9)], ids=str)
def test_interface_contract(name: str, widths: tuple[int, ...]) -> None:
    for width in (None, 5):
        torch.manual_seed(0)
        check_interface(build_interface(name, widths, {"width": width}))


def pre_trained_by(objective: str) -> list[str]:
    """The encoders whose cards name it; of an objective that none names, the first that has what it needs."""
    named = [name for name in NAMES if getattr(UPSTREAMS.card(name), "objective", "") == objective]
    fitting = (name for name in NAMES if all(hasattr(toy(name), need) for need in OBJECTIVES.load(objective).needs))
    return named or [next(fitting)]


@pytest.mark.parametrize("objective", OBJECTIVES.names())
def test_objective_contract(objective: str) -> None:
    for name in pre_trained_by(objective):
        torch.manual_seed(0)
        check_objective(load_objective(objective, toy(name), **OBJECTIVES.card(objective).toy))


def test_the_objectives_that_encoders_name_are_there() -> None:
    named = {getattr(UPSTREAMS.card(name), "objective", "") for name in UPSTREAMS.names()} - {""}
    assert "tera" in named
    assert named <= set(OBJECTIVES.names())
