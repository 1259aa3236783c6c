"""The check of the contract finds each way to break it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from toys.core import ToyConfig, ToyUpstream
from toys.short_sighted import short_sighted

from audiossl.core.types import Features
from audiossl.encoders.testing import check_upstream, noise, pad, perturb, relative_distance


class Mixed(ToyUpstream):
    """What a frame holds depends on all of the padded input."""

    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> list[Tensor]:
        return [layer + wavs.mean() for layer in super().encode(wavs, lengths, last)]


class Miscounted(ToyUpstream):
    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> list[Tensor]:
        return [layer[:, 1:] for layer in super().encode(wavs, lengths, last)]


class Drawn(ToyUpstream):
    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> list[Tensor]:
        return [layer * (1 + 1e-7 * torch.randn(())) for layer in super().encode(wavs, lengths, last)]


class Scaled(ToyUpstream):
    """An early stop gives something else."""

    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> list[Tensor]:
        return [layer * (2 if last == 0 else 1) for layer in super().encode(wavs, lengths, last)]


class Detached(ToyUpstream):
    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self.unused = nn.Parameter(torch.ones(3))


class Swallowing(ToyUpstream):
    """Reads half a second and says nothing of the rest."""

    max_samples = 8000

    def forward(self, wavs: Tensor, lengths: Tensor | None = None, *, up_to_layer: int | None = None) -> Features:
        kept = None if lengths is None else lengths.clamp(max=8000)
        return super().forward(wavs[:, :8000], kept, up_to_layer=up_to_layer)


class Unstated(ToyUpstream):
    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        del self.stride, self.widths


class Infinite(ToyUpstream):
    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> list[Tensor]:
        return [layer / 0 for layer in super().encode(wavs, lengths, last)]


def test_a_sound_encoder_passes_and_is_measured() -> None:
    report = check_upstream(ToyUpstream(ToyConfig()))
    assert report.padding_error < 1e-5
    assert report.frames[160] == 1
    assert report.frames[4960] == 31
    assert report.without_gradient == []


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Mixed, r"Layer 0 of item \d changes by .* mask what looks across frames"),
        (Miscounted, "num_frames"),
        (Drawn, "Two passes in eval mode differ|changes by"),
        (Scaled, "A stop at layer 0 changes"),
        (Detached, "No gradient reaches unused"),
        (Infinite, "is not finite"),
        (Swallowing, "8001 samples are beyond max_samples, and no AudioError was raised"),
        (Unstated, "The constructor must set widths, stride"),
    ],
)
def test_each_break_is_one_sentence(broken: Callable[[ToyConfig], ToyUpstream], message: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(AssertionError, match=message) as caught:
        check_upstream(broken(ToyConfig()), seconds=(0.31, 0.5, 0.4))
    assert str(caught.value).split("\n")[0].endswith(".")


def test_training_only_parameters_need_no_gradient() -> None:
    upstream = Detached(ToyConfig())
    upstream.training_only = ("unused",)  # type: ignore[misc]
    check_upstream(upstream)


def test_noise_is_never_too_short_and_the_same_each_time() -> None:
    upstream = ToyUpstream(ToyConfig())
    first, second = noise(upstream, (0.0, 0.5))
    assert (len(first), len(second)) == (160, 8000)
    assert torch.equal(noise(upstream, (0.0, 0.5))[1], second)
    assert not torch.equal(noise(upstream, (0.0, 0.5), seed=1)[1], second)


def test_padding_is_the_filler_and_perturbing_moves_everything() -> None:
    batch, lengths = pad([torch.ones(2), torch.ones(4)], 0.9)
    assert batch.tolist() == [[1, 1, pytest.approx(0.9), pytest.approx(0.9)], [1, 1, 1, 1]]
    assert lengths.tolist() == [2, 4]
    upstream = ToyUpstream(ToyConfig())
    before = [parameter.clone() for parameter in upstream.parameters()]
    perturb(upstream)
    assert all(bool((now != old).all()) for now, old in zip(upstream.parameters(), before, strict=True))


def test_distance_is_relative_to_the_second() -> None:
    assert relative_distance(torch.tensor([3.0, 0.0]), torch.tensor([2.0, 0.0])) == pytest.approx(0.5)
    assert relative_distance(torch.zeros(2), torch.zeros(2)) == 0.0


def test_a_limit_is_reached_and_not_passed() -> None:
    report = check_upstream(short_sighted(), seconds=(0.31, 0.5, 0.4))
    assert report.frames[8000] == 50
