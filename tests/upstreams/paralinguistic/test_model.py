"""eGeMAPS behind the contract: what openSMILE gives, exact numbers of frames, nothing of padding."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from audiossl import check_upstream, load_upstream
from audiossl.core.errors import AudioError, ConfigError
from audiossl.encoders.long_states import long_states
from audiossl.encoders.testing import noise, pad

opensmile = pytest.importorskip("opensmile")
NAMES = {"paralinguistic": ("LowLevelDescriptors", 25), "paralinguistic_functionals": ("Functionals", 88)}


def voice(seconds: float, pitch_hz: float = 150.0) -> torch.Tensor:
    """Pulses of a pitch with some noise, (S,)."""
    time = torch.arange(round(seconds * 16000)) / 16000
    draw = torch.Generator().manual_seed(0)
    tones = sum(torch.sin(2 * torch.pi * pitch_hz * n * time) / n for n in range(1, 12))
    return 0.1 * tones + 0.005 * torch.randn(len(time), generator=draw)


@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str) -> None:
    upstream = load_upstream(name)
    report = check_upstream(upstream)
    assert report.padding_error == 0
    assert not list(upstream.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_those_of_opensmile(name: str) -> None:
    level, width = NAMES[name]
    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, getattr(opensmile.FeatureLevel, level))
    assert len(smile.feature_names) == width
    wavs = [voice(0.7), noise(load_upstream(name), [0.31])[0]]
    made = load_upstream(name)(*pad(wavs))
    for number, wav in enumerate(wavs):
        np.testing.assert_array_equal(made.item(number)[0].numpy(), smile.process_signal(wav.numpy(), 16000).to_numpy())


def test_the_pitch_is_that_of_the_voice() -> None:
    """F0 is in semitones from 27.5 Hz, the eleventh descriptor."""
    found = load_upstream("paralinguistic")(voice(1.0, 220.0)[None]).layers[0][0, 20:-20, 10]
    torch.testing.assert_close(found, torch.full_like(found, 36.0), atol=0.1, rtol=0)  # 3 octaves


@pytest.mark.parametrize("samples", [960, 961, 1119, 1120, 1121, 1599, 1600, 4807])
def test_frames_are_counted_exactly(samples: int) -> None:
    frames = load_upstream("paralinguistic")
    layer = frames(voice(1.0)[None, :samples]).layers[0]
    assert layer.shape[1] == frames.num_frames(samples) == (samples - 800) // 160 + 1
    whole = load_upstream("paralinguistic_functionals")
    assert whole(voice(1.0)[None, :samples]).layers[0].shape == (1, 1, 88)
    assert whole.one_frame and whole.num_frames(samples) == 1


@pytest.mark.parametrize("name", NAMES)
def test_below_60_ms_is_an_error_and_not_a_row_of_nan(name: str) -> None:
    with pytest.raises(AudioError, match=r"959 samples.*at least 960 \(60 ms"):
        load_upstream(name)(voice(1.0)[None, :959])


@pytest.mark.parametrize("name", NAMES)
def test_silence_has_numbers(name: str) -> None:
    assert bool(load_upstream(name)(torch.zeros(1, 8000)).layers[0].isfinite().all())


def test_functionals_stand_beside_frames_of_another_encoder() -> None:
    """Whichever comes first, and part by part as in the whole."""
    whole = load_upstream("paralinguistic_functionals")
    for names in ("log_mel + paralinguistic_functionals", "paralinguistic_functionals + log_mel"):
        joined = load_upstream(names)
        wavs, lengths = pad([voice(0.7), voice(0.4, 200.0)])
        made, alone = joined(wavs, lengths), load_upstream("log_mel")(wavs, lengths)
        place = names.split(" + ").index("paralinguistic_functionals")
        torch.testing.assert_close(made.layers[1 - place], alone.layers[0])
        expected = whole(wavs, lengths).layers[0].expand(-1, made.layers[0].shape[1], -1)
        torch.testing.assert_close(made.layers[place], expected)


def test_parts_of_a_long_recording_have_the_functionals_of_all_of_it() -> None:
    joined, sound = load_upstream("log_mel + paralinguistic_functionals"), torch.cat([voice(20.0), voice(20.0, 300.0)])
    made = long_states(joined, sound, [0, 1])
    assert made.layers[1].shape == (1, joined.num_frames(len(sound)), 88)
    expected = load_upstream("paralinguistic_functionals")(sound[None]).layers[0].expand_as(made.layers[1])
    torch.testing.assert_close(made.layers[1], expected)


def test_the_package_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opensmile", None)
    with pytest.raises(ConfigError, match=r"pip install audiossl-toolkit\[paralinguistic\]"):
        load_upstream("paralinguistic")
