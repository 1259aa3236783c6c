"""What stands between a waveform and the blocks: the model's own preprocessor, and which samples a frame sees.

Lengths: n samples, F spectral frames, T frames of the encoder. Each T(n) has the form (n - first) // stride + 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from audiossl.core.errors import ConfigError
from audiossl.nn.conv_stem import stride_and_receptive_field

_KALDI_WINDOW, _KALDI_HOP = 400, 160  # both Kaldi filterbanks of transformers have these, at every rate


@dataclass(frozen=True)
class FrontEnd:
    """Facts and two functions.

    sample_rate_hz: of the waveform.
    stride: samples from one frame to the next.
    receptive_field: samples that a frame sees.
    first: samples of the shortest input that the formula gives a frame.
    min_samples: of the shortest that the preprocessor can work with.
    prepare: one waveform (S,) to the model's input without a batch axis, float32.
    max_samples: of the longest that a model of fixed size reads, None without a limit.
    regroup: a state (B, T', D) of the model to (B, T, D), real frames first, where it is not of that shape already.
    edge: samples before the recording that its first frame sees, silence or mirrored ones.
    prepare_batch: as `prepare`, of waveforms (B, S) that are zero beyond lengths (B,), on their device. None where
        items are prepared one by one everywhere. On a CPU they always are.
    """

    sample_rate_hz: int
    stride: int
    receptive_field: int
    first: int
    min_samples: int
    prepare: Callable[[Tensor], Tensor]
    max_samples: int | None = None
    regroup: Callable[[Tensor], Tensor] | None = None
    prepare_batch: Callable[[Tensor, Tensor], Tensor] | None = None
    edge: int = 0


def conv_stem(config: Any, extractor: Any) -> FrontEnd:
    """Strided convolutions on the waveform, as in wav2vec 2.0. SEW averages `squeeze_factor` frames of them as well."""
    squeeze = getattr(config, "squeeze_factor", 1)
    return _waveform([*config.conv_kernel, squeeze], [*config.conv_stride, squeeze], extractor)


def moonshine(config: Any, extractor: Any) -> FrontEnd:
    """Three convolutions whose shapes the architecture fixes (arXiv:2410.15608, section 3.1)."""
    return _waveform([127, 7, 3], [64, 3, 2], extractor)


def stacked_filterbank(config: Any, extractor: Any) -> FrontEnd:
    """Kaldi filterbank with `extractor.stride` frames side by side. A last group that is not whole is left out.

    F = (n - 400) // 160 + 1, T = F // k = (n - 400 - 160 (k - 1)) // (160 k) + 1. The preprocessor would pad that last
    group and the model would mask it: convolutions are causal, so no other frame sees it.
    """
    stacked = int(extractor.stride)
    _require(config.feature_projection_input_dim, stacked * extractor.num_mel_bins, "features a frame")
    receptive_field = _KALDI_WINDOW + (stacked - 1) * _KALDI_HOP
    # Two frames at least: the preprocessor divides by F - 1 to normalise.
    shortest = max(receptive_field, _KALDI_WINDOW + _KALDI_HOP)
    prepare = partial(_stacked, extractor)
    rate = int(extractor.sampling_rate)
    return FrontEnd(rate, stacked * _KALDI_HOP, receptive_field, receptive_field, shortest, prepare)


def whisper(config: Any, extractor: Any) -> FrontEnd:
    """Log mel frames of 30 s, silence added, then convolutions of strides 1 and 2.

    The window of frame t is centred on sample `stride` t. The frames whose centre lies in the recording are the real
    ones: T = ceil(n / stride). A frame sees three mel frames of three.
    """
    hop, samples = int(extractor.hop_length), int(extractor.n_samples)
    _require(2 * config.max_source_positions, samples // hop, "mel frames")
    _require(config.num_mel_bins, extractor.feature_size, "mel bands")
    prepare = partial(_extracted, extractor, "input_features")
    receptive_field = int(extractor.n_fft) + 4 * hop
    together = None if getattr(extractor, "dither", 0.0) else partial(_whisper_mels, extractor)
    rate = int(extractor.sampling_rate)
    edge = _centred(receptive_field)
    return FrontEnd(
        rate, 2 * hop, receptive_field, 1, 1, prepare, max_samples=samples, prepare_batch=together, edge=edge
    )


def spectrogram_patches(config: Any, extractor: Any) -> FrontEnd:
    """AST: patches of a Kaldi filterbank of fixed size (16 bands x 16 frames, every 10).

    A frame is the mean over frequency of the patches of one time. Real are those whose 16 spectral frames all are:
    T = (F - 16) // 10 + 1 = (n - 400 - 15 * 160) // 1600 + 1.
    """
    _require(config.max_length, extractor.max_length, "spectral frames")
    _require(config.num_mel_bins, extractor.num_mel_bins, "mel bands")
    receptive_field = _KALDI_WINDOW + (config.patch_size - 1) * _KALDI_HOP
    heights = (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1
    return FrontEnd(
        sample_rate_hz=int(extractor.sampling_rate),
        stride=config.time_stride * _KALDI_HOP,
        receptive_field=receptive_field,
        first=receptive_field,
        min_samples=receptive_field,
        prepare=partial(_extracted, extractor, "input_values"),
        max_samples=_KALDI_WINDOW + extractor.max_length * _KALDI_HOP - 1,
        regroup=partial(_mean_over_frequency, heights),
    )


def parakeet(config: Any, extractor: Any) -> FrontEnd:
    """Centred log mel frames, then log2(k) convolutions of stride 2 that each round up.

    F = n // hop, T = ceil(F / k) = (n - hop) // (k hop) + 1. A frame sees 1 + 2 (1 + 2 + ... + k / 2) = 2 k - 1 mel
    frames.
    """
    hop, factor = int(extractor.hop_length), int(config.subsampling_factor)
    if (config.subsampling_conv_kernel_size, config.subsampling_conv_stride) != (3, 2):
        raise ConfigError("Parakeet's subsampling must have kernels of 3 and strides of 2, as all published ones have.")
    _require(config.num_mel_bins, extractor.feature_size, "mel bands")
    receptive_field = int(extractor.win_length) + (2 * factor - 2) * hop
    return FrontEnd(
        sample_rate_hz=int(extractor.sampling_rate),
        stride=factor * hop,
        receptive_field=receptive_field,
        edge=_centred(receptive_field),
        first=hop,
        min_samples=2 * hop,  # the preprocessor divides by F - 1 to normalise
        prepare=partial(_unmasked, extractor),
    )


def _centred(receptive_field: int) -> int:
    """The edge of a front end whose frame t is centred on sample `stride` t."""
    return (receptive_field - 1) // 2


def _waveform(kernels: list[int], strides: list[int], extractor: Any) -> FrontEnd:
    stride, receptive_field = stride_and_receptive_field(kernels, strides)
    prepare = _normalized if extractor.do_normalize else _as_it_is
    rate = int(extractor.sampling_rate)
    return FrontEnd(rate, stride, receptive_field, receptive_field, receptive_field, prepare)


def _as_it_is(wav: Tensor) -> Tensor:
    return wav.float()


def _normalized(wav: Tensor) -> Tensor:
    """Zero mean and unit variance, as Wav2Vec2FeatureExtractor computes them."""
    wav = wav.float()
    return (wav - wav.mean()) / (wav.var(correction=0) + 1e-7).sqrt()


def _extracted(extractor: Any, name: str, wav: Tensor, **options: Any) -> Tensor:
    """What a preprocessor makes of one waveform.

    extractor: the preprocessor.
    name: under which it returns it.
    wav: (S,).
    options: of its call.
    """
    # The preprocessors work on numpy arrays; what they compute by torch must not be rounded by autocast.
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        array = wav.detach().float().cpu().numpy()
        made = extractor(array, sampling_rate=extractor.sampling_rate, return_tensors="np", **options)[name]
        return torch.as_tensor(made[0], dtype=torch.float32)


def _whisper_mels(extractor: Any, wavs: Tensor, lengths: Tensor) -> Tensor:
    """What Whisper's preprocessor makes of each item: (B, S) -> (B, bands, frames of 30 s), float32.

    extractor: the preprocessor.
    wavs: (B, S), zero beyond the lengths.
    lengths: (B,) samples.
    """
    hop, whole, frames = extractor.hop_length, extractor.n_samples, extractor.n_samples // extractor.hop_length
    with torch.no_grad(), torch.autocast(wavs.device.type, enabled=False):
        # After the sound and the reach of a window lies silence, whose frames need no transform.
        size = min(whole, (-(-wavs.shape[1] // hop) + extractor.n_fft // hop + 1) * hop)
        x = F.pad(wavs.float(), (0, size - wavs.shape[1]))
        window = torch.hann_window(extractor.n_fft, device=x.device)
        spectrum = torch.stft(x, extractor.n_fft, hop, window=window, return_complex=True)[..., :-1]
        power = spectrum.real.square() + spectrum.imag.square()
        filters = torch.as_tensor(extractor.mel_filters, dtype=torch.float32).to(x.device)
        mels = torch.log10((filters.T @ power).clamp(min=1e-10))
        mels = F.pad(mels, (0, frames - mels.shape[-1]), value=-10.0)
        return (mels.maximum(mels.amax((1, 2), keepdim=True) - 8) + 4) / 4


def _stacked(extractor: Any, wav: Tensor) -> Tensor:
    return _extracted(extractor, "input_features", wav, pad_to_multiple_of=None)


def _unmasked(extractor: Any, wav: Tensor) -> Tensor:
    """Without the last of the n // hop + 1 mel frames, which the preprocessor masks and sets to zero."""
    return _extracted(extractor, "input_features", wav)[: len(wav) // extractor.hop_length]


def _mean_over_frequency(heights: int, state: Tensor) -> Tensor:
    """(B, 2 + heights T, D), class and distillation tokens first, then patches by frequency and time -> (B, T, D)."""
    batch, _, width = state.shape
    return state[:, 2:].reshape(batch, heights, -1, width).mean(1)


def _require(expected: int, found: int, what: str) -> None:
    if expected != found:
        raise ConfigError(
            f"The model reads {expected} {what} and its preprocessor gives {found}: config.json and "
            f"preprocessor_config.json are not of one model."
        )
