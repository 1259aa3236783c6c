"""Encoders of every kind that engines treat differently, with one layer and random weights."""

from __future__ import annotations

from typing import Any

from audiossl import Upstream, load_upstream
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


def load(kind: str, **how: Any) -> Upstream:
    name, options = ENCODERS[kind]
    return load_upstream(name, weights="random", **how, **options)
