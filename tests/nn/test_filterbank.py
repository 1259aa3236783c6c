"""Spectral front ends: frames of an item do not depend on its batch, and each step equals its formula."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from audiossl.core.errors import ConfigError
from audiossl.encoders.testing import pad, relative_distance
from audiossl.nn import filterbank

RATE_HZ = 16000
FRONTENDS = {
    "log_mel": lambda: filterbank.CentredLogMel(RATE_HZ, 20),
    "spectrogram": lambda: filterbank.CentredSpectrogram(RATE_HZ),
    "fbank": lambda: filterbank.KaldiFbank(RATE_HZ, 20),
    "mfcc": lambda: filterbank.KaldiMfcc(RATE_HZ),
}


def wav(samples: int, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", FRONTENDS)
def test_items_of_a_batch_are_as_alone_on_any_device(kind: str) -> None:
    front = FRONTENDS[kind]()
    items = [wav(4000), wav(1531, 1), wav(800, 2)]
    wavs, lengths = pad(items)
    together, by_bands = front(wavs, lengths), front.bands(wavs, lengths)  # bands: what a GPU runs
    for index, item in enumerate(items):
        alone = front(item[None], torch.tensor([len(item)]))[0]
        assert len(alone) == (len(item) + 2 * front.edge - front.win) // front.hop + 1
        assert relative_distance(together[index, : len(alone)], alone) < 1e-6
        assert relative_distance(by_bands[index, : len(alone)], alone) < 1e-5


@pytest.mark.parametrize("pad_by", [1, 7])
def test_each_item_is_mirrored_at_its_own_end(pad_by: int) -> None:
    wavs, lengths = pad([wav(20), wav(11, 1)])
    padded = filterbank.reflect_ends(wavs, lengths, pad_by)
    for index, length in enumerate(lengths.tolist()):
        expected = torch.nn.functional.pad(wavs[index : index + 1, :length], (pad_by, pad_by), mode="reflect")[0]
        assert torch.equal(padded[index, : len(expected)], expected)
        assert not padded[index, len(expected) :].any()


def test_level_is_that_of_each_item() -> None:
    wavs, lengths = pad([wav(400), 5 * wav(100, 1), torch.zeros(50)])
    made = filterbank.set_level(wavs, lengths, -20.0)
    for index, length in enumerate(lengths.tolist()[:2]):
        rms = float(made[index, :length].square().mean().sqrt())
        assert 20 * math.log10(rms) == pytest.approx(-20.0, abs=1e-4)
    assert not made[2].any()


def test_deltas_repeat_the_last_frame_of_each_item() -> None:
    items = [torch.randn(9, 3), torch.randn(4, 3)]
    x = torch.nn.utils.rnn.pad_sequence(items, batch_first=True)
    made = filterbank.add_deltas(x, torch.tensor([9, 4]), order=2)
    assert made.shape == (2, 9, 9)
    for index, item in enumerate(items):
        columns = [item]
        for _ in range(2):
            edges = torch.cat([columns[-1][:1].expand(2, -1), columns[-1], columns[-1][-1:].expand(2, -1)])
            first, second = edges[3:-1] - edges[1:-3], edges[4:] - edges[:-4]
            columns.append((first + 2 * second) / 10)
        assert torch.allclose(made[index, : len(item)], torch.cat(columns, -1), atol=1e-6)


def test_normalisation_is_over_real_frames_and_zero_beyond() -> None:
    x = torch.randn(3, 8, 2) * 3 + 1
    lengths = torch.tensor([8, 5, 1])
    made = filterbank.normalize_utterance(x, lengths)
    for index, length in ((0, 8), (1, 5)):
        own = made[index, :length]
        assert torch.allclose(own.mean(0), torch.zeros(2), atol=1e-6)
        assert torch.allclose(own.std(0), torch.ones(2), atol=1e-5)
        assert not made[index, length:].any()
    assert not made[2].any()  # one frame has no variance


def test_slaney_triangles_have_equal_areas_and_none_is_empty() -> None:
    filters = filterbank.CentredLogMel(RATE_HZ, 40, slaney=True).filters
    areas = filters.sum(0) * RATE_HZ / 400
    assert torch.allclose(areas[20:], torch.ones(20), rtol=0.05)  # the low ones have few bins
    with pytest.raises(ConfigError, match="num_mels=100 are too many for 2000 Hz"):
        filterbank.CentredLogMel(2000, 100, slaney=True)


def test_triangles_of_kaldi_overlap_by_half() -> None:
    filters = filterbank.kaldi_mel_filters(10, 512, RATE_HZ)
    assert filters.shape == (257, 10)
    assert not filters[-1].any()  # Nyquist
    mel = 1127.0 * torch.log(1 + torch.arange(257) * (RATE_HZ / 512) / 700)
    low, high = (1127.0 * math.log(1 + f / 700) for f in (20.0, RATE_HZ / 2))
    step = (high - low) / 11
    inside = (mel > low + step) & (mel < high - step)
    # Between the first and the last centre, two neighbouring triangles add up to 1.
    assert torch.allclose(filters[inside].sum(1), torch.ones(int(inside.sum())), atol=1e-4)


def test_a_tone_is_loudest_in_its_band() -> None:
    time = torch.arange(RATE_HZ) / RATE_HZ
    tone = torch.sin(2 * math.pi * 1000 * time)[None]
    front = filterbank.CentredSpectrogram(RATE_HZ)
    spectrum = front(tone, torch.tensor([RATE_HZ]))[0, 50]
    assert int(spectrum.argmax()) == round(1000 * front.win / RATE_HZ)


def test_cepstra_are_an_orthonormal_transform_before_the_lifter() -> None:
    front = filterbank.KaldiMfcc(RATE_HZ, num_ceps=23, num_mels=23)
    plain = front.dct / (1 + 11 * torch.sin(math.pi * torch.arange(23) / 22))
    assert torch.allclose(plain.T @ plain, torch.eye(23), atol=1e-5)


def test_the_spectrum_of_graphs_is_that_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a matrix product, for windows that are no power of two, down to bands of little power."""
    wavs, lengths = pad([0.1 * torch.randn(n, generator=torch.Generator().manual_seed(n)) for n in (8000, 3001)])
    front = filterbank.CentredLogMel(16000)
    expected = front(wavs, lengths)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    assert relative_distance(front(wavs, lengths), expected) < 1e-6
