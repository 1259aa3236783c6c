"""What a row says of its calls: when each is (strong labels), or only which there are (weak labels).

Rows are those of `audiossl data from-annotations --rows windows` or `--rows recordings`. Their field `calls` lists the
start, end and label of each call, in seconds from the beginning of the sound file, so that a crop needs no change. The
label field lists the labels of the row with `|` between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from lhotse.cut import Cut

from audiossl.core.errors import LabelError
from audiossl.data.fields import read_labels
from audiossl.data.frame_labels import span_in_file
from audiossl.data.sound_file import ROUNDING_S
from audiossl.metrics.sound_events import SoundEvent


def has_calls(cut: Cut) -> bool:
    """Whether somebody has said when the calls of a row are. A list without any says that there is none."""
    return isinstance(_custom(cut).get("calls"), list)


def calls_of(cut: Cut) -> list[SoundEvent]:
    """(start, end, label) of the calls within a row, in seconds from its start, in the order of time.

    What lies outside, as in a crop, is cut off. Calls of one label that touch or overlap are one. A row that is played
    faster has its calls earlier.
    """
    begin_s, lasting_s = span_in_file(cut)
    speed = lasting_s / float(cut.duration)
    found = []
    for start_s, end_s, label in _custom(cut).get("calls") or []:
        first, last = (float(time_s) - begin_s for time_s in (start_s, end_s))
        first, last = max(first / speed, 0.0), min(last / speed, float(cut.duration))
        if last > first:
            found.append((round(first, 6), round(last, 6), str(label)))
    return joined_events(found)


def heard_in(cut: Cut, label_field: str) -> list[str] | None:
    """The weak labels of a row, sorted: its label field, or where it lacks that, the labels of its calls.

    cut: the row.
    label_field: lists what is heard with `|` between labels.
    Returns None where nobody has said.
    """
    listed = read_labels(cut, label_field)
    if listed is None and has_calls(cut):
        return sorted({label for *_, label in calls_of(cut)})
    return listed


def joined_events(events: Iterable[SoundEvent]) -> list[SoundEvent]:
    """Events of one label that touch or overlap, as one.

    >>> joined_events([(1.0, 3.0, "a"), (0.0, 2.0, "a"), (2.5, 4.0, "b")])
    [(0.0, 3.0, 'a'), (2.5, 4.0, 'b')]
    """
    last: dict[str, SoundEvent] = {}
    done = []
    for start, end, label in sorted(events):
        before = last.get(label)
        if before is not None and start <= before[1]:
            last[label] = (before[0], max(before[1], end), label)
            continue
        if before is not None:
            done.append(before)
        last[label] = (start, end, label)
    return sorted([*done, *last.values()])


def check_calls(cut: Cut, where: str, *, join: bool) -> list[SoundEvent]:
    """The calls of a row, whose times must be possible.

    cut: the row.
    where: its split, for messages.
    join: whether calls of one label that overlap are taken as one. If not, they are an error.
    Raises LabelError for a row without `calls`, a call of no length or after the end of the recording, and two calls
    of one label that overlap.
    """
    if not has_calls(cut):
        raise LabelError(
            f"Row {cut.id} of {where} does not say when its calls are (it has no field calls); make the rows with "
            f"`audiossl data from-annotations --rows windows` (or recordings), or train with task.supervision=weak."
        )
    ends_s = float(cut.recording.duration) if cut.has_recording else float(cut.start + cut.duration)
    last: dict[str, SoundEvent] = {}
    for start_s, end_s, label in sorted((float(s), float(e), str(label)) for s, e, label in _custom(cut)["calls"]):
        what = f"Row {cut.id} of {where} has a call of {label!r} from {start_s:g} s to {end_s:g} s"
        if not end_s > start_s or start_s < 0:
            raise LabelError(f"{what}, which is no stretch of time; correct its times, or drop the call.")
        if end_s > ends_s + ROUNDING_S:
            raise LabelError(
                f"{what}, and its recording ends at {ends_s:g} s; correct the times, or the recording that they are of."
            )
        before = last.get(label)
        if before is not None and start_s < before[1] - 1e-6 and not join:
            raise LabelError(
                f"{what}, while another one lasts until {before[1]:g} s, and frames cannot tell two calls of one class "
                f"apart; set task.same_class=join to take such calls as one, or correct the times."
            )
        last[label] = max(before or (0.0, 0.0, label), (start_s, end_s, label), key=lambda call: call[1])
    return calls_of(cut)


def labels_at(
    events: Sequence[SoundEvent], labels: Sequence[str], times_s: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """(T, C) 1 for each of C classes that is heard at each of T moments, from a call's start until before its end.

    A call between two moments is heard at the one that is nearest to its middle, so that none is lost.

    events: the calls.
    labels: the classes. Calls of others are left out.
    times_s: the moments, ascending.
    """
    made = np.zeros((len(times_s), len(labels)), dtype=np.float32)
    places = {label: place for place, label in enumerate(labels)}
    for start_s, end_s, label in events:
        if label not in places or not len(times_s):
            continue
        first, last = np.searchsorted(times_s, (start_s, end_s), side="left")
        if first == last:
            first = int(np.abs(times_s - (start_s + end_s) / 2).argmin())
            last = first + 1
        made[first:last, places[label]] = 1.0
    return made


def _custom(cut: Cut) -> dict[str, Any]:
    return (cut.supervisions[0].custom or {}) if cut.supervisions else {}
