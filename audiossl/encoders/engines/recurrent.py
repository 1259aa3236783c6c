"""LSTMs as the one operator that ONNX has for them, since torch unrolls them over a known number of frames."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


class OnnxLstm(nn.Module):
    """Stands for an LSTM of one layer and one direction, batch first, while a graph is traced, and gives no numbers.

    ONNX has the gates in the order input, output, forget, cell, and torch has the output gate last.
    """

    weight: Tensor
    recurrence: Tensor
    bias: Tensor

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        self.hidden = lstm.hidden_size
        parts = [getattr(lstm, f"{name}_l0").detach() for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        weight, recurrence, *biases = (self._reordered(part) for part in parts)
        self.register_buffer("weight", weight[None])
        self.register_buffer("recurrence", recurrence[None])
        self.register_buffer("bias", torch.cat(biases)[None])

    @staticmethod
    def _reordered(part: Tensor) -> Tensor:
        entry, forget, cell, out = part.chunk(4)
        return torch.cat([entry, out, forget, cell])

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        """(B, T, D) -> (B, T, hidden). The last state is left out."""
        batch, frames, _ = x.shape
        shapes = (frames, 1, batch, self.hidden), (1, batch, self.hidden), (1, batch, self.hidden)
        made = torch.onnx.ops.symbolic_multi_out(
            "LSTM",
            (x.transpose(0, 1), self.weight, self.recurrence, self.bias),
            {"hidden_size": self.hidden},
            dtypes=(x.dtype,) * 3,
            shapes=shapes,
        )
        return made[0][:, 0].transpose(0, 1), None


def with_onnx_lstms(module: M) -> M:
    """The module, in which each LSTM that `OnnxLstm` can stand for is replaced by it, in place."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.LSTM) and _is_plain(child):
                setattr(parent, name, OnnxLstm(child))
    return module


def _is_plain(lstm: nn.LSTM) -> bool:
    return lstm.batch_first and lstm.bias and lstm.num_layers == 1 and not (lstm.bidirectional or lstm.proj_size)
