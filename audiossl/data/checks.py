"""Validation of a manifest, which finds all that is wrong with it, and statistics of what is in it.

Whether splits share what they must not is the matter of `audiossl.data.leaks`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from audiossl.core.errors import AudioError
from audiossl.core.terminal import progress
from audiossl.data.reading import audio_facts, path_of, read_cut

if TYPE_CHECKING:
    from lhotse.cut import Cut


# One analysis window of the usual encoders: nothing shorter has a frame.
SHORTEST_S = 0.025


_QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)


class Problem(NamedTuple):
    """One thing that is wrong with one row."""

    id: str
    path: str
    message: str


def validate(cuts: Iterable[Cut], *, read_audio: bool = True, shortest_s: float = SHORTEST_S) -> list[Problem]:
    """All problems of all rows. It never stops at the first.

    Rows: ids that occur twice, rows shorter than `shortest_s` or outside their recording. Files: missing, unreadable,
    cut off, or with another rate or length than the manifest states. With `read_audio`, which reads every sample, also
    NaN, infinity, silence, and damage that the header does not show.
    """
    problems: list[Problem] = []
    counts: Counter[str] = Counter()
    for cut in progress(cuts, "Checking"):
        counts[cut.id] += 1
        path = path_of(cut) or ""
        messages = [] if counts[cut.id] == 1 else [f"the id {cut.id} occurs again (a duplicate)"]
        found = [*_row_problems(cut, shortest_s), *_file_problems(cut, path)]
        messages += found or (_sound_problems(cut) if read_audio else [])
        problems += [Problem(cut.id, path, message) for message in messages]
    return problems


def stats(cuts: Iterable[Cut] | Mapping[str, Iterable[Cut]]) -> dict[str, Any]:
    """Counts, hours, quantiles of duration, sample rates, labels and speakers of a cut set.

    Of a mapping from split to cut set: these for each under 'splits', and the speakers and the files that two splits
    share under 'shared_speakers' and 'shared_files', by 'split & split'.
    """
    if not isinstance(cuts, Mapping):
        return _Tally(cuts).as_dict()
    tallies = {split: _Tally(rows) for split, rows in cuts.items()}
    shared_speakers, shared_files = {}, {}
    for first, second in combinations(tallies, 2):
        pair = f"{first} & {second}"
        shared_speakers[pair] = sorted(tallies[first].speakers.keys() & tallies[second].speakers.keys())
        shared_files[pair] = sorted(tallies[first].files & tallies[second].files)
    return {
        "splits": {split: tally.as_dict() for split, tally in tallies.items()},
        "shared_speakers": {pair: names for pair, names in shared_speakers.items() if names},
        "shared_files": {pair: names for pair, names in shared_files.items() if names},
    }


class _Tally:
    def __init__(self, cuts: Iterable[Cut]) -> None:
        self.durations: list[float] = []
        self.rates: Counter[int] = Counter()
        self.labels: Counter[str] = Counter()
        self.speakers: Counter[str] = Counter()
        self.files: set[str] = set()
        for cut in progress(cuts, "Counting"):
            self.durations.append(cut.duration)
            self.rates[cut.sampling_rate] += 1
            self.files.add(path_of(cut) or cut.id)
            for supervision in cut.supervisions:
                if (supervision.custom or {}).get("label"):
                    self.labels[str(supervision.custom["label"])] += 1
                if supervision.speaker:
                    self.speakers[supervision.speaker] += 1

    def as_dict(self) -> dict[str, Any]:
        quantiles = np.quantile(self.durations, _QUANTILES) if self.durations else np.zeros(len(_QUANTILES))
        names = ("min", "p05", "median", "p95", "max")
        return {
            "num_rows": len(self.durations),
            "num_files": len(self.files),
            "hours": sum(self.durations) / 3600,
            "duration_s": {name: round(float(value), 3) for name, value in zip(names, quantiles, strict=True)},
            "sample_rates_hz": dict(sorted(self.rates.items())),
            "labels": dict(sorted(self.labels.items())),
            "speakers": dict(sorted(self.speakers.items())),
        }


def _row_problems(cut: Cut, shortest_s: float) -> Iterator[str]:
    if cut.duration < shortest_s:
        yield f"lasts {cut.duration:g} s, too short: at least {shortest_s:g} s are needed"
    recording = getattr(cut, "recording", None)
    if recording is not None and (cut.start < 0 or cut.end > recording.duration + 0.5 / recording.sampling_rate):
        yield (
            f"start {cut.start:g} s to end {cut.end:g} s is outside its recording of {recording.duration:g} s; "
            f"correct start and end"
        )


def _file_problems(cut: Cut, path: str) -> list[str]:
    if not path:
        return []  # lhotse puts this row together
    try:
        num_samples, rate, _ = audio_facts(path)
    except AudioError as error:
        return [str(error)]
    stated = cut.recording
    found = []
    if rate != stated.sampling_rate:
        found.append(f"the manifest says {stated.sampling_rate} Hz, but {path} has {rate} Hz; make the manifest again")
    elif num_samples != stated.num_samples:
        found.append(
            f"the manifest says {stated.duration:g} s ({stated.num_samples} samples), but {path} lasts "
            f"{num_samples / rate:g} s ({num_samples} samples); make the manifest again"
        )
    return found


def _sound_problems(cut: Cut) -> list[str]:
    try:
        sound = read_cut(cut, cut.sampling_rate)
    except AudioError as error:
        return [str(error)]
    return [] if sound.any() else [f"{path_of(cut) or cut.id} is silent in this part: every sample is zero"]
