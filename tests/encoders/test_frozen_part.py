"""What fine-tuning leaves of an encoder: how far it reaches, and that the rest goes on from it as from sound."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from audiossl import load_upstream
from audiossl.core.errors import ConfigError
from audiossl.core.types import Features
from audiossl.encoders.building import build_upstream
from audiossl.encoders.finetuning import FinetuneConfig, make_trainable, set_training_mode
from audiossl.encoders.frozen_part import STEM, FrozenPart, JoinedFrozenPart, frozen_part, gone_on, kept_up_to
from audiossl.encoders.joined import JoinedUpstream
from audiossl.encoders.upstream import Upstream
from audiossl.encoders.waveform.cards import WAVEFORM_TOY

MASKS = {"mask_time_prob": 0.3, "mask_feature_prob": 0.2, "mask_feature_length": 2, "mask_time_length": 2}


def encoder(name: str = "wav2vec2", finetune: dict[str, Any] | None = None, **options: Any) -> Upstream:
    upstream = build_upstream(name, {**WAVEFORM_TOY, "num_layers": 3, **options}, 0)
    make_trainable(upstream, FinetuneConfig(**(finetune or {"mode": "top_k", "top_k": 1})))
    set_training_mode(upstream, True)
    return upstream


@pytest.mark.parametrize(
    ("finetune", "options", "point"),
    [
        ({"mode": "top_k", "top_k": 1}, {}, 2),
        ({"mode": "top_k", "top_k": 3}, {}, 0),
        ({"mode": "blocks", "blocks": "1"}, {}, 1),
        ({"mode": "top_k", "top_k": 1}, MASKS, STEM),
        ({"mode": "norm_and_bias"}, {}, STEM),
        ({"mode": "all"}, {}, STEM),
        ({"mode": "all", "freeze_stem": False}, {}, None),
    ],
)
def test_how_far_it_reaches(finetune: dict[str, Any], options: dict[str, Any], point: int | None) -> None:
    assert kept_up_to(encoder(finetune=finetune, **options)) == point


def test_an_encoder_that_cannot_be_divided_has_none() -> None:
    upstream = build_upstream("log_mel", {}, 0)
    assert frozen_part(upstream) is None


@pytest.mark.parametrize("name", ["wav2vec2", "wavlm"])
@pytest.mark.parametrize("layout", ["packed", "padded"])
@pytest.mark.parametrize("options", [{}, MASKS, {"pre_norm": True, "conv_norm": "layer"}])
@pytest.mark.parametrize("finetune", [{"mode": "top_k", "top_k": 2}, {"mode": "all"}])
def test_in_training_the_rest_gives_what_the_whole_does(
    name: str, layout: Any, options: dict[str, Any], finetune: dict[str, Any]
) -> None:
    upstream: Any = encoder(name, finetune, **options)
    upstream.layout = layout
    wavs, lengths = torch.randn(2, 8000, generator=torch.Generator().manual_seed(0)), torch.tensor([8000, 5000])
    part = frozen_part(upstream)
    assert part is not None
    with torch.no_grad():
        begun = replace(part(wavs, lengths), begun=True)
    torch.manual_seed(3)
    whole = upstream(wavs, lengths)
    torch.manual_seed(3)
    rest = gone_on(upstream, begun, None)
    for number in range(2):  # of each item, its own frames
        for a, b in zip(rest.item(number), whole.item(number), strict=True):
            torch.testing.assert_close(a, b)
    rest.layers[-1].sum().backward()
    assert any(parameter.grad is not None for parameter in upstream.blocks.parameters())


def test_a_norm_that_trains_is_applied_to_what_is_kept() -> None:
    """MelTransformer's states are read through the norm of the next block, which trains with that block."""
    upstream: Any = load_upstream("distil_mini")
    make_trainable(upstream, FinetuneConfig(mode="top_k", top_k=1))
    part = frozen_part(upstream)
    assert part is not None
    wavs = 0.1 * torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        begun = replace(part(wavs), begun=True)
        upstream.blocks[-1].attention_norm.weight.mul_(2.0)
        for a, b in zip(gone_on(upstream, begun, None).layers, upstream(wavs).layers, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_what_is_kept_are_layers_that_are_read_and_what_the_rest_goes_on_from() -> None:
    part = FrozenPart(encoder(), 2)
    assert part.widths == (16,) * 4
    assert part.layers_for((0, 1, 2, 3)) == (0, 1, 3)  # state 2 comes again
    assert part.layers_for((3,)) == (3,)
    assert FrozenPart(part.whole, STEM).layers_for((0, 3)) == (0,)


def test_its_fingerprint_is_of_what_does_not_train() -> None:
    part = FrozenPart(encoder(), 2)
    before = part.fingerprint
    with torch.no_grad():
        next(part.whole.blocks[2].parameters()).add_(1.0)  # type: ignore[operator, index, union-attr]
        assert part.fingerprint == before
        next(part.whole.blocks[1].parameters()).add_(1.0)  # type: ignore[operator, index, union-attr]
    assert part.fingerprint != before


def test_joined_encoders_have_a_part_where_all_that_train_have_one() -> None:
    trains, other = encoder(), build_upstream("wav2vec2", WAVEFORM_TOY, 1).requires_grad_(False)
    part = frozen_part(JoinedUpstream([other, trains]))
    assert isinstance(part, JoinedFrozenPart)
    assert part.parts[0] is other and isinstance(part.parts[1], FrozenPart)
    whole = WAVEFORM_TOY["num_layers"] + 1
    assert part.layers_for((0, whole, whole + 1, whole + 3)) == (0, whole, whole + 1, whole + 3)
    everything = encoder(finetune={"mode": "all", "freeze_stem": False})
    assert frozen_part(JoinedUpstream([other, everything])) is None


def test_layers_that_nobody_reads_may_have_no_frames() -> None:
    upstream = encoder()
    part = FrozenPart(upstream, 2)
    layers = part(torch.randn(1, 4000)).layers
    begun = Features((*(layer[:, :0] for layer in layers[:-1]), layers[-1].half()), torch.tensor([12]), begun=True)
    made = gone_on(upstream, begun, 3)
    assert [layer.shape[1] for layer in made.layers] == [0, 0, 12, 12]
    assert {layer.dtype for layer in made.layers} == {torch.float32}


def test_a_recording_beyond_memory_is_refused() -> None:
    with pytest.raises(ConfigError, match="A recording is too long for wav2vec2 to be encoded whole"):
        FrozenPart(encoder(), 1).statistics([])
