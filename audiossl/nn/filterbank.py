"""Spectral front ends that treat every item of a padded batch as if it were alone.

Two framings are in use. *Centred* (librosa, torch.stft): frame t is centred on sample t * hop, the signal is
reflected at both ends, 1 + n // hop frames. *Kaldi*: only whole windows, (n - win) // hop + 1 frames. What needs care
in a batch is the reflection at each item's own end, deltas at its last frame, and means over its own frames.
"""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiossl.core.errors import ConfigError
from audiossl.nn.masking import valid_frames


class Frontend(nn.Module, ABC):
    """A waveform to frames of bands.

    win: window in samples.
    hop: step in samples.
    edge: samples mirrored at each end, 0 where frames are whole windows.
    """

    win: int
    hop: int
    edge: int = 0

    @abstractmethod
    def bands(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        """(B, S) zero beyond lengths (B,) -> (B, T, D), T = (S + 2 edge - win) // hop + 1."""

    def forward(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        """As `bands`. On a CPU item by item: no padding is transformed and a spectrum stays in the cache."""
        if wavs.device.type != "cpu" or len(wavs) == 1:
            return self.bands(wavs, lengths)
        frames = (wavs.shape[1] + 2 * self.edge - self.win) // self.hop + 1
        items = [self.bands(wav[None, :n], n[None])[0] for wav, n in zip(wavs, lengths, strict=True)]
        return torch.stack([F.pad(item, (0, 0, 0, frames - len(item))) for item in items])


class CentredLogMel(Frontend):
    """Log mel power spectrum, centred Hann windows, HTK mel scale without area normalisation: log(mel + eps).

    sample_rate_hz: of the waveform.
    num_mels: bands, from 0 Hz to half of the rate.
    win_ms: window in milliseconds.
    hop_ms: step in milliseconds.
    eps: added to power before the logarithm.
    slaney: Slaney's mel scale with triangles of equal area, as Whisper has them. Linear below 1 kHz, it leaves no band
        without a bin where HTK's does.
    Raises ConfigError for a triangle of Slaney's scale without a bin.
    """

    window: Tensor
    filters: Tensor

    def __init__(
        self,
        sample_rate_hz: int,
        num_mels: int = 80,
        win_ms: float = 25,
        hop_ms: float = 10,
        eps: float = 1e-10,
        slaney: bool = False,
    ) -> None:
        super().__init__()
        from librosa.filters import mel

        self.win, self.hop, self.eps = round(sample_rate_hz * win_ms / 1000), round(sample_rate_hz * hop_ms / 1000), eps
        self.edge = self.win // 2
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Empty filters")  # said below where it is an error
            triangles = mel(
                sr=sample_rate_hz, n_fft=self.win, n_mels=num_mels, htk=not slaney, norm="slaney" if slaney else None
            )
        filters = torch.from_numpy(triangles.T.copy())
        if slaney and not (filters.amax(0) > 0).all():
            raise ConfigError(f"num_mels={num_mels} are too many for {sample_rate_hz} Hz: a band would be empty.")
        self.register_buffer("window", torch.hann_window(self.win), persistent=False)
        self.register_buffer("filters", filters, persistent=False)  # (bins, num_mels)

    def bands(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        """(B, S), (B,) -> (B, 1 + S // hop, num_mels)."""
        power = power_spectrum(wavs, lengths, self.window, self.hop)
        return torch.log(power @ self.filters + self.eps)


class CentredSpectrogram(Frontend):
    """Log power spectrum with win // 2 + 1 bins, framed as CentredLogMel and with arguments of the same meaning."""

    window: Tensor

    def __init__(self, sample_rate_hz: int, win_ms: float = 25, hop_ms: float = 10, eps: float = 1e-10) -> None:
        super().__init__()
        self.win, self.hop, self.eps = round(sample_rate_hz * win_ms / 1000), round(sample_rate_hz * hop_ms / 1000), eps
        self.edge = self.win // 2
        self.register_buffer("window", torch.hann_window(self.win), persistent=False)

    def bands(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        """(B, S), (B,) -> (B, 1 + S // hop, win // 2 + 1)."""
        return torch.log(power_spectrum(wavs, lengths, self.window, self.hop) + self.eps)


class KaldiFbank(Frontend):
    """Kaldi's log mel filterbank: DC removal, pre-emphasis 0.97, Povey window, FFT of the next power of two, no dither.

    Its filters are triangles on the mel axis, not on the frequency axis, from 20 Hz to the Nyquist frequency.

    sample_rate_hz: of the waveform.
    num_mels: bands.
    win_ms: window in milliseconds.
    hop_ms: step in milliseconds.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, sample_rate_hz: int, num_mels: int = 80, win_ms: float = 25, hop_ms: float = 10) -> None:
        super().__init__()
        self.win, self.hop = round(sample_rate_hz * win_ms / 1000), round(sample_rate_hz * hop_ms / 1000)
        self.fft = 1 << (self.win - 1).bit_length()
        window = torch.hann_window(self.win, periodic=False) ** 0.85
        self.register_buffer("window", window, persistent=False)
        filters = kaldi_mel_filters(num_mels, self.fft, sample_rate_hz)
        self.register_buffer("filters", filters, persistent=False)  # (fft // 2 + 1, num_mels)

    def bands(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        """(B, S), (B,) -> (B, (S - win) // hop + 1, num_mels)."""
        frames = wavs.unfold(-1, self.win, self.hop)
        frames = frames - frames.mean(-1, keepdim=True)
        previous = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
        spectrum = torch.fft.rfft((frames - 0.97 * previous) * self.window, n=self.fft)
        power = spectrum.real.square() + spectrum.imag.square()
        return torch.log((power @ self.filters).clamp(min=torch.finfo(torch.float32).eps))


class KaldiMfcc(Frontend):
    """Kaldi's cepstra: orthonormal DCT-II of 23 log mel bands, liftered (1 + 11 sin(pi k / 22)), c0 kept.

    sample_rate_hz: of the waveform.
    num_ceps: cepstra, c0 included.
    num_mels: bands that the transform is taken of.
    lifter: L of the liftering 1 + L / 2 sin(pi k / L).
    """

    dct: Tensor

    def __init__(self, sample_rate_hz: int, num_ceps: int = 13, num_mels: int = 23, lifter: float = 22.0) -> None:
        super().__init__()
        self.fbank = KaldiFbank(sample_rate_hz, num_mels)
        self.win, self.hop = self.fbank.win, self.fbank.hop
        band = torch.arange(num_mels, dtype=torch.float64) + 0.5
        order = torch.arange(num_ceps, dtype=torch.float64)
        dct = torch.cos(math.pi / num_mels * band[:, None] * order) * math.sqrt(2 / num_mels)
        dct[:, 0] = math.sqrt(1 / num_mels)
        dct *= 1 + 0.5 * lifter * torch.sin(math.pi * order / lifter)
        self.register_buffer("dct", dct.float(), persistent=False)  # (num_mels, num_ceps)

    def bands(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        """(B, S), (B,) -> (B, (S - win) // hop + 1, num_ceps)."""
        ceps: Tensor = self.fbank.bands(wavs, lengths) @ self.dct
        return ceps


def power_spectrum(wavs: Tensor, lengths: Tensor, window: Tensor, hop: int) -> Tensor:
    """Centred short-time power spectrum (B, 1 + S // hop, win // 2 + 1), each item reflected at its own end.

    wavs: (B, S), zero beyond the lengths.
    lengths: (B,) samples.
    window: (win,).
    hop: step in samples.
    """
    win = window.numel()
    padded = reflect_ends(wavs, lengths, win // 2)
    if torch.compiler.is_exporting():
        return _power_by_product(padded, window, hop)
    spectrum = torch.stft(padded, win, hop, window=window, center=False, return_complex=True)
    return (spectrum.real.square() + spectrum.imag.square()).transpose(1, 2)


def _power_by_product(padded: Tensor, window: Tensor, hop: int) -> Tensor:
    """What `power_spectrum` gives, by one matrix product, in graphs that other runtimes run.

    ONNX Runtime transforms windows of 400 samples with errors 500 times those of torch, which the logarithm shows in
    bands of little power: log mel frames of noise differ by 6e-3, and by 1e-5 with this.
    """
    win = window.numel()
    places = torch.arange(win, dtype=torch.float64, device=window.device)
    # Angles of whole turns are left out while they are whole numbers.
    angles = (places[:, None] * places[: win // 2 + 1]) % win * (2 * math.pi / win)  # (win, bins)
    frames = padded.unfold(-1, win, hop) * window  # (B, T, win)
    real, imaginary = frames @ angles.cos().to(window.dtype), frames @ angles.sin().to(window.dtype)
    return real.square() + imaginary.square()


def reflect_ends(wavs: Tensor, lengths: Tensor, pad: int) -> Tensor:
    """Prepend and append `pad` mirrored samples to every item, at its own end: (B, S) -> (B, S + 2 pad).

    Needs lengths > pad, as any reflection does. Beyond an item's mirrored end stands zero.
    """
    # Positions pad + n + j (right of the item) mirror about its last sample n - 1, to n - 2 - j.
    step = torch.arange(pad, device=wavs.device)
    tail = wavs.gather(1, lengths[:, None] - 2 - step)  # (B, pad)
    padded = F.pad(wavs, (pad, pad))
    padded[:, :pad] = wavs[:, 1 : pad + 1].flip(1)
    return padded.scatter(1, lengths[:, None] + pad + step, tail)


def set_level(wavs: Tensor, lengths: Tensor, level_db: float) -> Tensor:
    """Scale each item to a root mean square of `level_db` dB full scale. Silence stays silence."""
    power = wavs.square().sum(1, keepdim=True) / lengths[:, None]  # zeros beyond lengths add nothing
    return wavs * (10 ** (level_db / 20) / power.sqrt().clamp(min=1e-10))


def add_deltas(x: Tensor, lengths: Tensor, order: int = 2, win: int = 5) -> Tensor:
    """Append deltas up to `order` over `win` frames, edges repeated: (B, T, D) -> (B, T, D (order + 1)).

    d_t = sum_n n (x_{t+n} - x_{t-n}) / (2 sum_n n^2), n = 1 .. win // 2.

    x: features.
    lengths: (B,) frames.
    order: how often differences are taken.
    win: frames that a difference looks at.
    """
    reach = win // 2
    time = torch.arange(x.shape[1], device=x.device)
    last = (lengths - 1)[:, None]
    columns = [x]
    for _ in range(order):
        delta = torch.zeros_like(x)
        for n in range(1, reach + 1):
            ahead = (time + n).minimum(last)  # (B, T), stops at each item's own last frame
            behind = (time - n).clamp(min=0).expand_as(ahead)
            delta = delta + n * (_take(columns[-1], ahead) - _take(columns[-1], behind))
        columns.append(delta / (2 * sum(n * n for n in range(1, reach + 1))))
    return torch.cat(columns, dim=-1)


def normalize_utterance(x: Tensor, lengths: Tensor, eps: float = 1e-10) -> Tensor:
    """Cepstral mean and variance normalisation over each item's own frames (unbiased), zeros beyond them.

    A single frame has no variance: it becomes zero.
    """
    inside = valid_frames(lengths, x.shape[1])[..., None]
    x = torch.where(inside, x, 0.0)
    count = lengths[:, None, None]
    mean = x.sum(1, keepdim=True) / count
    centred = torch.where(inside, x - mean, 0.0)
    variance = centred.square().sum(1, keepdim=True) / (count - 1).clamp(min=1)
    return centred / (variance.sqrt() + eps)


def kaldi_mel_filters(num_mels: int, fft: int, sample_rate_hz: int, low_hz: float = 20.0) -> Tensor:
    """Triangles that are linear in mel = 1127 ln(1 + f / 700), as (fft // 2 + 1, num_mels).

    num_mels: triangles.
    fft: points of the transform, whose Nyquist bin has no weight.
    sample_rate_hz: of the waveform.
    low_hz: where the first triangle begins.

    In float32 throughout, as Kaldi has it: exact arithmetic would move the edges by 1e-5, and log bands by 2e-4.
    """
    to_mel = 1127.0 * torch.log(1.0 + torch.arange(fft // 2) * (sample_rate_hz / fft) / 700.0)
    low, high = (1127.0 * math.log(1 + f / 700.0) for f in (low_hz, sample_rate_hz / 2))
    step = (high - low) / (num_mels + 1)
    left, centre, right = (low + (torch.arange(num_mels) + shift) * step for shift in (0, 1, 2))
    rise = (to_mel[:, None] - left) / (centre - left)
    fall = (right - to_mel[:, None]) / (right - centre)
    return F.pad(rise.minimum(fall).clamp(min=0), (0, 0, 0, 1))


def _take(x: Tensor, frames: Tensor) -> Tensor:
    return x.gather(1, frames[..., None].expand(-1, -1, x.shape[-1]))
