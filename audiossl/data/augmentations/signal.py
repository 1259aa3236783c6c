"""What augmentations compute: levels, rooms, bands and codings of sound (S,), without anything that is drawn."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt

from audiossl.data.augmentations.config import Coding
from audiossl.data.reading import resample
from audiossl.data.sound_file import Wave

_EDGE = 0.1  # of a band, the width of an edge as a share of its frequency
_MOST_COMPRESSED = 0.99  # of 1, which libsndfile refuses for MP3
_SILENT = 1e-12  # power, far below one step of 16 bits
_FORMS: dict[Coding, tuple[str, str, bool]] = {  # format, subtype, and whether there is a quality
    "mu_law": ("WAV", "ULAW", False),
    "a_law": ("WAV", "ALAW", False),
    "mp3": ("MP3", "MPEG_LAYER_III", True),
    "vorbis": ("OGG", "VORBIS", True),
    "opus": ("OGG", "OPUS", True),
}
_RATES_HZ: dict[Coding, tuple[int, ...]] = {  # of those codings that have not all
    "mp3": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    "opus": (8000, 12000, 16000, 24000, 48000),
}


def power(sound: Wave) -> float:
    """The mean square of sound (S,)."""
    return float(np.mean(np.square(sound, dtype=np.float64)))


def is_silent(sound: Wave) -> bool:
    """Whether sound (S,) has no power that a ratio could be made of."""
    return power(sound) < _SILENT


def scaled(sound: Wave, to_power: float) -> Wave:
    """Sound (S,) with another power. It must not be silent."""
    louder: Wave = (sound * np.sqrt(to_power / power(sound))).astype(np.float32)
    return louder


def mixed(sound: Wave, noise: Wave, snr_db: float) -> Wave:
    """Sound (S,) with noise (S,) that is scaled to lie `snr_db` below it. Where either is silent, sound as it is."""
    if is_silent(sound) or is_silent(noise):
        return sound
    return sound + scaled(noise, power(sound) / 10 ** (snr_db / 10))


def reverberated(sound: Wave, response: npt.NDArray[Any]) -> Wave:
    """Sound (S,) in a room, with its length and its energy, and without the delay of the direct path.

    response: (R,) of the room, whose direct path is its largest sample.
    """
    from scipy.signal import fftconvolve

    first = int(np.abs(response).argmax())
    heard: Wave = fftconvolve(sound, response)[first : first + len(sound)].astype(np.float32)
    return sound if is_silent(heard) else scaled(heard, power(sound))


def band_limited(sound: Wave, sample_rate_hz: int, low_hz: float, high_hz: float) -> Wave:
    """What sound has between two frequencies, without delay.

    sound: (S,).
    sample_rate_hz: of the sound.
    low_hz: the lower edge. 0 for none.
    high_hz: the upper edge. None is made above half the rate.
    """
    # As much silence behind it as the filter rings, since a product of spectra is a circular convolution.
    size = len(sound) + sample_rate_hz // 8
    frequencies = np.fft.rfftfreq(size, 1 / sample_rate_hz)
    gain = np.ones(len(frequencies))
    if high_hz < sample_rate_hz / 2:
        gain -= _rising(frequencies, high_hz)
    if low_hz:
        gain *= _rising(frequencies, low_hz)
    limited: Wave = np.fft.irfft(np.fft.rfft(sound, size) * gain, size)[: len(sound)].astype(np.float32)
    return limited


def coded(sound: Wave, sample_rate_hz: int, coding: Coding, quality: float) -> Wave:
    """Sound after it was coded and decoded.

    sound: (S,).
    sample_rate_hz: of the sound. It is resampled for codings that have only some rates.
    coding: which one.
    quality: from 0 to 1, where the coding has one.
    """
    import soundfile

    peak = float(np.abs(sound).max(initial=0.0))
    if peak == 0:
        return sound
    form, subtype, has_quality = _FORMS[coding]
    rate = min((each for each in _RATES_HZ.get(coding, ()) if each >= sample_rate_hz), default=sample_rate_hz)
    rate = rate if coding not in _RATES_HZ else min(rate, _RATES_HZ[coding][-1])
    level = max(peak, 1.0)  # files end at full scale
    options: dict[str, Any] = {"compression_level": min(1 - quality, _MOST_COMPRESSED)} if has_quality else {}
    file = io.BytesIO()
    soundfile.write(file, resample(sound, sample_rate_hz, rate) / level, rate, subtype, format=form, **options)
    file.seek(0)
    decoded, _ = soundfile.read(file, dtype="float32")
    decoded = resample(decoded * level, rate, sample_rate_hz)[: len(sound)]
    return np.pad(decoded, (0, len(sound) - len(decoded)))


def can_code(coding: Coding) -> bool:
    """Whether the libsndfile that is installed writes a coding."""
    import soundfile

    form, subtype, _ = _FORMS[coding]
    return form in soundfile.available_formats() and subtype in soundfile.available_subtypes(form)


def _rising(frequencies: npt.NDArray[Any], edge_hz: float) -> npt.NDArray[Any]:
    """From 0 below an edge to 1 above it, as a raised cosine."""
    place = np.clip((frequencies / edge_hz - 1) / _EDGE + 0.5, 0, 1)
    return 0.5 - 0.5 * np.cos(np.pi * place)
