"""Weighted sums of frozen layers in half precision, for one set of weights or for several at once.

The layers are those of an encoder in bfloat16, or of the feature cache, mapped from a file. They are widened to float32
a piece at a time, in both passes, and nothing but the layers themselves is kept for the gradient. Under
`torch.func.vmap` over the weights, each layer is read once for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_PIECE = {"cpu": 2**16}  # numbers of a layer that are widened at once; on a CPU, all layers' should fit into its cache

_LARGE_PIECE = 2**20


def may_be_summed(layers: Sequence[Tensor], *, of_any_type: bool = False) -> bool:
    """Whether `sum_of_layers` is for these layers: frozen, and in half precision unless they may be `of_any_type`."""
    halves = of_any_type or all(layer.dtype in (torch.float16, torch.bfloat16) for layer in layers)
    return halves and not any(layer.requires_grad for layer in layers)


def sum_of_layers(weights: Tensor, layers: Sequence[Tensor], *, of_any_type: bool = False) -> Tensor:
    """sum_l w_l x_l in float32: weights (L,) float32, layers L x (B, T, D) without a gradient -> (B, T, D).

    The gradient is dL/dw_l = <dL/dy, x_l>.
    of_any_type: for heads computed as one. Their time goes into the number of operations, so small layers are copied
    for one product.
    """
    if of_any_type and layers[0].numel() <= _PIECE["cpu"]:  # so small that a copy costs less than our function
        every = torch.stack([layer.reshape(-1) for layer in layers]).float()  # (L, B T D)
        return (weights @ every).view(layers[0].shape)
    return cast(Tensor, _Sums.apply(weights[None], *layers))[0]


class _Sums(torch.autograd.Function):
    """weights (N, L), layers L x (B, T, D) -> (N, B, T, D)."""

    @staticmethod
    def forward(weights: Tensor, *layers: Tensor) -> Tensor:
        sums = torch.empty(len(weights), *layers[0].shape, dtype=torch.float32, device=layers[0].device)
        with torch.autocast(sums.device.type, enabled=False):  # it would undo the float32
            for wide, parts in _pieces(layers, sums):
                together = weights @ wide  # (N, L) @ (L, numbers of the piece)
                for part, values in zip(parts, together, strict=True):
                    part.copy_(values.view_as(part))
        return sums

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[1:])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        layers: tuple[Tensor, ...] = ctx.saved_tensors
        products = torch.zeros(len(gradient), len(layers), dtype=torch.float32, device=gradient.device)
        with torch.autocast(gradient.device.type, enabled=False):
            for wide, parts in _pieces(layers, gradient):
                flat = torch.stack([part.reshape(-1) for part in parts]).float()  # (N, numbers of the piece)
                products.addmm_(flat, wide.T)
        return products, *([None] * len(layers))

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], weights: Tensor, *layers: Tensor) -> tuple[Tensor, int]:
        """Weights (K, N, L) of K members as (K N, L). Layers never depend on a member: they are frozen."""
        if in_dims[0] is None or any(dim is not None for dim in in_dims[1:]):
            raise NotImplementedError("Only the weights of a sum may be vectorised over.")
        every = weights.movedim(in_dims[0], 0)
        sums = cast(Tensor, _Sums.apply(every.flatten(0, 1), *layers))
        return sums.unflatten(0, every.shape[:2]), 0


def _pieces(layers: Sequence[Tensor], others: Tensor) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """All layers widened to float32, (L, numbers), a piece at a time, and the same piece of each of `others` (N, ...).

    The memory of a piece is used again for the next one.
    """
    size = _PIECE.get(layers[0].device.type, _LARGE_PIECE)
    room = torch.empty(len(layers), min(size, layers[0].numel()), dtype=torch.float32, device=layers[0].device)
    for parts in _split([*layers, *others], size):
        halves, rest = parts[: len(layers)], parts[len(layers) :]
        wide = room[:, : halves[0].numel()]
        for row, half in zip(wide, halves, strict=True):
            row.view_as(half).copy_(half)
        yield wide, rest


def _split(tensors: Sequence[Tensor], size: int) -> Iterator[list[Tensor]]:
    """Tensors of one shape in pieces of at most `size` numbers, views of them all."""
    if tensors[0].numel() <= size:
        yield list(tensors)
    elif all(tensor.is_contiguous() for tensor in tensors):
        flat = [tensor.view(-1).split(size) for tensor in tensors]
        yield from map(list, zip(*flat, strict=True))
    else:
        for items in zip(*tensors, strict=True):
            yield from _split(items, size)
