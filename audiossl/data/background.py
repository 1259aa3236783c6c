"""What is heard between the calls: the sound from which a class should not be told, and its recordings can be.

Individuals, species and sites are often recorded on days, with microphones and in rooms of their own. A classifier then
may know the recordings rather than the animals. What a probe tells from background alone says how much of its figure
could be that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from audiossl.core.errors import AudioError, ManifestError
from audiossl.data.annotations import Annotation
from audiossl.data.archive import part_of
from audiossl.data.reading import path_of, read_cut

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut

Span = tuple[float, float]
_MARGIN_S = 0.01  # beside a call, where its tail may be
_ROUNDING_S = 1e-6


class Background(NamedTuple):
    """Rows by split, each a piece of background with the fields of the row that it stands for.

    left_out: ids of rows in whose neighbourhood there is no background long enough.
    quietest: how many rows are whole recordings without a known call, of which the quietest part was taken. It may hold
        some of a call.
    """

    splits: dict[str, CutSet]
    left_out: list[str]
    quietest: int


def background_of(splits: Mapping[str, CutSet], seconds: float, calls: Iterable[Annotation] = ()) -> Background:
    """A piece of background for each row.

    splits: the rows, parts of recordings or whole ones.
    seconds: of each piece.
    calls: further calls in the recordings, as `located` gives them, which no piece may hold.
    Of a call it is the quietest piece of the nearest gap between calls, of a whole recording the quietest of all.
    Raises ManifestError where a split has no background, AudioError.
    """
    from lhotse import CutSet

    busy = _busy(splits, calls)
    made: dict[str, list[Cut]] = {}
    left_out: list[str] = []
    quietest = 0
    for split, rows in splits.items():
        made[split] = []
        for cut in rows:
            spans = busy.get(path_of(cut) or "", [])
            quietest += not spans
            found = _piece(cut, spans, seconds)
            if found is None:
                left_out.append(str(cut.id))
            else:
                made[split].append(found)
        if not made[split]:
            raise ManifestError(
                f"{split} has no background of {seconds:g} s beside any of its {len(rows)} rows; ask for shorter "
                f"pieces with --background-s."
            )
    return Background({split: CutSet.from_cuts(rows) for split, rows in made.items()}, left_out, quietest)


def gaps(busy: Sequence[Span], start_s: float, end_s: float, shortest_s: float) -> list[Span]:
    """Where no call is.

    busy: the calls.
    start_s, end_s: between which times.
    shortest_s: of a gap.

    >>> gaps([(1.0, 2.0), (1.5, 3.0)], 0.0, 5.0, 0.5)
    [(0.0, 0.99), (3.01, 5.0)]
    """
    found, at = [], start_s
    for begin, end in sorted(busy):
        found.append((at, begin - _MARGIN_S))
        at = max(at, end + _MARGIN_S)
    found.append((at, end_s))
    return [(begin, end) for begin, end in found if end - begin >= shortest_s - _ROUNDING_S]


def _busy(splits: Mapping[str, CutSet], calls: Iterable[Annotation]) -> dict[str, list[Span]]:
    """Where calls are in each file: rows that are a part of it, and what the annotations say."""
    found: dict[str, set[Span]] = defaultdict(set)
    for rows in splits.values():
        for cut in rows:
            if not _is_whole(cut):
                found[path_of(cut) or ""].add((float(cut.start), float(cut.end)))
    for call in calls:
        found[call.path].add((call.start_s, call.end_s))
    return {path: sorted(spans) for path, spans in found.items()}


def _is_whole(cut: Cut) -> bool:
    return bool(cut.start < _ROUNDING_S and cut.end > cut.recording.duration - _ROUNDING_S)


def _piece(cut: Cut, busy: Sequence[Span], seconds: float) -> Cut | None:
    if path_of(cut) is None:
        raise AudioError(
            f"Row {cut.id} is put together of several recordings, between whose calls nothing can be heard."
        )
    lasts_s = float(cut.recording.duration)
    found = gaps(busy, 0.0, lasts_s, seconds)
    if not found:
        return None
    if not _is_whole(cut):
        found = [min(found, key=lambda gap: max(gap[0] - float(cut.end), float(cut.start) - gap[1]))]
    whole = _of_recording(cut)
    starts = [start for begin, end in found for start in _starts(begin, end, seconds)]
    loudness = [_energy(part_of(whole, start, start + seconds)) for start in starts]
    start = starts[int(np.argmin(loudness))]
    part = whole.truncate(offset=start, duration=min(seconds, lasts_s - start))
    return part.with_id(f"{cut.id}-background")


def _starts(begin: float, end: float, seconds: float) -> list[float]:
    count = max(1, int((end - begin - seconds) / (seconds / 2) + 1 + _ROUNDING_S))
    return [begin + number * seconds / 2 for number in range(count)]


def _of_recording(cut: Cut) -> Cut:
    """The whole recording, with what the row says of itself."""
    from lhotse import MonoCut, fastcopy

    whole = MonoCut(cut.id, 0.0, cut.recording.duration, 0, recording=cut.recording, supervisions=[])
    whole.supervisions = [fastcopy(each, start=0.0, duration=whole.duration) for each in cut.supervisions]
    channels = cut.channel
    return fastcopy(whole, channel=channels if isinstance(channels, int) else 0)


def _energy(cut: Cut) -> float:
    sound = read_cut(cut, cut.sampling_rate).astype(np.float64)
    return float(np.square(sound).mean())
