"""Several encoders as one give what each gives alone, at the same times."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from toys.core import TINY_TERA, ToyConfig, ToyUpstream

from audiossl import check_upstream, load_upstream
from audiossl.core.errors import ConfigError
from audiossl.encoders.finetuning import FinetuneConfig, make_trainable, set_training_mode
from audiossl.encoders.joined import JoinedUpstream
from audiossl.encoders.long_states import long_moments, long_states
from audiossl.encoders.testing import noise, pad
from audiossl.encoders.upstream import Upstream


class Fractions(Upstream):
    """A frame every `stride` samples, around multiples of it, with their place in seconds as its only number."""

    def __init__(self, stride: int, window: int = 1, edge: int = 0) -> None:
        super().__init__()
        self.stride, self.receptive_field, self.edge, self.widths = stride, window, edge, (1,)

    def encode(self, wavs: torch.Tensor, lengths: torch.Tensor, last: int) -> list[torch.Tensor]:
        places = torch.arange(self.num_frames(wavs.shape[1])) * self.stride + (self.receptive_field - 1) / 2 - self.edge
        return [places[None, :, None].expand(len(wavs), -1, 1)]


@pytest.mark.parametrize("join", ["frames", "pooled"])
@pytest.mark.parametrize("other", ["log_mel", "fbank"])
def test_the_contract_of_an_encoder_holds(join: str, other: str) -> None:
    check_upstream(JoinedUpstream([load_upstream("tera", weights="random", **TINY_TERA), load_upstream(other)], join))


def test_layers_are_those_of_the_members_alone() -> None:
    names = "log_mel + spectrogram"
    upstream, parts = load_upstream(names), [load_upstream(name) for name in names.split(" + ")]
    assert upstream.name == names
    wavs, lengths = pad(noise(upstream, [0.4, 0.31]))
    alone = [part(wavs, lengths) for part in parts]
    found = upstream(wavs, lengths)
    assert found.lengths.tolist() == alone[0].lengths.tolist()
    for layer, single in zip(found.layers, [one.layers[0] for one in alone], strict=True):
        torch.testing.assert_close(layer, single, rtol=1e-5, atol=1e-5)
    pooled = load_upstream(names, join="pooled")(wavs, lengths)
    for layer, single in zip(pooled.layers, alone, strict=True):
        for item in range(2):
            torch.testing.assert_close(layer[item, 0], single.item(item)[0].mean(0), rtol=1e-5, atol=1e-5)


def test_frames_of_another_rate_are_averaged_around_the_time_of_each() -> None:
    """Where frames are dense on both sides, the mean time of those that are joined is the time of the frame."""
    coarse, fine = Fractions(320, 401, 200), Fractions(80, 81)
    grid, own = JoinedUpstream([coarse, fine])(torch.zeros(1, 3200)).layers
    assert grid.shape == own.shape
    inside = slice(1, grid.shape[1] - 1)
    torch.testing.assert_close(own[:, inside], grid[:, inside])
    # By hand: the first has its centre at 0, and frames at 40, 120 and, on the border, none at 160: (40 + 120) / 2.
    assert own[0, 0, 0] == 80


def test_a_frame_on_the_border_counts_half_to_each_side() -> None:
    """Centres 0, 160, 320, ... beside 0, 320, ...: 160 is as near to 0 as to 320."""
    coarse, fine = Fractions(320), Fractions(160)
    own = JoinedUpstream([coarse, fine])(torch.zeros(1, 1000)).layers[1][0, :, 0]
    assert own.tolist() == pytest.approx([(2 * 0 + 160) / 3, 320, 640, (2 * 960 + 800) / 3])


def test_a_shift_of_equal_strides_is_undone() -> None:
    """Frame k of the second lies a stride and a half later than frame k of the first."""
    early, late = Fractions(320), Fractions(320, 961)
    times = JoinedUpstream([early, late])(torch.zeros(1, 4000)).layers
    # Its first frame lies at 480, between frames 1 and 2 of the grid, and counts for both.
    assert times[1][0, :, 0].tolist()[:5] == [480, 480, 640, 960, 1280]


def test_a_long_recording_is_joined_as_the_whole_is() -> None:
    wav = noise(load_upstream("log_mel"), [65.0])[0]
    for join in ("frames", "pooled"):
        upstream = load_upstream("log_mel + mfcc", join=join, mfcc={"cmvn": False})
        whole = upstream(wav[None])
        for make in (long_states, long_moments):
            found = make(upstream, wav, (0, 1))
            for one, layer in zip(found.layers, whole.layers, strict=True):
                expected = layer if make is long_states else layer.mean(1, keepdim=True)
                torch.testing.assert_close(one, expected, rtol=1e-4, atol=1e-4)


def test_some_members_train_and_the_others_stay() -> None:
    upstream = load_upstream("tera + tera", weights="random", **{"1": TINY_TERA, "2": TINY_TERA})
    assert isinstance(upstream, JoinedUpstream)
    first, second = upstream.parts
    make_trainable(upstream, FinetuneConfig(mode="all", members=["2"]))
    assert not any(p.requires_grad for p in first.parameters())
    assert all(p.requires_grad for p in second.blocks.parameters())
    set_training_mode(upstream, training=True)
    assert not any(module.training for module in first.modules())
    assert second.blocks.training
    # By name both are meant, and of the second no block beyond the layer that is read.
    upstream.read_to([None, 1])
    make_trainable(upstream, FinetuneConfig(mode="top_k", top_k=1, members=["tera"]))
    assert all(p.requires_grad for p in first.blocks[-1].parameters())
    assert [all(p.requires_grad for p in block.parameters()) for block in second.blocks] == [True, False]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"join": "late"}, "upstream_options.join=late: choose frames or pooled."),
        ({"cmvn": False}, "as in upstream_options.log_mel.cmvn=..."),
        ({"mfcc": 3}, "upstream_options.mfcc=3: options of one part are a mapping"),
    ],
)
def test_options_that_belong_to_nobody(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace(".", r"\.")):
        load_upstream("log_mel + mfcc", **options)


def test_what_cannot_be_joined_says_why() -> None:
    with pytest.raises(ConfigError, match="comes every 320 samples and one of Fractions every 200, which is no whole"):
        JoinedUpstream([Fractions(320), Fractions(200)])
    assert JoinedUpstream([Fractions(320), Fractions(200)], "pooled").num_frames(5000) == 1
    other = ToyUpstream(ToyConfig())
    other.sample_rate_hz = 8000
    with pytest.raises(ConfigError, match=r"16000 Hz and ToyUpstream 8000 Hz, so they cannot be joined; take"):
        JoinedUpstream([Fractions(320), other])
    with pytest.raises(ConfigError, match="a frame|at least two"):
        JoinedUpstream([Fractions(320)])
    with pytest.raises(ConfigError, match=r"finetune.members has 'fbank', and the upstreams are log_mel, mfcc"):
        make_trainable(load_upstream("log_mel + mfcc"), FinetuneConfig(mode="all", members=["fbank"]))
    with pytest.raises(ConfigError, match="chooses among several upstreams"):
        make_trainable(load_upstream("log_mel"), FinetuneConfig(mode="all", members=["log_mel"]))
