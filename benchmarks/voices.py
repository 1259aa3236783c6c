"""Who speaks, from a second of LibriSpeech: training, dev and test segments from other times of the recordings.

`AUDIOSSL_DATA/libri_mini` has one recording of each speaker of train-clean-100 and ten, of one chapter, of each of ten
speakers of test-other. Voice and recording session are therefore one thing in all of these tasks: whatever tells the
microphone helps in them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from lhotse import CutSet

from audiossl.data.reading import path_of

SEGMENT_S = 1.0
GAP_S = 0.5  # between the parts of a recording, so that no word is in two of them
SHORTEST_S = 10.0  # of a recording: less has no two training segments in its first quarter


class Segments(NamedTuple):
    train: CutSet
    dev: CutSet
    test: CutSet


def unheard_speakers(libri: Mapping[str, CutSet]) -> Segments:
    """The dev speakers of train-clean-100 and the ten of test-other, of each of these the longest recording."""
    recordings: dict[str, list[Any]] = defaultdict(list)
    for cut in (*libri["dev"], *libri["test"]):
        recordings[cut.supervisions[0].speaker].append(cut)
    return by_time(max(cuts, key=lambda cut: cut.duration) for cuts in recordings.values())


def heard_speakers(libri: Mapping[str, CutSet]) -> Segments:
    """The speakers whose recordings are, without a label, in the pre-training."""
    return by_time(libri["train"])


def by_time(recordings: Iterable[Any]) -> Segments:
    """The first quarter of each recording for training, the second for dev, the second half for test."""
    parts: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
    for cut in recordings:
        if cut.duration < SHORTEST_S:
            continue
        borders = (0.0, cut.duration / 4, cut.duration / 2, cut.duration + GAP_S)
        for part, start, end in zip(parts, borders, borders[1:], strict=False):
            part += segments(cut, start, end - GAP_S)
    return Segments(*(CutSet.from_cuts(part) for part in parts))


def by_utterance(libri: Mapping[str, CutSet]) -> Segments:
    """The ten test-other speakers: utterances 0 and 1 for training, 2 to 4 for dev, 5 to 9 for test."""
    parts: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
    for cut in libri["test"]:
        number = int(Path(str(path_of(cut))).stem.rsplit("-", 1)[1])
        parts[0 if number < 2 else 1 if number < 5 else 2].extend(segments(cut, 0.0, cut.duration))
    return Segments(*(CutSet.from_cuts(part) for part in parts))


def segments(cut: Any, start: float, end: float) -> list[Any]:
    """Neighbouring segments of SEGMENT_S between two times in seconds."""
    count = int((end - start) / SEGMENT_S + 1e-6)
    offsets = [start + index * SEGMENT_S for index in range(count)]
    return [cut.truncate(offset=at, duration=SEGMENT_S).with_id(f"{cut.id} at {at:.3f} s") for at in offsets]
