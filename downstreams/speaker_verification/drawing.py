"""Trials for corpora that come without any for development: half of one speaker, half of two, drawn by seed."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from audiossl.core.errors import AudiosslError

DrawnTrial = tuple[int, str, str]  # 1 for one speaker and 0 for two, and both recordings


def drawn_trials(
    recordings: Mapping[str, Mapping[str, Sequence[str]]], count: int, rng: random.Random
) -> list[DrawnTrial]:
    """At most `count` trials, none twice, half of them of one speaker.

    Both recordings of one speaker are of two sessions, so that a room and a microphone don't give the speaker away.

    recordings: by speaker and by session (a video, a genre), the names of the recordings.
    count: how many are wanted. With few recordings there are fewer.
    rng: what they are drawn by.
    Raises AudiosslError for less than two speakers, or where nobody has two sessions.
    """
    speakers = sorted(recordings)
    several = [speaker for speaker in speakers if len(recordings[speaker]) > 1]
    if len(speakers) < 2 or not several:
        raise AudiosslError("dev needs two speakers, one of them in two sessions; unpack more of the corpus.")
    drawn: tuple[dict[DrawnTrial, None], dict[DrawnTrial, None]] = {}, {}  # of two speakers, and of one
    for attempt in range(4 * count):
        same = attempt % 2 == 0
        # A trial that is drawn again counts once: one kind may be complete before the other.
        if len(drawn[same]) >= (count + same) // 2:
            continue
        if same:
            speaker = rng.choice(several)
            first, second = (recordings[speaker][session] for session in rng.sample(sorted(recordings[speaker]), 2))
        else:
            first, second = (rng.choice(list(recordings[speaker].values())) for speaker in rng.sample(speakers, 2))
        one, other = sorted((rng.choice(first), rng.choice(second)))
        drawn[same][int(same), one, other] = None
    return [*drawn[1], *drawn[0]]


def write_trials(path: Path, trials: Sequence[DrawnTrial]) -> None:
    """A list in VoxCeleb's form, which `task.trials` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{same} {one} {other}\n" for same, one, other in trials), encoding="utf-8")
