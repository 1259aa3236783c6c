"""`audiossl diarize`: what it prints and writes, and what it refuses before it begins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from audiossl.cli.main import add_commands_of_tasks, app
from audiossl.data.annotations import read_annotations
from audiossl.data.turns import read_rttm
from audiossl.downstreams.speaker_verification.diarizing import diarize as module
from audiossl.downstreams.speaker_verification.diarizing.config import DiarizeOptions
from audiossl.downstreams.speaker_verification.diarizing.diarize import FoundTurns, Turn

TURNS = [Turn(0.5, 2.0, "SPEAKER_00"), Turn(2.0, 3.25, "SPEAKER_01")]


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> list[DiarizeOptions]:
    """What the command asks for, of a `diarize` that always finds two turns."""
    asked: list[DiarizeOptions] = []

    def answer(run: Any, cut: Any, given: DiarizeOptions) -> FoundTurns:
        asked.append(given)
        return FoundTurns(cut.id, cut.duration, TURNS)

    monkeypatch.setattr(module, "diarize", answer)
    add_commands_of_tasks()
    return asked


def call(run: Path, *arguments: object) -> Any:
    return CliRunner().invoke(app, ["diarize", str(run), *map(str, arguments)])


def test_turns_are_written_and_told(run: Path, meeting: Any, options: list[DiarizeOptions], tmp_path: Path) -> None:
    out = tmp_path / "new" / "meeting.rttm"
    done = call(run, meeting.path, "--out", out, "--num-speakers", 2, "--set", "onset=0.3", "--set", "offset=0.2")
    assert done.exit_code == 0, done.output
    assert options == [DiarizeOptions(num_speakers=2, onset=0.3, offset=0.2)]
    assert read_rttm(out) == {"meeting": TURNS}
    assert "meeting: 2 speaker(s), 2 turns: SPEAKER_00 1.5 s, SPEAKER_01 1.2 s" in done.stdout
    table = tmp_path / "labels.txt"
    assert call(run, meeting.path, "--out", table, "--format", "audacity").exit_code == 0
    assert [row.label for row in read_annotations(table)] == ["SPEAKER_00", "SPEAKER_01"]
    assert "2.00       3.25  SPEAKER_01" in call(run, meeting.path).stdout
    (told,) = json.loads(call(run, meeting.path, "--json").stdout)
    assert told["turns"][1] == [2.0, 3.25, "SPEAKER_01"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--format", "rtm"], "there is no such table. Did you mean rttm"),
        (["--method", "kmeans"], "method"),
        (["--set", "onst=1"], "onset"),
        (["--out", "MEETING"], "is an input of this command"),
        (["--out", "THERE"], "is there already"),
    ],
)
def test_what_cannot_be_is_refused(
    run: Path, meeting: Any, options: list[DiarizeOptions], tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    there = tmp_path / "there.rttm"
    there.touch()
    places = {"MEETING": str(meeting.path), "THERE": str(there)}
    done = call(run, meeting.path, "--out", tmp_path / "x.rttm", *(places.get(each, each) for each in arguments))
    assert done.exit_code != 0
    assert sentence in str(done.exception)
    assert options == []
