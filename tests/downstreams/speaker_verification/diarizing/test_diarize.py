"""Who speaks when in a conversation of toy voices, and what is wrong with recordings and runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from toys.bands import Bands
from toys.voices import RATE

from audiossl.core.errors import AudioError, AudiosslError, ConfigError
from audiossl.data.turns import Turn, write_rttm
from audiossl.downstreams.diarization.task import FrameDiarization
from audiossl.downstreams.speaker_verification.diarizing.config import DiarizeOptions
from audiossl.downstreams.speaker_verification.diarizing.diarize import FoundTurns, diarize
from audiossl.experiments.loading import load_run
from audiossl.experiments.run import Run
from audiossl.metrics.diarization import Scoring, diarization_errors


@pytest.fixture(scope="module")
def loaded(run: Path) -> Run:
    return load_run(run, device="cpu")


def of(path: Path, loaded: Run, **options: Any) -> FoundTurns:
    return diarize(loaded, path, DiarizeOptions(**options))


@pytest.mark.parametrize(
    "options",
    [
        {"context": "recording"},
        {"context": "window", "num_speakers": 3},
        {"method": "agglomerative", "num_speakers": 3},
        {"most_windows": 20},
    ],
)
def test_three_voices_are_told_apart(meeting: Any, loaded: Run, options: dict[str, Any]) -> None:
    found = of(meeting.path, loaded, **options)
    assert found.speakers == ["SPEAKER_00", "SPEAKER_01", "SPEAKER_02"]
    assert diarization_errors(meeting.turns, found.turns, scoring=Scoring(0.75)).errors_s == 0
    assert len(found.turns) == len(meeting.turns)
    for turn, true in zip(found.turns, meeting.turns, strict=True):
        assert np.abs(np.subtract(turn[:2], true[:2])).max() < 0.75
    assert found.as_json()["num_speakers"] == 3
    assert found.speaks_s("SPEAKER_00") == pytest.approx(12, abs=1.5)


def test_speech_may_be_named(meeting: Any, loaded: Run, tmp_path: Path) -> None:
    table = write_rttm(tmp_path / "speech.rttm", {"meeting": meeting.turns[:3], "other": meeting.turns})
    found = of(meeting.path, loaded, speech=str(table))
    assert [turn[:2] for turn in found.turns] == [pytest.approx(turn[:2], abs=1e-3) for turn in meeting.turns[:3]]
    write_rttm(table, {"meeting": [Turn(1, 99, "x")]})
    with pytest.raises(AudioError, match=r"has speech until 99 s, and .*meeting\.wav ends at"):
        of(meeting.path, loaded, speech=str(table))
    write_rttm(table, {"else": [Turn(1, 2, "x")]})
    with pytest.raises(AudioError, match="has no line for meeting"):
        of(meeting.path, loaded, speech=str(table))


def test_recordings_without_speech_are_named(loaded: Run, tmp_path: Path) -> None:
    for name, sound in (("silent", np.zeros(2 * RATE)), ("short", np.ones(100)), ("noise", 0.01 * torch.randn(RATE))):
        soundfile.write(tmp_path / f"{name}.wav", np.asarray(sound), RATE)
        with pytest.raises(AudioError, match=rf"{name}\.wav lasts .* nothing stands out .*--speech TABLE"):
            of(tmp_path / f"{name}.wav", loaded)


def test_what_the_run_or_the_options_lack_is_said(meeting: Any, loaded: Run, corpus: Path) -> None:
    with pytest.raises(ConfigError, match=r"windows of speech, too few for num_speakers=500"):
        of(meeting.path, loaded, num_speakers=500)
    with pytest.raises(AudioError, match=r"stands for 56 recordings; name one file"):
        of(corpus, loaded)
    other = dataclasses.replace(loaded, task=Bands())  # type: ignore[arg-type]
    with pytest.raises(AudiosslError, match="which knows no speakers; give one of speaker_verification"):
        of(meeting.path, other)


def test_a_run_of_the_task_diarization_predicts(meeting: Any, loaded: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Run, "predict", lambda run, cuts: [{"predicted": [[0.0, 1.0, "SPEAKER_00"]]} for _ in cuts])
    framewise = dataclasses.replace(loaded, task=object.__new__(FrameDiarization))
    assert of(meeting.path, framewise).turns == [Turn(0.0, 1.0, "SPEAKER_00")]
