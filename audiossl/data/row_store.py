"""Rows of a manifest by their number, in little memory."""

from __future__ import annotations

import pickle
import zlib
from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lhotse.cut import Cut

_RAW_DEFLATE = -15  # without zlib's header and checksum, which are as long as what a row needs
_NUM_EXAMPLES = 8


class RowStore:
    """Rows in the order in which they were added. Any of them can be read at any time.

    Few rows are kept as they are. As soon as there are more than `num_held`, all are packed: about a tenth of a
    kilobyte each, where an object takes several, since what a row shares with the first ones is not kept again. What
    is packed was made here and stays in memory, so that unpickling it is safe.
    """

    def __init__(self, num_held: int) -> None:
        self.num_held = num_held
        self._held: list[Cut] = []
        self._packed, self._ends, self._examples = bytearray(), array("Q"), b""

    def __len__(self) -> int:
        return len(self._ends) or len(self._held)

    def __getitem__(self, number: int) -> Cut:
        if not self._ends:
            return self._held[number]
        first = self._ends[number - 1] if number else 0
        unpacker = zlib.decompressobj(_RAW_DEFLATE, zdict=self._examples)
        row: Cut = pickle.loads(unpacker.decompress(self._packed[first : self._ends[number]]))  # noqa: S301  see above
        return row

    def add(self, row: Cut) -> None:
        """Append a row."""
        if self._ends:
            self._pack(row)
            return
        self._held.append(row)
        if len(self._held) > self.num_held:
            held, self._held = self._held, []
            self._examples = b"".join(map(pickle.dumps, held[:_NUM_EXAMPLES]))
            for earlier in held:
                self._pack(earlier)

    def _pack(self, row: Cut) -> None:
        packer = zlib.compressobj(level=1, wbits=_RAW_DEFLATE, zdict=self._examples)
        self._packed += packer.compress(pickle.dumps(row)) + packer.flush()
        self._ends.append(len(self._packed))
