"""Random numbers that depend on a key and on nothing drawn before."""

from __future__ import annotations

import hashlib

import torch


def keyed_generator(*key: object) -> torch.Generator:
    """A generator on the CPU whose numbers follow from the key alone, for instance (seed, epoch, the item's name).

    >>> first, again, other = (torch.rand(3, generator=keyed_generator(0, name)) for name in ("a", "a", "b"))
    >>> torch.equal(first, again), torch.equal(first, other)
    (True, False)
    """
    digest = hashlib.blake2b("\0".join(map(str, key)).encode(), digest_size=7).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big"))


def generator_on(device: torch.device | str, draw: torch.Generator) -> torch.Generator:
    """A generator on a device that follows from the next number of one on the CPU, which a CPU itself goes on with.

    Many numbers are drawn where they are needed. The numbers of a kind of device are its own.
    """
    if torch.device(device).type == "cpu":
        return draw
    seed = int(torch.randint(2**62, (), generator=draw))
    return torch.Generator(device=device).manual_seed(seed)
