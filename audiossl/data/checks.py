"""Validation of a manifest, which finds all that is wrong with it, and statistics of what is in it.

Whether splits share what they must not is the matter of `audiossl.data.leaks`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from audiossl.core.errors import AudioError, AudiosslError
from audiossl.core.terminal import progress
from audiossl.data.fields import LABEL_SEPARATOR
from audiossl.data.reading import channel_blocks, channel_of, path_of, read_cut
from audiossl.data.sound_file import LEAST_SHARE, Levels, opened

if TYPE_CHECKING:
    from lhotse.cut import Cut


# One analysis window of the usual encoders: nothing shorter has a frame.
SHORTEST_S = 0.025
# Float files may peak some dB above full scale. Twice (6 dB) is worth a look.
LOUD = 2.0


_QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)
_MISSING = ("nan", "none", "null", "n/a", "<na>")
_WHOLE = re.compile(r"\d+(\.0*)?")


class Problem(NamedTuple):
    """One thing that is wrong with one row."""

    id: str
    path: str
    message: str


def validate(cuts: Iterable[Cut], *, read_audio: bool = True, shortest_s: float = SHORTEST_S) -> list[Problem]:
    """All problems of all rows. It never stops at the first.

    Rows: ids that occur twice, rows shorter than `shortest_s` or outside their recording. Files: missing, unreadable,
    cut off, or with another rate or length than the manifest states. With `read_audio`, which reads every sample, also
    NaN, infinity, silence, samples far above full scale, channels that cancel in their mean, and damage that the header
    does not show.
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

    Of a mapping from split to cut set: these for each under 'splits', the speakers and the files that two splits share
    under 'shared_speakers' and 'shared_files', by 'split & split', and what is doubtful under 'doubts', in sentences.
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
        "doubts": _doubts(tallies),
    }


def doubtful_values(values: Iterable[str], what: str) -> list[str]:
    """A sentence for each group of values that may be one, and for those by which programs write that there is none.

    >>> doubtful_values(["1", "1.0", "2", "nan"], "labels")
    ["The labels '1' and '1.0' may be one.", "The labels have 'nan', which may mean that there is none."]
    """
    alike: dict[str, list[str]] = {}
    for value in sorted(values):
        alike.setdefault(_key_of(value), []).append(value)
    found = [f"The {what} {' and '.join(map(repr, same))} may be one." for same in alike.values() if len(same) > 1]
    missing = [value for value in sorted(values) if value.lower() in _MISSING]
    if missing:
        found.append(f"The {what} have {', '.join(map(repr, missing))}, which may mean that there is none.")
    return found


def _key_of(value: str) -> str:
    """What is the same of values that differ in case, in their Unicode form, in blanks or in the form of a number."""
    text = " ".join(unicodedata.normalize("NFKC", value).split())
    if _WHOLE.fullmatch(text):
        return str(int(text.partition(".")[0]))
    return text.lower() if len(text) > 1 else text  # syllables may be a and A


def _doubts(tallies: Mapping[str, _Tally]) -> list[str]:
    labels = {split: tally.single_labels for split, tally in tallies.items()}
    found = doubtful_values(set().union(*labels.values()), "labels")
    found += doubtful_values({name for tally in tallies.values() for name in tally.speakers}, "speakers")
    trained = labels.get("train", set())
    for split, mine in labels.items():
        lacking = sorted(trained - mine)
        if lacking:
            found.append(f"{split} lacks {len(lacking)} of the {len(trained)} labels of train: {_some(lacking)}.")
        unseen = sorted(mine - trained)
        if trained and unseen:
            found.append(f"{split} has {len(unseen)} label(s) that train has not: {_some(unseen)}.")
    return found


def _some(names: list[str]) -> str:
    return ", ".join(map(repr, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


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

    @property
    def single_labels(self) -> set[str]:
        """Those of rows with several one by one."""
        return {name.strip() for label in self.labels for name in label.split(LABEL_SEPARATOR)} - {""}

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
        with opened(path) as file:
            num_samples, rate, missing_s = file.num_samples, file.sample_rate_hz, file.missing_s
            channel_of(cut, file.num_channels)
    except AudioError as error:
        return [str(error)]
    stated = cut.recording
    found = []
    if missing_s:
        found.append(f"{path} ends {1000 * missing_s:.3g} ms before what its header says; what it holds is read")
    if rate != stated.sampling_rate:
        found.append(f"the manifest says {stated.sampling_rate} Hz, but {path} has {rate} Hz; make the manifest again")
    elif num_samples != stated.num_samples:
        found.append(
            f"the manifest says {stated.duration:g} s ({stated.num_samples} samples), but {path} lasts "
            f"{num_samples / rate:g} s ({num_samples} samples); make the manifest again"
        )
    return found


def _sound_problems(cut: Cut) -> list[str]:
    """What is wrong with the samples of a row, of which one block is in memory."""
    path, levels = path_of(cut), Levels()
    try:
        for frames in [read_cut(cut, cut.sampling_rate)[:, None]] if path is None else channel_blocks(cut):
            one = None if path is None else channel_of(cut, frames.shape[1])
            levels.add(frames if one is None else frames[:, one : one + 1])
    except AudiosslError as error:
        return [str(error)]
    name = path or cut.id
    if not levels.peak:
        return [f"{name} is silent in this part: every sample is zero"]
    found = []
    if levels.peak > LOUD:
        found.append(
            f"{name} has samples up to {levels.peak:.3g} where full scale is 1; see what wrote it, and scale it"
        )
    if levels.share_kept < LEAST_SHARE:
        found.append(
            f"{name} has channels that cancel: their mean, which encoders get, has {levels.share_kept:.2g} of their "
            f"power; write one channel to a file of its own"
        )
    return found
