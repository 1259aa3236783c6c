"""What somebody else has computed of each recording, from a column of its manifest row."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from audiossl.core.errors import ConfigError, LabelError
from audiossl.core.ranges import CountOrZero
from audiossl.encoders.devices import device_of
from audiossl.encoders.row_upstream import RowUpstream

if TYPE_CHECKING:
    from lhotse.cut import Cut

_BETWEEN = re.compile(r"[\s,;|]+")  # numbers of a vector, as tables and JSON write them


@dataclass(frozen=True)
class ColumnConfig:
    """Which column, and how long its vectors are."""

    field: str = "embedding"
    """The field with the vectors: lists of numbers, or texts that part them by spaces, commas, semicolons or bars."""
    width: CountOrZero = 0
    """How many numbers a vector has. It must be said."""


class ColumnVectors(RowUpstream):
    """One layer (B, 1, width)."""

    Config = ColumnConfig

    def __init__(self, config: ColumnConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ColumnConfig()
        if not config.width:
            raise ConfigError(
                f"column reads vectors of the field {config.field!r}; say how many numbers one has, by "
                f"upstream_options.width (or -o width=)."
            )
        self.reads, self.widths = (config.field,), (config.width,)
        # The state dict tells this column from others.
        name = list(config.field.encode())
        self.register_buffer("field", torch.tensor(name, dtype=torch.uint8))

    def encode_rows(self, cuts: Sequence[Cut], last: int) -> Sequence[Tensor]:
        rows = [self._vector(cut) for cut in cuts]
        return [torch.tensor(rows, dtype=torch.float32, device=device_of(self))[:, None]]

    def _vector(self, cut: Cut) -> list[float]:
        field, text = self.config.field, self.said(cut, self.config.field)
        try:
            found = [float(number) for number in _BETWEEN.split(text.strip("[]() \t\n")) if number]
        except ValueError as error:
            raise LabelError(f"Row {cut.id!r} has {text[:40]!r} in the field {field!r}, which is no vector.") from error
        if len(found) != self.config.width or not all(map(_is_finite, found)):
            what = f"{len(found)} numbers" if len(found) != self.config.width else "a number that is not finite"
            raise LabelError(
                f"Row {cut.id!r} has {what} in the field {field!r}, and vectors of {self.config.width} finite numbers "
                f"are read; mend the column, or set upstream_options.width."
            )
        return found


def _is_finite(number: float) -> bool:
    return abs(number) < float("inf")
