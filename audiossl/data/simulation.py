"""Conversations put together from recordings of single speakers, with a stated overlap.

Turns follow each other, each a part of a recording that begins and ends with speech. The next speaker is any but the
last one. A turn begins after a pause (exponential, of a stated mean), or before the last one has ended where the
conversation so far has less overlap than wanted. The overlap is the time in which two speak, over the time in which
anybody does. More than two never speak at once. What was reached is counted from the speech itself and written beside
what was wanted. Long conversations are written as they are made, so that an hour takes the memory of a turn.

Everything follows from the seed and the number of the mixture.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile

from audiossl.core.errors import ManifestError
from audiossl.core.files import atomic_write
from audiossl.core.ranges import Count, Finite, NonNegative, Positive, Range, Seed, check_ranges
from audiossl.core.terminal import progress
from audiossl.data.fields import LABEL_SEPARATOR
from audiossl.data.reading import read_cut
from audiossl.data.row_store import RowStore
from audiossl.data.sources import cuts_from_files
from audiossl.data.speech_spans import Wave, speech_spans
from audiossl.data.turns import Turn, joined, speech_and_overlap_s, with_turns, write_rttm

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut

MIXTURES, SOURCE = "mix_clean", "s{}"  # LibriMix's folders
_STEP_S = 0.01  # turns begin on this grid
_LEVEL_DB = -25.0  # of the first speaker's speech, below full scale
_PEAK = 0.49  # of each speaker, so that two stay below full scale
_CANDIDATES = 64  # beginnings of a turn that are tried
_LOOSENESS = 0.3  # by how much of itself the overlap of a moment may miss the wanted one
_HELD = 20000  # rows that are kept as they are
_TRIES = 8  # draws of a part that was not heard before in the mixture

Steps = npt.NDArray[np.bool_]  # (n,) whether somebody speaks


@dataclass(frozen=True)
class SimulationConfig:
    """What conversations are like."""

    num_mixtures: Count = 100
    """How many there are of each manifest."""
    num_speakers: Count = 2
    """Speakers in each."""
    overlap: Annotated[float, Range(0, below=0.9)] = 0.2
    """Time in which two speak, over the time in which anybody does."""
    duration_s: Positive = 20.0
    """Seconds that each lasts at least. It ends with the first turn that reaches them after all have spoken."""
    turn_s: Positive = 5.0
    """Most seconds of a turn."""
    pause_s: NonNegative = 0.5
    """Mean seconds of silence between turns that do not overlap."""
    snr_db: tuple[Finite, Finite] = (-5.0, 5.0)
    """Range of how much louder the first speaker is than each of the others."""
    sample_rate_hz: Count = 16000
    """Of what is written."""
    keep_sources: bool = False
    """Whether each speaker is also written alone, as in LibriMix."""
    seed: Seed = 0
    """Of all that is drawn."""

    def __post_init__(self) -> None:
        check_ranges(self, "simulation")
        if self.snr_db[0] > self.snr_db[1]:
            raise ManifestError(f"snr_db={self.snr_db[0]:g} to {self.snr_db[1]:g}: the first must not be the larger.")


class Mixture(NamedTuple):
    """One conversation.

    name: its id.
    turns: of its speakers, without the pauses within them.
    snr_db: (K,) by how much the first speaker is louder than each.
    """

    name: str
    turns: list[Turn]
    snr_db: dict[str, float]

    @property
    def overlap(self) -> float:
        """What was reached."""
        speech_s, overlap_s = speech_and_overlap_s(self.turns)
        return overlap_s / speech_s if speech_s else 0.0


class SpeakerRows:
    """Recordings by speaker.

    rows: of one speaker each.
    split: what messages call them.
    Raises ManifestError for a row without a speaker or with several.
    """

    def __init__(self, rows: Iterable[Cut], split: str = "the manifest") -> None:
        self.split = split
        self._rows = RowStore(_HELD)
        self.numbers: dict[str, list[int]] = {}
        for cut in rows:
            speakers = {said.speaker for said in cut.supervisions}
            if len(speakers) != 1 or not (speaker := speakers.pop()):
                raise ManifestError(
                    f"Row {cut.id} of {split} is not of one named speaker, as what is mixed must be; fill in its "
                    f"column speaker, or leave it out."
                )
            self.numbers.setdefault(str(speaker), []).append(len(self._rows))
            self._rows.add(cut)

    def check(self, num_speakers: int) -> None:
        """Raise ManifestError where there are fewer speakers than a mixture needs."""
        if len(self.numbers) < num_speakers:
            raise ManifestError(
                f"{self.split} has {len(self.numbers)} speaker(s), and a mixture needs {num_speakers}; give more "
                f"recordings, or ask for fewer speakers."
            )

    def part(
        self, speaker: str, config: SimulationConfig, rng: np.random.Generator, heard: set[tuple[int, int]]
    ) -> tuple[Wave, list[tuple[int, int]]]:
        """A part of one of a speaker's recordings with the (first, last) samples of speech in it.

        speaker: whose.
        config: how long it is at most.
        rng: what it is drawn by.
        heard: (row, stretch) where parts began that were taken before, to which this one is added.
        Raises ManifestError for a recording without speech.
        """
        for _ in range(_TRIES):
            number = int(rng.choice(self.numbers[speaker]))
            cut = self._rows[number]
            samples = read_cut(cut, config.sample_rate_hz)
            spans = speech_spans(samples, config.sample_rate_hz)
            if not spans:
                raise ManifestError(
                    f"Row {cut.id} of {self.split} is silent, so nothing of it can be mixed; leave it out."
                )
            chosen = int(rng.integers(len(spans)))
            if (number, chosen) not in heard:
                break
        heard.add((number, chosen))
        longest = round(config.turn_s * config.sample_rate_hz)
        first, last = spans[chosen][0], min(spans[chosen][1], spans[chosen][0] + longest)
        inside = [(first, last)]
        for start, stop in spans[chosen + 1 :]:
            if stop - first > longest:
                break
            inside.append((start, stop))
        part = samples[first : inside[-1][1]].copy()
        return part, [(start - first, stop - first) for start, stop in inside]


@dataclass
class _Tape:
    """What is still open to change of a conversation: (K, s) samples from `base` on. The rest is in the files."""

    files: list[soundfile.SoundFile]
    num_speakers: int
    base: int = 0
    open: Wave = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))

    def add(self, speaker: int, start: int, samples: Wave) -> None:
        """Write what lies before `start`, and add the samples of a speaker there."""
        self.close_until(start)
        needed = start - self.base + len(samples)
        have = self.open.shape[1] if self.open.size else 0
        grown = np.zeros((self.num_speakers, max(needed, have)), dtype=np.float32)
        grown[:, :have] = self.open[:, :have] if have else 0.0
        grown[speaker, start - self.base : needed] += samples
        self.open = grown

    def close_until(self, end: int) -> None:
        """Write what lies before a sample."""
        have = self.open.shape[1] if self.open.size else 0
        count = end - self.base
        block = np.zeros((self.num_speakers, count), dtype=np.float32)
        block[:, : min(count, have)] = self.open[:, :count] if have else 0.0
        for number, file in enumerate(self.files):
            file.write(block.sum(axis=0) if number == 0 else block[number - 1])
        self.open, self.base = self.open[:, count:], end


class _Timing:
    """When turns begin, on a grid: what was said so far, and when each speaker has ended."""

    def __init__(self, config: SimulationConfig, rng: np.random.Generator) -> None:
        self.config, self.rng = config, rng
        self.last_start, self.speech, self.overlap = 0, 0, 0
        self.ends: dict[str, int] = {}
        self._tail, self._tail_start = np.zeros(0, dtype=bool), 0  # who speaks from the last start on

    @property
    def end(self) -> int:
        return max(self.ends.values(), default=0)

    def place(self, speaker: str, said: Steps) -> int:
        """The step at which a turn begins. said: (n,) whether each of its steps has speech."""
        start, shared = self.end + self._pause(), 0
        wanted = self.config.overlap
        if self.ends and wanted and self.overlap < wanted * (self.speech + said.sum()):
            start, shared = self._overlapping(speaker, said, start)
        self._remember(speaker, said, start, shared)
        return start

    def _overlapping(self, speaker: str, said: Steps, after: int) -> tuple[int, int]:
        """(start, steps in which two speak) nearest to the wanted overlap. after: the start without any."""
        *_, second = sorted([0, 0, *self.ends.values()])[:-1]
        first = max(second, self.ends.get(speaker, 0), self.last_start)
        starts = np.unique(np.linspace(first, self.end, _CANDIDATES).astype(np.int64))
        shared = np.array([self._shared(said, start) for start in starts])
        aim = self.config.overlap * self.rng.uniform(1 - _LOOSENESS, 1 + _LOOSENESS)
        missed = np.abs((self.overlap + shared) / (self.speech + said.sum() - shared) - aim)
        best = int(missed.argmin())
        return (int(starts[best]), int(shared[best])) if shared[best] else (after, 0)

    def _shared(self, said: Steps, start: int) -> int:
        heard = self._tail[start - self._tail_start :][: len(said)]
        return int((heard & said[: len(heard)]).sum())

    def _remember(self, speaker: str, said: Steps, start: int, shared: int) -> None:
        before = self._tail[start - self._tail_start :]
        tail = np.zeros(max(len(before), len(said)), dtype=bool)
        tail[: len(before)] |= before
        tail[: len(said)] |= said
        self._tail, self._tail_start, self.last_start = tail, start, start
        self.speech += int(said.sum()) - shared
        self.overlap += shared
        self.ends[speaker] = start + len(said)

    def _pause(self) -> int:
        return round(self.rng.exponential(self.config.pause_s) / _STEP_S)


def simulate(splits: Mapping[str, Iterable[Cut]], out_dir: str | Path, config: SimulationConfig) -> dict[str, CutSet]:
    """Write conversations of the speakers of each split, and give their rows.

    `<split>/mix_clean/<id>.flac` and `<split>.rttm` are written, with `keep_sources` also `<split>/s1/<id>.flac` and so
    on, with LibriMix's table of them in `metadata`. Rows have a supervision for each turn, and in the columns
    `overlap`, `wanted_overlap`, `speakers` and `snr_db` what they are made of.

    splits: rows of one speaker each.
    out_dir: where files go.
    config: what conversations are like.
    Raises ManifestError, AudioError.
    """
    from lhotse import CutSet

    sources = {split: SpeakerRows(rows, split) for split, rows in splits.items()}
    for rows in sources.values():  # before anything is written
        rows.check(config.num_speakers)
    made: dict[str, CutSet] = {}
    for split, rows in sources.items():
        mixtures = []
        for number in progress(range(config.num_mixtures), f"Mixing {split}"):
            mixtures.append(_mixed(f"{split}-{number:05d}", rows, Path(out_dir) / split, config))
        paths = [_path(Path(out_dir) / split, MIXTURES, each.name) for each in mixtures]
        cuts = cuts_from_files(paths, [each.name for each in mixtures])
        made[split] = CutSet.from_cuts(
            with_turns(cut, each.turns, _fields(each, config)) for cut, each in zip(cuts, mixtures, strict=True)
        )
        write_rttm(Path(out_dir) / f"{split}.rttm", {each.name: each.turns for each in mixtures})
        if config.keep_sources:
            _write_metadata(Path(out_dir), split, made[split], config.num_speakers)
    return made


def _write_metadata(folder: Path, split: str, cuts: CutSet, num_speakers: int) -> None:
    """LibriMix's table of a split.

    folder: of all that is written.
    split: its name.
    cuts: its rows.
    num_speakers: in each.
    """
    kinds = [MIXTURES, *(SOURCE.format(1 + k) for k in range(num_speakers))]
    header = ["mixture_ID", "mixture_path", *(f"source_{1 + k}_path" for k in range(num_speakers)), "length"]
    with (
        atomic_write(folder / "metadata" / f"mixture_{split}_{MIXTURES}.csv") as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for cut in cuts:
            places = [_path(folder / split, kind, cut.id).resolve() for kind in kinds]
            writer.writerow([cut.id, *places, cut.num_samples])


def _fields(mixture: Mixture, config: SimulationConfig) -> dict[str, str]:
    return {
        "overlap": f"{mixture.overlap:.4f}",
        "wanted_overlap": f"{config.overlap:g}",
        "speakers": LABEL_SEPARATOR.join(mixture.snr_db),
        "snr_db": LABEL_SEPARATOR.join(f"{value:.2f}" for value in mixture.snr_db.values()),
    }


def _path(folder: Path, kind: str, name: str) -> Path:
    return folder / kind / f"{name}.flac"


def _mixed(name: str, rows: SpeakerRows, folder: Path, config: SimulationConfig) -> Mixture:
    """Write one conversation.

    name: its id, which its draws follow from.
    rows: of its speakers.
    folder: of its split.
    config: what it is like.
    """
    rng = np.random.default_rng([config.seed, *name.encode()])
    speakers = [str(each) for each in rng.choice(sorted(rows.numbers), config.num_speakers, replace=False)]
    snr_db = dict.fromkeys(speakers, 0.0) | {each: float(rng.uniform(*config.snr_db)) for each in speakers[1:]}
    timing, rate = _Timing(config, rng), config.sample_rate_hz
    step = round(_STEP_S * rate)
    turns: list[Turn] = []
    heard: set[tuple[int, int]] = set()
    kinds = [MIXTURES, *(SOURCE.format(1 + k) for k in range(config.num_speakers) if config.keep_sources)]
    with ExitStack() as stack:
        files = []
        for kind in kinds:
            temporary = stack.enter_context(atomic_write(_path(folder, kind, name)))
            opened = soundfile.SoundFile(temporary, "w", rate, 1, "PCM_16", format="FLAC")
            files.append(stack.enter_context(opened))
        tape, last = _Tape(files, config.num_speakers), ""
        while timing.end * _STEP_S < config.duration_s or len(timing.ends) < config.num_speakers:
            waiting = [each for each in speakers if each not in timing.ends]
            others = [each for each in speakers if each != last] or speakers
            last = waiting[0] if waiting else str(rng.choice(others))
            samples, spans = rows.part(last, config, rng, heard)
            start = step * timing.place(last, _on_grid(spans, step))
            tape.add(speakers.index(last), start, samples * _gain(samples, spans, snr_db[last]))
            turns += [Turn((start + a) / rate, (start + b) / rate, last) for a, b in spans]
        tape.close_until(step * timing.end)
    return Mixture(name, joined(turns), snr_db)


def _on_grid(spans: list[tuple[int, int]], step: int) -> Steps:
    """(n,) whether each step of a turn has speech. spans: its stretches of speech in samples."""
    said = np.zeros(-(-spans[-1][1] // step), dtype=bool)
    for start, stop in spans:
        said[start // step : -(-stop // step)] = True
    return said


def _gain(samples: Wave, spans: list[tuple[int, int]], below_db: float) -> np.float32:
    """What brings the speech of a part to its level, or its peak to what leaves room for another.

    samples: (s,).
    spans: where there is speech.
    below_db: the first speaker.
    """
    speech = np.concatenate([samples[start:stop] for start, stop in spans]).astype(np.float64)
    wanted = 10 ** ((_LEVEL_DB - below_db) / 20) / np.sqrt((speech**2).mean())
    return np.float32(min(wanted, _PEAK / np.abs(speech).max()))
