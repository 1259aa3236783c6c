"""Gradients as features: of what they are, that they repeat, and that they join what was there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from audiossl.analysis.functionals import functionals_of
from audiossl.analysis.gradients import LayerLosses, attention_weight, joined_with_gradients
from audiossl.core.errors import ConfigError
from audiossl.data.manifests import read_manifest
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.upstream import Upstream


@pytest.fixture(scope="module")
def encoder() -> Upstream:
    tiny = {"width": 16, "num_layers": 2, "num_heads": 2, "ffn_width": 32}
    return load_upstream("tera", weights="random", **tiny)


def test_gradients_join_and_repeat(encoder: Upstream, corpus: Path) -> None:
    cuts = {split: read_manifest(corpus / f"{split}.jsonl.gz") for split in ("dev", "test")}
    cuts = {"train": cuts["dev"], "test": cuts["test"]}
    splits = {split: functionals_of(encoder, rows, [2]) for split, rows in cuts.items()}
    joined = joined_with_gradients(encoder, cuts, splits, ["kl", "simclr"], seed=0)
    again = joined_with_gradients(encoder, cuts, splits, ["kl", "simclr"], seed=0)
    for split, rows in joined.items():
        assert rows.ids == splits[split].ids
        assert len(rows.layers[2]) == len(rows.ids) and np.isfinite(rows.layers[2]).all()
        np.testing.assert_array_equal(rows.layers[2], again[split].layers[2])
    assert abs(joined["train"].layers[2].mean(axis=0)).max() < 1e-5
    assert not any(parameter.requires_grad for parameter in encoder.parameters())


def test_a_sketch_keeps_inner_products(encoder: Upstream, corpus: Path) -> None:
    splits = functionals_of(encoder, read_manifest(corpus / "dev.jsonl.gz"), [2])
    layer = LayerLosses.of(attention_weight(encoder, 2), splits, 2, seed=0)
    draw = torch.Generator().manual_seed(0)
    gradient = torch.randn(16, 16, generator=draw)
    near = gradient + 0.1 * torch.randn(16, 16, generator=draw)
    assert float(layer.sketch(gradient) @ layer.sketch(near)) > 0.95
    # A uniform softmax is what the first loss asks for: nothing is lower.
    uniform = layer.loss("kl", layer.mean.expand(3, -1), "none")
    assert float(uniform) == pytest.approx(np.log(128), abs=1e-5)


def test_encoders_without_such_a_gradient_say_so(encoder: Upstream) -> None:
    with pytest.raises(ConfigError, match="layer 0 is made by no block; choose others by --layers 1-2"):
        attention_weight(encoder, 0)
    with pytest.raises(ConfigError, match="log_mel has 0 for 1 layers; leave it out"):
        attention_weight(load_upstream("log_mel"), 0)
