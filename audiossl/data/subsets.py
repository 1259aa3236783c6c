"""A part of the training rows: 10 minutes, an hour, a tenth. What a label is worth is seen by how little will do.

Rows follow one another in an order that depends on their ids alone, and a part is the beginning of it: the rows of ten
minutes are among those of an hour. Every speaker has about the same share of each part.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audiossl.core.errors import ConfigError, ManifestError
from audiossl.data.fields import read_field

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut

_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}
_WRITTEN = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(s|min|h|%)?")


@dataclass(frozen=True)
class Amount:
    """How much of the sound of a manifest is meant."""

    seconds: float | None = None
    """So much. None where a share is given."""
    share: float | None = None
    """Of all, above 0 and at most 1."""

    def of(self, total_s: float) -> float:
        """Seconds of a manifest that lasts `total_s`."""
        return total_s * self.share if self.share is not None else self.seconds or 0.0


def read_amount(written: str, name: str) -> Amount:
    """What '10min', '1h', '90s', '10%' or '0.1' says. A number alone is a share.

    name: of the setting that it comes from.
    Raises ConfigError for anything else.
    """
    matched = _WRITTEN.fullmatch(written.strip())
    value, unit = (float(matched[1]), matched[2]) if matched else (0.0, None)
    if unit in _SECONDS and value > 0:
        return Amount(seconds=value * _SECONDS[unit])
    share = value / 100 if unit == "%" else value
    if not 0 < share <= 1:
        raise ConfigError(
            f"{name}={written!r} is no amount of sound; write a share such as 0.1 or 10%, or a time such as 10min, 1h "
            f"or 90s."
        )
    return Amount(share=share)


def subset(rows: CutSet, written: str, draw: int = 0, *, where: str = "the manifest") -> CutSet:
    """The part of the rows that `written` says, in the order of the manifest.

    Each speaker gives rows by turns, as many as are in proportion. The last row is the one that reaches the amount.

    rows: of a manifest.
    written: how much: '10min', '1h', '10%', '0.1'.
    draw: which of many parts of that size. The parts of one draw are nested.
    where: what the rows are called in an error.
    Raises ConfigError for what is no amount, ManifestError where there is less sound than that.
    """
    from lhotse import CutSet

    amount = read_amount(written, "data.subset")
    lasts_s, of_speaker = {}, defaultdict(list)
    for cut in rows:
        lasts_s[cut.id] = float(cut.duration)
        of_speaker[read_field(cut, "speaker") or ""].append(cut.id)
    total_s = sum(lasts_s.values())
    if amount.of(total_s) > total_s:
        raise ManifestError(
            f"data.subset={written} is more than the {total_s:.0f} s of {where}; take less, or leave it out."
        )
    kept, so_far_s = set(), 0.0
    for name in _ordered(of_speaker, draw):
        if so_far_s >= amount.of(total_s) * (1 - 1e-9):
            break
        kept.add(name)
        so_far_s += lasts_s[name]
    return CutSet(_Kept(rows, frozenset(kept)))


def _ordered(of_speaker: dict[str, list[str]], draw: int) -> list[str]:
    """All ids, so that any beginning has about the same share of each speaker's."""
    places = []
    for speaker, names in of_speaker.items():
        shift = _drawn(f"{draw} speaker {speaker}")
        for rank, name in enumerate(sorted(names, key=lambda name: _drawn(f"{draw} row {name}"))):
            places.append(((rank + shift) / len(names), name))
    return [name for _, name in sorted(places)]


def _drawn(text: str) -> float:
    """A number from 0 to 1 that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


class _Kept:
    """The rows of a manifest with one of these ids, which each iteration reads afresh."""

    def __init__(self, rows: CutSet, ids: frozenset[str]) -> None:
        self._rows, self._ids = rows, ids

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[Cut]:
        return (cut for cut in self._rows if cut.id in self._ids)
