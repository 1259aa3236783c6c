"""Who speaks when: the supervisions of a row as turns of speakers, the same as RTTM, and as labels of frames.

A row of a conversation has one supervision for each turn, with its speaker, start and duration within the row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from audiossl.core.errors import LabelError, ManifestError, did_you_mean
from audiossl.data.annotations import Annotation, read_annotations, write_annotations

if TYPE_CHECKING:
    from lhotse.cut import Cut

_ROUNDING_S = 0.05  # by how much a turn may end after its row
_SHORTEST_S = 0.001  # what RTTM can write


class Turn(NamedTuple):
    """A stretch in which somebody speaks, in seconds from the start of the row."""

    start_s: float
    end_s: float
    speaker: str


def turns_of(cut: Cut) -> list[Turn]:
    """The turns within a row, in the order of time. What lies outside, as in a crop, is cut off.

    Raises LabelError for a turn without a speaker.
    """
    found = []
    for said in cut.supervisions:
        if not said.speaker:
            raise LabelError(
                f"The turn of row {cut.id} at {said.start:g} s has no speaker; fill it in, or drop the turn."
            )
        turn = Turn(max(float(said.start), 0.0), min(float(said.end), float(cut.duration)), str(said.speaker))
        if turn.end_s > turn.start_s:
            found.append(turn)
    return sorted(found)


def check_turns(cut: Cut, where: str = "") -> list[Turn]:
    """The turns of a whole row.

    Raises LabelError for a row without one, and for one that ends after the row.

    cut: the row.
    where: its split, for messages.
    """
    place = f"Row {cut.id}" + (f" of {where}" if where else "")
    if not cut.supervisions:
        raise LabelError(
            f"{place} has no turn, so nobody says who speaks in it; make the manifest with its RTTM file (`audiossl "
            f"data from-rttm`), or drop the row."
        )
    late = max(cut.supervisions, key=lambda said: said.end)
    if late.end > cut.duration + _ROUNDING_S or late.start >= cut.duration:
        raise LabelError(
            f"{place} lasts {cut.duration:g} s, and {late.speaker or 'somebody'} speaks until {late.end:g} s; correct "
            f"the times, or the recording that they are of."
        )
    return turns_of(cut)


def with_turns(cut: Cut, turns: Iterable[Turn], fields: Mapping[str, str] | None = None) -> Cut:
    """The row with these turns as its supervisions.

    cut: the row.
    turns: within it.
    fields: other columns of the row, which every turn has.
    """
    from lhotse import SupervisionSegment

    made = [
        SupervisionSegment(
            id=f"{cut.id}-{number:04d}",
            recording_id=cut.recording.id if cut.has_recording else cut.id,
            start=turn.start_s,
            duration=turn.end_s - turn.start_s,
            speaker=turn.speaker,
            custom=dict(fields) if fields else None,
        )
        for number, turn in enumerate(sorted(turns))
    ]
    changed: Cut = replace(cut, supervisions=made)  # type: ignore[type-var]
    return changed


def joined(turns: Iterable[Turn], longest_gap_s: float = 0.0) -> list[Turn]:
    """Turns of one speaker that touch, or have no longer gap between them, as one.

    >>> joined([Turn(0, 1, "a"), Turn(1.25, 2, "a"), Turn(0.5, 3, "b")], 0.25)
    [Turn(start_s=0, end_s=2, speaker='a'), Turn(start_s=0.5, end_s=3, speaker='b')]
    """
    last: dict[str, Turn] = {}
    done = []
    for turn in sorted(turns):
        before = last.get(turn.speaker)
        if before is not None and turn.start_s <= before.end_s + longest_gap_s:
            last[turn.speaker] = before._replace(end_s=max(before.end_s, turn.end_s))
            continue
        if before is not None:
            done.append(before)
        last[turn.speaker] = turn
    return sorted([*done, *last.values()])


def speech_and_overlap_s(turns: Sequence[Turn]) -> tuple[float, float]:
    """Seconds in which somebody speaks, and in which two or more do.

    >>> speech_and_overlap_s([Turn(0, 2, "a"), Turn(1.5, 4, "b"), Turn(1, 2, "a")])
    (4.0, 0.5)
    """
    changes = [change for turn in joined(turns) for change in ((turn.start_s, 1), (turn.end_s, -1))]
    speech_s = overlap_s = last_s = 0.0
    speaking = 0
    for time_s, change in sorted(changes):
        speech_s += (time_s - last_s) * (speaking > 0)
        overlap_s += (time_s - last_s) * (speaking > 1)
        speaking, last_s = speaking + change, time_s
    return speech_s, overlap_s


def speakers_at(
    turns: Iterable[Turn], speakers: Sequence[str], times_s: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """(T, K) whether each of K speakers speaks at each of T moments: from a turn's start until before its end.

    turns: of any speakers.
    speakers: those that are asked for.
    times_s: the moments, ascending.
    """
    found = np.zeros((len(times_s), len(speakers)), dtype=bool)
    places = {speaker: place for place, speaker in enumerate(speakers)}
    for start_s, end_s, speaker in turns:
        if speaker in places:
            first, last = np.searchsorted(times_s, (start_s, end_s), side="left")
            found[first:last, places[speaker]] = True
    return found


def read_rttm(path: str | Path) -> dict[str, list[Turn]]:
    """The turns of an RTTM file by the name of the recording. Raises ManifestError."""
    found: dict[str, list[Turn]] = {}
    for row in read_annotations(path, "rttm"):
        found.setdefault(row.path, []).append(Turn(row.start_s, row.end_s, row.label))
    return {name: sorted(turns) for name, turns in found.items()}


def write_rttm(path: str | Path, turns: Mapping[str, Iterable[Turn]]) -> Path:
    """Write the turns of recordings as one RTTM file, in which a recording is named without its folder.

    path: the file.
    turns: by recording. Those that are shorter than a millisecond are left out.
    Raises ManifestError for two recordings with one name, and for a name with a space.
    """
    names: dict[str, str] = {}
    rows = []
    for recording, mine in turns.items():
        name = rttm_name(recording)
        if names.setdefault(name, recording) != recording:
            raise ManifestError(
                f"The recordings {names[name]!r} and {recording!r} would both be {name} in an RTTM file; write one "
                f"file for each."
            )
        kept = (turn for turn in sorted(mine) if turn.end_s - turn.start_s >= _SHORTEST_S)
        rows += [Annotation(turn.start_s, turn.end_s, turn.speaker, f"{name}.wav") for turn in kept]
    return write_annotations(path, rows, "rttm")


def rttm_name(recording: str) -> str:
    """What a recording is called in RTTM files: its id without a folder.

    >>> rttm_name("train/meeting.1")
    'meeting.1'
    """
    return recording.rpartition("/")[2]


def turns_for(turns: Mapping[str, list[Turn]], recording: str, where: str | Path) -> list[Turn]:
    """What an RTTM file says of a recording, by its id or its name in such files.

    turns: of the file.
    recording: its id.
    where: the file, for messages.
    Raises LabelError where it says nothing.
    """
    for name in (recording, rttm_name(recording)):
        if name in turns:
            return turns[name]
    raise LabelError(f"{where} has no turn of {recording}. {did_you_mean(rttm_name(recording), turns)}")
