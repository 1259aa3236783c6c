"""wav2vec and vq-wav2vec: equal to plain torch layers, causal, quantised, padded as others pad."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from audiossl import UPSTREAMS, check_upstream, load_upstream
from audiossl.core.errors import ConfigError
from audiossl.encoders.building import build_upstream
from audiossl.encoders.testing import noise, pad, perturb

TINY: dict[str, Any] = dict(UPSTREAMS.card("wav2vec").toy)
KINDS: dict[str, dict[str, Any]] = {
    "wav2vec": {},
    "gumbel": {"quantizer": "gumbel", "activation": "gelu", "log_compression": False},
    "kmeans": {"quantizer": "kmeans", "shared_codes": False, "past": "zeros", "width": 12, "aggregator_bias": False},
}


def tiny(kind: str = "wav2vec", **options: Any) -> Any:
    made = load_upstream("wav2vec", weights="random", seed=1, **{**TINY, **KINDS[kind], **options})
    perturb(made)
    return made


def written_out(made: Any, wav: Tensor) -> list[Tensor]:
    """The hidden states (T, D_l) of one waveform (S,), by torch's own norm."""
    config = made.config
    act = F.relu if config.activation == "relu" else F.gelu

    def normed(x: Tensor, norm: Any) -> Tensor:
        return F.group_norm(x, norm.num_groups, norm.weight, norm.bias)

    x = wav[None, None]
    for conv, norm, stride in zip(made.stem.convs, made.stem.norms, config.conv_strides, strict=True):
        x = act(normed(F.conv1d(x, conv.weight, stride=stride), norm))
    x = torch.log(x.abs() + 1) if config.log_compression else x
    states = [x]
    quantizer, groups = made.quantizer, config.groups
    if config.quantizer != "none":
        books = quantizer.entries.expand(groups, -1, -1)
        if config.quantizer == "gumbel":
            scores = quantizer.logits(x[0].T).unflatten(-1, (groups, -1))
        else:
            z = normed(quantizer.project(x), quantizer.norm)[0].T.unflatten(-1, (groups, -1))
            scores = -torch.stack([torch.cdist(z[:, group], books[group]) for group in range(groups)], dim=1)
        codes = scores.argmax(-1)  # (T, G)
        x = torch.cat([books[group][codes[:, group]] for group in range(groups)], dim=-1).T[None]
        states.append(x)
    for block in made.blocks:
        taps = block.conv.kernel_size[0]
        before = x[..., :1].expand(-1, -1, taps - 1) if config.past == "first" else x.new_zeros(1, x.shape[1], taps - 1)
        new = act(normed(F.conv1d(torch.cat([before, x], -1), block.conv.weight, block.conv.bias), block.norm))
        x = (new + (x if block.shortcut is None else block.shortcut(x))) * 0.5**0.5
        states.append(x)
    return [state[0].T for state in states]


@pytest.mark.parametrize("kind", KINDS)
def test_states_are_those_of_plain_layers_and_the_contract_holds(kind: str) -> None:
    made = tiny(kind)
    assert check_upstream(made).padding_error < 1e-5
    wav = noise(made, [0.5])[0]
    with torch.no_grad():
        found, expected = made(wav[None]).layers, written_out(made, wav)
    assert len(found) == len(expected) == made.num_layers
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours[0], theirs, rtol=1e-4, atol=1e-5)


def test_what_is_quantised_is_of_the_codebooks_exactly() -> None:
    for kind in ("gumbel", "kmeans"):
        made = tiny(kind)
        wavs, lengths = pad(noise(made, [0.5, 0.3]))
        with torch.no_grad():
            states = made(wavs, lengths).layers[made.quantized_layer]
            entries = made.quantizer.entries.expand(2, -1, -1)
        for group in range(2):
            found = states[0].unflatten(-1, (2, -1))[:, group]
            assert bool((found[:, None] == entries[group]).all(-1).any(-1).all())


def test_the_context_is_causal_but_for_the_norms() -> None:
    made = tiny()
    x = torch.randn(1, 20, 16)
    later = torch.cat([x[:, :12], torch.randn(1, 8, 16)], dim=1)
    frames = torch.tensor([20])
    for block in made.blocks:  # statistics over time taken out
        block.norm.forward = lambda y, valid=None: y
    with torch.no_grad():
        ours, theirs = (made.aggregate(each, frames)[0] for each in (x, later))
    torch.testing.assert_close(ours[:12], theirs[:12])
    assert not torch.allclose(ours[12:], theirs[12:])


def test_legacy_padding_counts_it_in_the_norms() -> None:
    exact, legacy = tiny(), tiny(padding="legacy")
    wavs, lengths = pad(noise(exact, [0.5, 0.3]))
    with torch.no_grad():
        ours, theirs = exact(wavs, lengths), legacy(wavs, lengths)
        padded = written_out(legacy, wavs[1])
    assert ours.exact and not theirs.exact
    assert not torch.allclose(ours.layers[-1][1, :10], theirs.layers[-1][1, :10], atol=1e-3)
    torch.testing.assert_close(theirs.layers[-1][1], padded[-1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["wav2vec_large", "vq_wav2vec", "vq_wav2vec_kmeans"])
def test_the_cards_of_published_weights_tell_the_truth(name: str) -> None:
    card: Any = UPSTREAMS.card(name)
    with torch.device("meta"):
        made = build_upstream(name, card.options, seed=0)
    assert sum(p.numel() for p in made.parameters()) == card.num_parameters
    assert (made.stride, made.receptive_field, made.num_layers) == (160, 465, 13 + ("vq" in name))
    assert made.num_frames(10000) == 60  # as fairseq's page has it


def test_settings_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match="code_width must be 16"):
        tiny("kmeans", code_width=8)
    with pytest.raises(ConfigError, match="one entry for each convolution"):
        tiny(conv_kernels=(10, 8))
    with pytest.raises(ConfigError, match="aggregator_kernels is empty"):
        tiny(aggregator_kernels=())
    with pytest.raises(ConfigError, match="wav2vec has no quantiser; choose quantizer=gumbel or kmeans"):
        tiny().quantize(torch.zeros(1, 4, 16), None)
