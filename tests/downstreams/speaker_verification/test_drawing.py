"""Trials that are drawn for corpora without any."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from audiossl.core.errors import AudiosslError
from audiossl.downstreams.speaker_verification.drawing import drawn_trials, write_trials
from audiossl.downstreams.speaker_verification.trials import read_trials

RECORDINGS = {
    "ann": {"a": ["ann/a/1", "ann/a/2"], "b": ["ann/b/1"]},
    "bob": {"c": ["bob/c/1"]},
    "eve": {"d": ["eve/d/1"], "e": ["eve/e/1"]},
}


def test_half_are_of_one_speaker_in_two_sessions(tmp_path: Path) -> None:
    drawn = drawn_trials(RECORDINGS, 4, random.Random(0))
    assert drawn == drawn_trials(RECORDINGS, 4, random.Random(0))
    assert len(set(drawn)) == len(drawn) == 4
    assert sum(same for same, *_ in drawn) == 2
    for same, one, other in drawn:
        (speaker, session, _), (another, second, _) = one.split("/"), other.split("/")
        assert same == (speaker == another)
        assert session != second
    write_trials(tmp_path / "new" / "trials.txt", drawn)
    assert [(int(t.target), t.enrol, t.test) for t in read_trials(tmp_path / "new" / "trials.txt")] == drawn


@pytest.mark.parametrize(
    "recordings", [{"ann": RECORDINGS["ann"]}, {"bob": {"c": ["1"]}, "eve": {"d": ["2"]}}], ids=["one", "one session"]
)
def test_too_few_speakers_are_one_sentence(recordings: dict[str, dict[str, list[str]]]) -> None:
    with pytest.raises(AudiosslError, match="dev needs two speakers, one of them in two sessions"):
        drawn_trials(recordings, 10, random.Random(0))
