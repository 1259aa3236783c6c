"""Encoders of every kind that engines treat differently, with one layer and random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from audiossl import Upstream, load_upstream
from audiossl.encoders.testing import noise, pad, relative_distance
from toys.core import TINY_TERA

TINY = {
    "conv_widths": (16, 16),
    "conv_kernels": (10, 8),
    "conv_strides": (5, 4),
    "width": 16,
    "num_layers": 1,
    "num_heads": 2,
    "ffn_width": 32,
    "position_kernel": 16,
    "position_groups": 2,
}
ENCODERS = {
    "base": ("wav2vec2", TINY),
    "large": (
        "wav2vec2",
        {**TINY, "conv_norm": "layer", "conv_bias": True, "pre_norm": True, "normalize": "layer_norm"},
    ),
    "wavlm": ("wavlm", TINY),
    "data2vec": ("data2vec", {**TINY, "position_depth": 2}),
    "tera": ("tera", {**TINY_TERA, "num_layers": 1}),
}


def kinds(*without: str) -> list[Any]:
    """All but some, for a test's parameters. Those whose graph has nothing of its own are `long`."""
    alike = ("large", "data2vec")
    return [pytest.param(kind, marks=[pytest.mark.long] * (kind in alike)) for kind in ENCODERS if kind not in without]


def load(kind: str, **how: Any) -> Upstream:
    name, options = ENCODERS[kind]
    return load_upstream(name, weights="random", **how, **options)


def check_engine(eager: Upstream, fast: Upstream, tolerance: float = 2e-5) -> None:
    """A padded batch, short inputs, an early stop, and a part with the statistics of a whole."""
    wavs = noise(eager, (0.0, 0.31, 1.7, 0.05))
    with torch.no_grad():
        batch = fast(*pad(wavs, 0.9))
        for index, wav in enumerate(wavs):
            alone = eager(wav[None])
            errors = map(relative_distance, batch.item(index), alone.item(0))
            assert max(errors) <= tolerance
        stopped = fast(wavs[2][None], up_to_layer=0)
        assert len(stopped.layers) == 1
        assert relative_distance(stopped.layers[0], eager(wavs[2][None]).layers[0]) <= tolerance
        if statistics := eager.statistics([3 * wavs[2] + 0.1]):
            parts = [which.encode_even(wavs[2][None], 1, statistics) for which in (fast, eager)]
            assert max(map(relative_distance, *parts)) <= tolerance


def check_compiled(kind: str, cache: Path) -> None:
    """What is compiled is as eager, in float32 and bfloat16, and kept in the cache."""
    check_engine(load(kind), load(kind, engine="compile"))
    assert len(list(cache.rglob("graph.pt2"))) == 3
    eager, half = load(kind, precision="bf16"), load(kind, precision="bf16", engine="compile")
    (wav,) = noise(eager, (0.7,))
    with torch.no_grad():
        assert max(map(relative_distance, half(wav[None]).layers, eager(wav[None]).layers)) < 0.05
