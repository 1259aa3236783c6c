"""Where an encoder runs: the one rule for devices."""

from __future__ import annotations

from itertools import chain

import torch
from torch import nn

from audiossl.core.processes import local_rank
from audiossl.encoders.upstream import Upstream


def best_device() -> torch.device:
    """CUDA's GPU (or ROCm's), else Apple's, else Intel's, else the CPU.

    Of several GPUs it is the one of this process, which its local rank names under torchrun.
    """
    if torch.cuda.is_available():
        return torch.device("cuda", local_rank())
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("xpu", local_rank()) if torch.xpu.is_available() else torch.device("cpu")


def best_device_for(upstream: Upstream) -> torch.device:
    """As `best_device`, but the CPU for an engine that runs nowhere else."""
    return torch.device("cpu") if upstream.cpu_only else best_device()


def device_of(module: nn.Module) -> torch.device:
    """Where the parameters of a module are, or its buffers where it has none, or the CPU where it has neither."""
    tensors = chain(module.parameters(), module.buffers())
    return next((tensor.device for tensor in tensors), torch.device("cpu"))


def place(upstream: Upstream, device: torch.device | str | None = None) -> torch.device:
    """Move an encoder to a device, and say which it is now on.

    device: the best one for this encoder where it is left out.
    One that is there already is not touched, since an engine forgets its graph whenever it is moved.
    """
    wanted, there = torch.device(device or best_device_for(upstream)), device_of(upstream)
    elsewhere = wanted.type != "cpu" and wanted.index not in (None, there.index)  # accelerate numbers CPUs by process
    if wanted.type != there.type or elsewhere:
        upstream.to(wanted)
    return device_of(upstream)
