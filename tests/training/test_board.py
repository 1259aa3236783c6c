"""What TensorBoard reads, and that no thread is left to wait for."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from audiossl.training.board import Board


def test_curves_and_pictures_are_read_and_a_resumed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    threads = threading.active_count()
    folder = tmp_path / "tensorboard"
    for first, values in ((1, [3.0, 2.0, 1.0]), (3, [0.5, 0.25])):
        board = Board(folder, first)
        for step, value in enumerate(values, start=first):
            board.scalar("train/loss", value, step)
        board.picture("mask", np.zeros((4, 6, 3), np.float32), first)
        board.flush()
        assert threading.active_count() == threads
        found = EventAccumulator(str(folder)).Reload()
        board.close()
    assert [(event.step, event.value) for event in found.Scalars("train/loss")] == [
        (1, 3.0),
        (2, 2.0),
        (3, 0.5),
        (4, 0.25),
    ]
    picture = found.Images("mask")[-1]
    assert (picture.step, picture.width, picture.height) == (3, 6, 4)


def test_nothing_is_written_through_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "precious").write_text("mine")
    monkeypatch.setattr("socket.gethostname", lambda: "host")
    monkeypatch.setattr("time.time", lambda: 1.0)
    monkeypatch.setattr("os.getpid", lambda: 7)
    (tmp_path / "events.out.tfevents.0000000001.host.7").symlink_to("precious")
    with pytest.raises(OSError, match="symbolic links"):
        Board(tmp_path, 1)
    assert (tmp_path / "precious").read_text() == "mine"
