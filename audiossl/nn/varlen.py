"""Attention within items of any lengths that lie one after the other, in one call: FlashAttention (arXiv:2307.08691).

On a CUDA card and in half precision alone. `torch.nn.attention.varlen` has no dropout of the attention's weights. Where
there is some, the operator of torch that lies below it is called, which has it, and a gradient.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor
from torch.amp.autocast_mode import is_autocast_available

_HALVES = (torch.float16, torch.bfloat16)
# Numbers in a head: a multiple of 8, and no more than what can be trained on every card that has the kernel.
_MULTIPLE, _WIDEST = 8, 192


def has_kernel(device: torch.device, dtype: torch.dtype, head_width: int) -> bool:
    """Whether `varlen_attention` can be called.

    It cannot while a graph is traced, which would keep the lengths of the items that it was traced with. Whoever turns
    FlashAttention off (`torch.backends.cuda.enable_flash_sdp`) turns this off, too.

    device: of the frames.
    dtype: of queries, keys and values.
    head_width: D / H, numbers in a head.
    """
    if device.type != "cuda" or dtype not in _HALVES or torch.compiler.is_compiling():
        return False
    fits = head_width % _MULTIPLE == 0 and head_width <= _WIDEST
    return fits and torch.backends.cuda.flash_sdp_enabled() and _card_has_kernel(device)


def suits(x: Tensor, num_heads: int) -> bool:
    """Whether blocks of `num_heads` heads can attend to frames x (..., D) by `varlen_attention`."""
    if torch.compiler.is_compiling():
        return False
    kind = x.device.type
    autocast = is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    # The type of queries, keys and values, which linear layers give.
    dtype = torch.get_autocast_dtype(kind) if autocast else x.dtype
    return has_kernel(x.device, dtype, x.shape[-1] // num_heads)


def varlen_attention(q: Tensor, k: Tensor, v: Tensor, starts: Tensor, longest: int, dropout: float) -> Tensor:
    """softmax(q k^T / sqrt(D / H)) v within each item -> (N, H, D / H).

    q, k, v: (N, H, D / H), the frames of all items one after the other.
    starts: (B + 1,) int32, where each item begins, and N.
    longest: most frames of an item.
    dropout: share of the weights dropped.
    """
    if dropout == 0.0:
        from torch.nn.attention.varlen import varlen_attn

        made = varlen_attn(q, k, v, starts, starts, longest, longest)
    else:
        # The last two: not causal, no matrix of what was dropped.
        operator = torch.ops.aten._flash_attention_forward
        made = operator(q, k, v, starts, starts, longest, longest, dropout, False, False)[0]
    assert isinstance(made, Tensor)
    return made


@cache
def _card_has_kernel(device: torch.device) -> bool:
    """Whether torch was built with the kernel, and the card is of the generation that it is for, or a later one."""
    if torch.version.hip is not None or find_spec("torch.nn.attention.varlen") is None:
        return False
    return torch.backends.cuda.is_flash_attention_available() and torch.cuda.get_device_capability(device) >= (8, 0)
