"""A convolution over time that is right in bfloat16 on every CPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Below so many inputs a group, bfloat16 is not left to oneDNN.
_FEWEST_INPUTS = 16


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, stride: int = 1, padding: int = 0, groups: int = 1
) -> Tensor:
    """`torch.nn.functional.conv1d`, in float32 where oneDNN's bfloat16 kernel is wrong.

    x: (B, I, T).
    weight: (O, I / groups, K).
    bias: (O,), None for none.
    stride: input frames from one output frame to the next.
    padding: zeros at each end.
    groups: of channels that are kept apart.
    Returns (B, O, T'), in the dtype that conv1d has.
    """
    if not (_in_bfloat16_on_cpu(x) and 1 < weight.shape[1] < _FEWEST_INPUTS):
        return F.conv1d(x, weight, bias, stride=stride, padding=padding, groups=groups)
    # oneDNN 3.10.2 (torch 2.11.0) on CPUs with amx_bf16, kernel brg_conv_fwd: where a group has fewer than 16 inputs
    # and inputs x K is a multiple of 32 above 32, the forward pass gives other numbers (relative error 1.1; the
    # gradients are right, and so is the kernel of AVX-512 under ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16). The published
    # encoders have 48 inputs a group or more. So narrow a convolution costs little in float32.
    with torch.autocast("cpu", enabled=False):
        wide_bias = None if bias is None else bias.float()
        made = F.conv1d(x.float(), weight.float(), wide_bias, stride=stride, padding=padding, groups=groups)
    return made.to(torch.bfloat16)


def _in_bfloat16_on_cpu(x: Tensor) -> bool:
    if x.device.type != "cpu":
        return False
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    return dtype == torch.bfloat16
