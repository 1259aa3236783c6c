"""An encoder of fixed size, as Whisper is one."""

from __future__ import annotations

import torch

from toys.core import ToyConfig, ToyUpstream


class ShortSighted(ToyUpstream):
    """The toy encoder for at most half a second."""

    max_samples = 8000


def short_sighted(seed: int = 0) -> ShortSighted:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        upstream = ShortSighted(ToyConfig()).eval()
    upstream.name = "short_sighted"
    return upstream
