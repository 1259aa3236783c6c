"""Which of several processes this is, as torchrun and `accelerate launch` tell it. No torch is needed to ask."""

from __future__ import annotations

import os


def rank() -> int:
    """The number of this process among all, 0 where it is alone."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """How many processes there are, on all machines."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_rank() -> int:
    """The number of this process on its machine, which is that of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def is_main() -> bool:
    """Whether this process is the one that writes and speaks for all."""
    return rank() == 0
