"""Training masks of a waveform encoder: spans of frames and of channels of the input of its Transformer."""

from __future__ import annotations

import torch
from torch import Tensor

from audiossl.encoders.waveform.config import WaveformConfig
from audiossl.nn.span_masks import span_mask


def masks_input(config: WaveformConfig) -> bool:
    """Whether there are any."""
    return config.mask_time_prob > 0 or config.mask_feature_prob > 0


def masked_for_training(config: WaveformConfig, filler: Tensor | None, x: Tensor, frames: Tensor) -> Tensor:
    """x (B, T, D) with spans of frames as the filler and spans of channels as 0.

    config: of the encoder, which says how many, and how long.
    filler: (D,), None for zeros.
    x: the input of the Transformer.
    frames: (B,) real frames.
    """
    if config.mask_time_prob > 0:
        masked = span_mask(frames, x.shape[1], config.mask_time_prob, config.mask_time_length)
        x = torch.where(masked[..., None], x.new_zeros(()) if filler is None else filler.to(x.dtype), x)
    if config.mask_feature_prob > 0:
        widths = torch.full_like(frames, x.shape[2])
        masked = span_mask(widths, x.shape[2], config.mask_feature_prob, config.mask_feature_length)
        x = x.masked_fill(masked[:, None], 0.0)
    return x
