"""A function of single frames on a long batch, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from audiossl.core.errors import ConfigError


def by_chunks(fuse: Callable[[Sequence[Tensor]], Tensor], layers: Sequence[Tensor], chunk_frames: int) -> Tensor:
    """Apply `fuse` (L x (N, D_l) -> (N, width)) to L tensors (B, T, D_l), at most `chunk_frames` frames at a time.

    With more than one chunk, what happened inside a chunk is computed again in the backward pass. Intermediate results
    then take the memory of one chunk, whatever B T is.

    Raises ConfigError for less than one frame at a time.
    """
    if chunk_frames < 1:
        raise ConfigError(f"chunk_frames={chunk_frames}: at least one frame at a time is needed.")
    batch, frames = layers[0].shape[:2]
    flat = [layer.flatten(0, 1) for layer in layers]  # each (B T, D_l)
    # A graph is for any number of frames, of which no number of chunks follows.
    if torch.compiler.is_compiling() or batch * frames <= chunk_frames:
        fused = [fuse(flat)]
    else:
        chunks = zip(*(layer.split(chunk_frames) for layer in flat), strict=True)
        keep = not torch.is_grad_enabled()
        fused = [fuse(chunk) if keep else checkpoint(fuse, chunk, use_reentrant=False) for chunk in chunks]
    return torch.cat(fused).view(batch, frames, -1)
