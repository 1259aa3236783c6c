"""Other recordings to be heard beside a recording: which one and which part of it, by a draw of the recording's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from audiossl.core.errors import ManifestError
from audiossl.data.reading import read_cut
from audiossl.data.row_store import RowStore

if TYPE_CHECKING:
    from lhotse.cut import Cut

_HELD = 20000  # rows that are kept as they are


class Partners:
    """Recordings of which parts are drawn. They are read when they are asked for.

    rows: the recordings.
    Raises ManifestError for none.
    """

    def __init__(self, rows: Iterable[Cut]) -> None:
        self._rows = RowStore(_HELD)
        for cut in rows:
            self._rows.add(cut)
        if not len(self):
            raise ManifestError("There is no recording to mix others with; give a manifest with rows.")

    def __len__(self) -> int:
        return len(self._rows)

    def draw(
        self, generator: torch.Generator, num_samples: int, sample_rate_hz: int, beside: str = ""
    ) -> npt.NDArray[np.float32]:
        """A part of one of the recordings.

        generator: by which the recording and the place in it are drawn.
        num_samples: how long the part is at most. A shorter recording is taken whole.
        sample_rate_hz: of the part.
        beside: the id of a row that is not drawn, unless it is the only one.
        Returns (s,) samples. Raises AudioError.
        """
        number = _below(len(self), generator)
        where = float(torch.rand((), generator=generator))
        if self._rows[number].id == beside:
            number = (number + 1) % len(self)
        cut = self._rows[number]
        # Whole samples of the recording's own rate.
        kept = min(cut.num_samples, max(1, round(num_samples * cut.sampling_rate / sample_rate_hz)))
        first = min(int(where * (cut.num_samples - kept + 1)), cut.num_samples - kept)
        if kept < cut.num_samples:
            rate = cut.sampling_rate
            cut = cut.truncate(offset=first / rate, duration=kept / rate, preserve_id=True)
        return read_cut(cut, sample_rate_hz)[:num_samples]


def _below(size: int, generator: torch.Generator) -> int:
    return int(torch.randint(size, (), generator=generator))
