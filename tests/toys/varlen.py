"""Attention within items of any lengths where there is no card for it: by its formula, with the calls written down."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from audiossl.nn import transformer


class Call(NamedTuple):
    """What the kernel was called with. shape: of the queries."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    starts: list[int]
    dropout: float


def use_stand_in(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """The packed layout attends as if there were a card with the kernel. The list grows by each call."""
    calls: list[Call] = []

    def noted(q: Tensor, k: Tensor, v: Tensor, starts: Tensor, longest: int, dropout: float) -> Tensor:
        calls.append(Call(tuple(q.shape), q.dtype, starts.tolist(), dropout))
        return by_formula(q, k, v, starts, longest)

    monkeypatch.setattr(transformer, "has_kernel", lambda device, dtype, head_width: True)
    monkeypatch.setattr(transformer, "varlen_attention", noted)
    return calls


def by_formula(q: Tensor, k: Tensor, v: Tensor, starts: Tensor, longest: int) -> Tensor:
    """softmax(q k^T / sqrt(D / H)) v within each item, nothing dropped, from just what the kernel takes."""
    assert starts.dtype == torch.int32
    assert q.shape == k.shape == v.shape
    assert q.stride(-1) == k.stride(-1) == v.stride(-1) == 1
    items = list(itertools.pairwise(starts.tolist()))
    assert items[0][0] == 0
    assert items[-1][1] == len(q)
    assert longest == max(end - start for start, end in items)
    made = []
    for start, end in items:
        scores = torch.einsum("qhd,khd->hqk", q[start:end], k[start:end]) / math.sqrt(q.shape[-1])
        made.append(torch.einsum("hqk,khd->qhd", scores.softmax(-1), v[start:end]))
    return torch.cat(made)
