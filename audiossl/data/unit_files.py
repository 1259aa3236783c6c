"""Files of discrete units: for each row a number for each frame, or for each run of equal ones with how long it is.

JSONL has all that a later reader must know: where in its recording the row begins, how many units there are a second,
and which clusters they are of. Kaldi's text, `ID 17 17 4 ...`, has the numbers alone.

Unit j stands for the moment `centre_s` + j / `rate_hz` seconds after the start of its row, which is the centre of the
frame that it was made of.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from audiossl.core.errors import ConfigError, LabelError, did_you_mean, first_line
from audiossl.core.files import atomic_write
from audiossl.data.frame_labels import HasFrames, first_centre_s, span_in_file

if TYPE_CHECKING:
    from lhotse.cut import Cut

Numbers = npt.NDArray[np.int64]
UnitFormat = Literal["jsonl", "kaldi"]

SUFFIX = ".units"
TOLERANCE_S = 0.1  # by which labels may end before the sound: less than the last frames of any encoder
_NEARLY = 1e-6  # of a unit


class UnitFacts(NamedTuple):
    """What the units of a file have in common.

    rate_hz: units a second.
    num_units: how many kinds there are, which are 0 to num_units - 1.
    centre_s: from the start of a row to the centre of its first frame. None for that of whoever reads them.
    made_by: which clusters made them, '' where that is not known.
    """

    rate_hz: float
    num_units: int
    centre_s: float | None = None
    made_by: str = ""


class UnitRow(NamedTuple):
    """The units of one row.

    id: of the row.
    units: (T,) one for each frame.
    facts: what they are.
    start_s: where the row begins in its recording.
    """

    id: str
    units: Numbers
    facts: UnitFacts
    start_s: float = 0.0

    def runs(self) -> tuple[Numbers, Numbers]:
        """De-duplicated: the unit of each run (R,), and how many frames it lasts (R,).

        >>> UnitRow("a", np.array([7, 7, 7, 2, 7]), UnitFacts(50, 8)).runs()
        (array([7, 2, 7]), array([3, 1, 1]))
        """
        starts = np.flatnonzero(np.diff(self.units, prepend=-1))
        return self.units[starts], np.diff(starts, append=len(self.units))


def write_unit_rows(path: Path, rows: Iterable[UnitRow], kind: UnitFormat = "jsonl", *, runs: bool = False) -> int:
    """Write units, atomically, and return of how many rows.

    path: the file.
    rows: of which one is in memory.
    kind: 'jsonl' or 'kaldi'.
    runs: whether they are de-duplicated. JSONL has the lengths of runs beside them, Kaldi's text in PATH.durations.
    Raises OutputError.
    """
    count = 0
    durations: list[str] = []
    with atomic_write(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for row in rows:
            units, lasting = row.runs() if runs else (row.units, None)
            if kind == "kaldi":
                file.write(_kaldi_line(row.id, units))
                durations += [] if lasting is None else [_kaldi_line(row.id, lasting)]
            else:
                told = {"id": row.id, "start_s": row.start_s, **row.facts._asdict(), "units": units.tolist()}
                told |= {} if lasting is None else {"durations": lasting.tolist()}
                file.write(json.dumps(told, ensure_ascii=False) + "\n")
            count += 1
    if durations:
        with atomic_write(path.with_name(f"{path.name}.durations")) as temporary:
            temporary.write_text("".join(durations), encoding="utf-8")
    return count


def _kaldi_line(name: str, numbers: Numbers) -> str:
    if not name or any(letter.isspace() for letter in name):
        raise ConfigError(f"The id {name!r} has blanks, which Kaldi's text cannot tell from units; use --format jsonl.")
    return " ".join([name, *map(str, numbers.tolist())]) + "\n"


def read_unit_rows(path: Path) -> Iterator[UnitRow]:
    """The rows of a JSONL file, of which one is in memory. Runs become frames again. Raises LabelError."""
    try:
        with open(path, encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(file, start=1):
                yield _row_of(line, f"{path}, line {number}")
    except FileNotFoundError as error:
        raise LabelError(f"There is no file of units {path}; write it with `audiossl units apply`.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise LabelError(f"{path} cannot be read as text ({first_line(error)}); write it again.") from error


def _row_of(line: str, where: str) -> UnitRow:
    try:
        told = json.loads(line)
        units = np.asarray(told["units"], dtype=np.int64)
        if "durations" in told:
            units = np.repeat(units, np.asarray(told["durations"], dtype=np.int64))
        centre_s = None if told.get("centre_s") is None else float(told["centre_s"])
        facts = UnitFacts(float(told["rate_hz"]), int(told["num_units"]), centre_s, str(told.get("made_by", "")))
        row = UnitRow(str(told["id"]), units, facts, float(told.get("start_s", 0.0)))
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise LabelError(
            f"{where} is no row of units ({type(error).__name__}: {first_line(error)}); write the file with "
            f"`audiossl units apply --format jsonl`."
        ) from error
    if units.ndim != 1 or not len(units) or units.min() < 0 or units.max() >= facts.num_units or not facts.rate_hz > 0:
        raise LabelError(f"{where}: the units of {row.id} must be numbers from 0 to {facts.num_units - 1}.")
    return row


def nearest_units(
    facts: UnitFacts, num_frames: int, encoder: HasFrames, *, begin_s: float = 0.0, speed: float = 1.0
) -> Numbers:
    """The number of the unit whose centre is nearest to that of each frame of an encoder, the earlier of two.

    facts: of the units.
    num_frames: T of the encoder.
    encoder: whose frames they are.
    begin_s: where in the row with the units the encoder's sound begins.
    speed: how much faster the encoder's sound is.
    Returns (T,), from 0 on. The last ones may be beyond the units that there are.
    """
    beside_s = 0.0 if facts.centre_s is None else first_centre_s(encoder) - facts.centre_s
    times_s = np.arange(num_frames) * (encoder.stride / encoder.sample_rate_hz) * speed + begin_s + beside_s
    places: Numbers = np.ceil(times_s * facts.rate_hz - 0.5 - _NEARLY).astype(np.int64).clip(min=0)
    return places


class UnitLabels:
    """The units of many rows in little memory, found by the rows' ids.

    name: what errors call them.
    rows: with the same facts and different ids.
    Raises LabelError for others.
    """

    def __init__(self, name: str, rows: Iterable[UnitRow]) -> None:
        self.name = name
        self._places: dict[str, int] = {}
        self._starts_s, self._ends = array("d"), array("Q", [0])
        found: list[npt.NDArray[np.int32]] = []
        facts: UnitFacts | None = None
        for row in rows:
            facts = facts or row.facts
            if row.facts != facts:
                raise LabelError(
                    f"{name}: row {row.id} has other units ({row.facts}) than the first ({facts}); give each set of "
                    f"labels a folder of its own."
                )
            if row.id in self._places:
                raise LabelError(f"{name} has the row {row.id} twice; leave one of the files out.")
            self._places[row.id] = len(self._starts_s)
            self._starts_s.append(row.start_s)
            self._ends.append(self._ends[-1] + len(row.units))
            found.append(row.units.astype(np.int32))
        if facts is None:
            raise LabelError(f"{name} has no row; write it again with `audiossl units apply`.")
        self.facts, self._values = facts, np.concatenate(found)

    @classmethod
    def read(cls, place: Path) -> Self:
        """The rows of a file, or of all files `*.units` in a folder. Raises LabelError."""
        if place.is_dir():
            files: Sequence[Path] = sorted(place.glob(f"*{SUFFIX}"))
            if not files:
                raise LabelError(f"{place} has no file *{SUFFIX}; write them with `audiossl units apply ... --out`.")
        else:
            files = [place]
        if not place.exists():
            raise LabelError(f"There is no {place} with labels; write it with `audiossl units apply`.")
        return cls(str(place), (row for file in files for row in read_unit_rows(file)))

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def row(self, name: str) -> UnitRow:
        """The units of a row by its id. Raises LabelError where there are none."""
        if name not in self._places:
            close = did_you_mean(name, list(self._places)[:1000])
            raise LabelError(
                f"Row {name} has no labels in {self.name}, which has {len(self)} rows. {close} Write those of its "
                f"manifest with `audiossl units apply`.".replace("  ", " ")
            )
        place = self._places[name]
        units = self._values[self._ends[place] : self._ends[place + 1]].astype(np.int64)
        return UnitRow(name, units, self.facts, self._starts_s[place])

    def check(self, cut: Cut) -> None:
        """Raise LabelError for a whole row without labels, or with labels that are not as long as its sound."""
        row, _, speed = self._part(cut)
        if len(row.units) / self.facts.rate_hz > cut.duration * speed + TOLERANCE_S:
            raise self._unlike(cut, row)

    def of(self, cut: Cut, num_frames: int, encoder: HasFrames) -> Numbers:
        """The label of each frame of an encoder: that of the unit whose centre is nearest, the earlier of two.

        cut: the row, or a part of it, also at another speed.
        num_frames: of the encoder.
        encoder: whose frames they are.
        Returns (T,), which ends before `num_frames` where the labels do.
        Raises LabelError for a row without labels, or with labels that are not as long as its sound.

        Where both have the same window (HuBERT and its MFCC), this is frame * rate_hz * stride / sample_rate_hz, plus
        where the part begins, as published.
        """
        row, begin_s, speed = self._part(cut)
        places = nearest_units(self.facts, num_frames, encoder, begin_s=begin_s, speed=speed)
        found: Numbers = row.units[places[places < len(row.units)]]
        return found

    def _part(self, cut: Cut) -> tuple[UnitRow, float, float]:
        """The units of the row that a cut is a part of, where in the row it begins, and how much faster it is."""
        row = self.row(cut.id)
        if getattr(cut, "recording", None) is None:
            begin_s, lasting_s, end_s = 0.0, cut.duration, cut.duration
        else:
            start_s, lasting_s = span_in_file(cut)
            begin_s = start_s - row.start_s
            end_s = cut.recording.duration * (lasting_s / cut.duration) - row.start_s
        labelled_s = len(row.units) / self.facts.rate_hz
        if begin_s < -TOLERANCE_S or begin_s + lasting_s > labelled_s + TOLERANCE_S or labelled_s > end_s + TOLERANCE_S:
            raise self._unlike(cut, row)
        return row, begin_s, lasting_s / cut.duration

    def _unlike(self, cut: Cut, row: UnitRow) -> LabelError:
        labelled_s, recording = len(row.units) / self.facts.rate_hz, getattr(cut, "recording", None)
        of = f" of a recording of {recording.duration:.2f} s" if recording else ""
        return LabelError(
            f"The labels of row {cut.id} in {self.name} are of {row.start_s:.2f} s to {row.start_s + labelled_s:.2f} "
            f"s, but its sound is of {cut.start:.2f} s to {cut.start + cut.duration:.2f} s{of}; write them again from "
            f"its own sound."
        )
