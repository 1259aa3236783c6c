"""A convolution over time that is right in bfloat16 on every CPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# With fewer inputs a group, oneDNN's bfloat16 kernels are wrong on some CPUs.
_FEWEST_INPUTS = 32


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, stride: int = 1, padding: int = 0, groups: int = 1
) -> Tensor:
    """`torch.nn.functional.conv1d`, with inputs of zeros where oneDNN's bfloat16 kernel is wrong without them.

    x: (B, I, T).
    weight: (O, I / groups, K).
    bias: (O,), None for none.
    stride: input frames from one output frame to the next.
    padding: zeros at each end.
    groups: of channels that are kept apart.
    Returns (B, O, T'), in the dtype that conv1d has.
    """
    # oneDNN 3.10.2 (torch 2.11.0, and OpenVINO's copy) on CPUs with amx_bf16, kernel brg_conv_fwd, gives other numbers
    # (relative error 1.1) in the forward pass where a group has fewer than 16 inputs and inputs x K is a multiple of 32
    # above 32, and for some strides of 4 and more also with fewer than 32 inputs. The gradients are right, and so is
    # the kernel of AVX-512 under ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16. The published encoders have 1 input, or 48 and
    # more. An exported graph may be run in bfloat16 later.
    if 1 < weight.shape[1] < _FEWEST_INPUTS and (_in_bfloat16_on_cpu(x) or torch.compiler.is_exporting()):
        missing = _FEWEST_INPUTS - weight.shape[1]
        x = F.pad(x.unflatten(1, (groups, -1)), (0, 0, 0, missing)).flatten(1, 2)
        weight = F.pad(weight, (0, 0, 0, missing))
    return F.conv1d(x, weight, bias, stride=stride, padding=padding, groups=groups)


def _in_bfloat16_on_cpu(x: Tensor) -> bool:
    if x.device.type != "cpu":
        return False
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    return dtype == torch.bfloat16
