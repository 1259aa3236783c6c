"""Changed sound: levels, rooms, independence of padding and of the batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from audiossl.core.errors import ConfigError
from audiossl.nn.augmentations import Augmentation, AugmentationConfig, noise_bank
from audiossl.nn.draws import keyed_generator

RATE_HZ = 8000


def draws(number: int) -> list[torch.Generator]:
    return [keyed_generator("item", n) for n in range(number)]


def sound(number: int, size: int) -> Tensor:
    return 0.1 * torch.randn(number, size, generator=torch.Generator().manual_seed(0))


def changed(wavs: Tensor, lengths: Tensor | None = None, **settings: Any) -> Tensor:
    lengths = torch.full((len(wavs),), wavs.shape[1]) if lengths is None else lengths
    made: Tensor = Augmentation(AugmentationConfig(**settings), RATE_HZ)(wavs, lengths, draws(len(wavs)))
    return made


def test_nothing_is_changed_by_default() -> None:
    wavs = sound(2, 4000)
    assert changed(wavs) is wavs


def test_an_item_does_not_depend_on_its_padding_and_its_neighbours() -> None:
    settings: dict[str, Any] = {"reverb": 1.0, "channel": 1.0, "noise": 1.0, "gain_db": 6.0}
    wavs, lengths = sound(2, 4000), torch.tensor([3000, 4000])
    wavs[0, 3000:] = 0
    together = changed(wavs, lengths, **settings)
    alone = Augmentation(AugmentationConfig(**settings), RATE_HZ)(wavs[:1, :3000], lengths[:1], draws(1))
    torch.testing.assert_close(together[0, :3000], alone[0], rtol=1e-4, atol=1e-6)
    assert not together[0, 3000:].any()
    assert not torch.allclose(together[1], wavs[1], atol=1e-3)


def test_noise_lies_where_it_is_asked_for() -> None:
    wavs = sound(40, 4000)
    added = changed(wavs, noise=0.5, snr_db=(10.0, 10.0)) - wavs
    ratio = 10 * torch.log10(wavs.square().mean(1) / added.square().mean(1).clamp(min=1e-20))
    noisy = ratio < 100
    assert 10 <= int(noisy.sum()) <= 30
    torch.testing.assert_close(ratio[noisy], torch.full((int(noisy.sum()),), 10.0), rtol=0, atol=1e-3)


def test_a_gain_is_a_factor_and_a_room_keeps_the_level() -> None:
    wavs = sound(30, 4000)
    factors = changed(wavs, gain_db=6.0) / wavs
    assert torch.allclose(factors, factors[:, :1].expand_as(factors), rtol=1e-4)
    assert float(20 * torch.log10(factors.max())) <= 6.01
    assert float(factors.std()) > 0.1
    echoed = changed(wavs, reverb=1.0)
    assert torch.allclose(echoed.square().mean(1), wavs.square().mean(1), rtol=1e-3)
    click = torch.zeros(1, 4000)
    click[0, 1000] = 1.0
    answer = changed(click, reverb=1.0, rt60_s=(0.3, 0.3))[0]
    assert float(answer[:1000].abs().max()) < 1e-6  # a room answers afterwards
    late, early = answer[2500:2700].square().mean(), answer[1100:1300].square().mean()
    assert 0 < float(late) < 0.01 * float(early)  # 0.18 s later, of a decay by 60 dB in 0.3 s


def test_a_mixture_depends_on_the_batch_and_says_so() -> None:
    augmentation = Augmentation(AugmentationConfig(mix=1.0, mix_db=(20.0, 20.0)), RATE_HZ)
    assert not augmentation.item_wise
    wavs = sound(2, 4000)
    added = augmentation(wavs, torch.tensor([4000, 4000]), draws(2))[0] - wavs[0]
    factor = 0.1 * (wavs[0].square().mean() / wavs[1].square().mean()).sqrt()
    torch.testing.assert_close(added, factor * wavs[1], rtol=1e-3, atol=1e-6)


def test_colours_of_noise() -> None:
    bank = noise_bank()
    torch.testing.assert_close(bank.std(1), torch.ones(3))
    power = torch.fft.rfft(bank).abs().square()
    low, high = power[:, 20000:22000].mean(1), power[:, 200000:220000].mean(1)
    slopes = torch.log(low / high) / torch.log(torch.tensor(10.0))
    torch.testing.assert_close(slopes, torch.tensor([0.0, 1.0, 2.0]), rtol=0, atol=0.1)


def test_ranges_are_checked() -> None:
    with pytest.raises(ConfigError, match="snr_db"):
        AugmentationConfig(snr_db=(9.0, 3.0))
