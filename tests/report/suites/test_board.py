"""TensorBoard reads the figures of a suite as it reads those of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from audiossl.experiments.suites.results import ResultsFolder, folder_of
from audiossl.report.suites.board import write_board
from audiossl.report.suites.reading import SuiteResults
from audiossl.report.suites.standings import Standings


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def test_an_encoder_is_a_run_and_a_seed_a_step(found: SuiteResults, ranked: Standings, tmp_path: Path) -> None:
    folder = write_board(found, tmp_path / "board")
    assert {path.name for path in folder.iterdir()} == {folder_of(name) for name in found.upstreams}
    events = read(folder / "spectral")
    points = events.Scalars("digits/keywords/accuracy")
    assert [point.step for point in points] == [0, 1]
    assert points[0].value == pytest.approx(ranked.tasks["digits/keywords"].figures["spectral"].seeds[0])
    assert events.Scalars("suite/score")[0].value == pytest.approx(ranked.scores["spectral"].value)
    assert len(events.Scalars("digits/keywords/tried on dev, seed 0")) == 6


def test_written_twice_it_is_there_once(own: ResultsFolder) -> None:
    folder = write_board(own.path)
    assert folder == own.path / "tensorboard"
    write_board(own.path)
    assert len(list((folder / "spectral").iterdir())) == 1
    assert len(read(folder / "spectral").Scalars("birds/calls/map")) == 1
