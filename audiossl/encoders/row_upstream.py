"""Encoders of what manifest rows say, beside those of sound: a vector a recording, from the columns of its row.

They stand wherever an encoder does that is given rows: alone, in `upstream=[hubert_base,text]`, in the feature cache. A
waveform alone says nothing to them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NoReturn

import torch
from torch import Tensor

from audiossl.core.errors import ConfigError, LabelError
from audiossl.core.types import Batch, Features
from audiossl.data.fields import read_field
from audiossl.encoders.layers import last_layer
from audiossl.encoders.upstream import Upstream

if TYPE_CHECKING:
    from lhotse.cut import Cut


class RowUpstream(Upstream):
    """An encoder of the columns that it `reads`: one frame a recording of any length.

    A subclass sets `reads` and `widths`, and writes `encode_rows`.
    """

    stride, receptive_field = 160, 1

    def num_frames(self, num_samples: int | Tensor) -> int | Tensor:  # type: ignore[override]
        """1, or 0 of no sound."""
        return num_samples.clamp(0, 1) if isinstance(num_samples, Tensor) else min(max(num_samples, 0), 1)

    @abstractmethod
    def encode_rows(self, cuts: Sequence[Cut], last: int) -> Sequence[Tensor]:
        """Layers 0 to `last`, (B, 1, D_l), of B rows. Raises LabelError for a row that says nothing."""

    def of_batch(self, batch: Batch, *, up_to_layer: int | None = None) -> Features:
        if len(batch.cuts) != len(batch):
            self._refuse()
        layers = self.encode_rows(batch.cuts, last_layer(up_to_layer, self.num_layers))
        where = batch.lengths.device
        return Features(tuple(layer.to(where) for layer in layers), torch.ones_like(batch.lengths))

    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> NoReturn:
        """Raises ConfigError: there are no rows."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise ConfigError(
            f"{self.display_name} reads the field {' and '.join(map(repr, self.reads))} of manifest rows, which sound "
            f"alone does not have; give rows of a manifest, and for an export or a pre-training an encoder of sound."
        )

    def said(self, cut: Cut, field: str) -> str:
        """What a row has in a field. Raises LabelError for nothing."""
        text = read_field(cut, field)
        if text is None or not text.strip():
            raise LabelError(nothing_in(cut.id, field, self.display_name))
        return text


def nothing_in(row: str, field: str, reader: str) -> str:
    """The sentence on a row that lacks what an encoder reads."""
    column = " (the column transcript of a table)" if field == "text" else ""
    return (
        f"Row {row!r} has nothing in the field {field!r}{column}, which {reader} reads; fill it in, or leave the row "
        f"out."
    )


def check_fields(upstream: Upstream, cuts: Iterable[Cut]) -> None:
    """Raise LabelError for the first row that lacks what an encoder reads beside the sound."""
    for cut in cuts if upstream.reads else ():
        for field in upstream.reads:
            if not (read_field(cut, field) or "").strip():
                raise LabelError(nothing_in(cut.id, field, upstream.display_name))
