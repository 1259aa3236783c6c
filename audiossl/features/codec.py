"""Hidden states of one recording as bytes, and back without a copy.

A record is its layers one after the other, each (T, D_l) in row-major order. Each layer begins at a multiple of 64
bytes. Some layers can therefore be read without the others, and a mapped file can be viewed as tensors of any type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

ALIGNMENT = 64
_TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
# The most that rounding to the type may change a layer, relative L2: half a unit in the last place, with room for
# sums of different roundings. Beyond it the values overflow or underflow, and the type is the wrong one.
_TOLERANCE = {"fp16": 6e-4, "bf16": 5e-3, "fp32": 1e-6, "int8": 5e-2}


@dataclass(frozen=True)
class Codec:
    """How layers of `widths` are stored: fp16, bf16, fp32, or int8 with one fp32 scale for each frame and layer.

    int8: q = round(x / s), s = max |x| / 127 over the channels of the frame. It is read back as s q in fp32.
    """

    dtype: str
    widths: tuple[int, ...]

    @property
    def read_as(self) -> torch.dtype:
        """The type in which layers come back."""
        return _TYPES.get(self.dtype, torch.float32)

    def num_bytes(self, num_frames: int) -> int:
        """The size of a record.

        >>> Codec("fp16", (768,) * 13).num_bytes(50)
        998400
        """
        return sum(self._layer_bytes(width, num_frames) for width in self.widths)

    def encode(self, layers: Sequence[Tensor]) -> Tensor | None:
        """Layers (T, D_l) as (num_bytes(T),) uint8 on the CPU. None where the type cannot hold them."""
        num_frames = layers[0].shape[0]
        record = torch.zeros(self.num_bytes(num_frames), dtype=torch.uint8)
        first = 0
        for width, layer in zip(self.widths, layers, strict=True):
            self._put(record[first:], layer.detach().to("cpu", torch.float32))
            first += self._layer_bytes(width, num_frames)
        for stored, layer in zip(self.decode(record, num_frames, range(len(layers))), layers, strict=True):
            exact = layer.detach().to("cpu", torch.float32)
            # Written so that NaN, which overflow gives, is a failure as well.
            if not (stored.float() - exact).norm() <= _TOLERANCE[self.dtype] * exact.norm():
                return None
        return record

    def decode(self, records: Tensor, num_frames: int, chosen: Sequence[int]) -> list[Tensor]:
        """The layers whose places in `widths` are `chosen`.

        Records (N,) give (T, D_l) each, and (B, N) give (B, T, D_l). They are views of the records, int8 excepted.
        """
        alike = self.dtype != "int8" and len(set(self.widths)) == 1 and num_frames > 0
        if alike and list(chosen) == list(range(len(self.widths))):
            return self._get_all(records, num_frames)
        starts = [0]
        for width in self.widths:
            starts.append(starts[-1] + self._layer_bytes(width, num_frames))
        return [self._get(records[..., starts[place] :], num_frames, self.widths[place]) for place in chosen]

    def _layer_bytes(self, width: int, num_frames: int) -> int:
        per_frame = 4 + width if self.dtype == "int8" else width * _TYPES[self.dtype].itemsize
        return -(-num_frames * per_frame // ALIGNMENT) * ALIGNMENT

    def _put(self, room: Tensor, layer: Tensor) -> None:
        if self.dtype != "int8":
            flat = layer.to(_TYPES[self.dtype]).contiguous().view(-1).view(torch.uint8)
            room[: flat.numel()] = flat
            return
        scale = layer.abs().amax(dim=1) / 127  # (T,)
        levels = (layer / scale.clamp(min=1e-30)[:, None]).round().clamp(-127, 127).to(torch.int8)
        size = 4 * len(scale)
        room[:size] = scale.view(torch.uint8)
        room[size : size + levels.numel()] = levels.reshape(-1).view(torch.uint8)

    def _get_all(self, records: Tensor, num_frames: int) -> list[Tensor]:
        """Every layer of one width, in a few operations for all of them."""
        kind, width = _TYPES[self.dtype], self.widths[0]
        layers = records.unflatten(-1, (len(self.widths), -1))  # (..., L, bytes of a layer)
        numbers = layers[..., : num_frames * width * kind.itemsize].view(kind)
        return list(numbers.unflatten(-1, (num_frames, width)).unbind(-3))

    def _get(self, records: Tensor, num_frames: int, width: int) -> Tensor:
        shape, count = (num_frames, width), num_frames * width
        if self.dtype != "int8":
            kind = _TYPES[self.dtype]
            states: Tensor = records[..., : count * kind.itemsize].view(kind).unflatten(-1, shape)
            return states
        size = 4 * num_frames
        scale = records[..., :size].view(torch.float32)
        levels: Tensor = records[..., size : size + count].view(torch.int8).unflatten(-1, shape)
        return levels * scale[..., None]
