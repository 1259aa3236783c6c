"""The log of a run, written while it trains: log.jsonl for programs, which is read here too, TensorBoard for people."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from audiossl.core.errors import TrainingError
from audiossl.core.files import atomic_write, open_no_link, read_jsonl, unwritable
from audiossl.core.typed_json import check_types
from audiossl.training.board import Board

if TYPE_CHECKING:
    from audiossl.training.trackers import Trackers

_log = logging.getLogger(__name__)
LOG_NAME = "log.jsonl"


class RunLog:
    """Appends figures of a step to log.jsonl and to tensorboard/. After a resume, later lines of the old run go.

    Each line: {"step", "split": "train" or "dev", figures...}. A non-finite figure is null.

    folder: of the run.
    start_step: that of the checkpoint that is gone on from.
    active: False in processes that write nothing.
    trackers: what else gets the figures. None for nothing.
    """

    def __init__(
        self, folder: Path, *, start_step: int = 0, active: bool = True, trackers: Trackers | None = None
    ) -> None:
        self.folder, self.start_step, self.active = folder, start_step, active
        self._trackers = trackers if active else None
        self._file: IO[str] | None = None
        self._board: Board | None = None

    def __enter__(self) -> Self:
        if self.active:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / LOG_NAME
            _cut_after(path, self.start_step)
            if self._trackers is not None and self._trackers.live:
                self._trackers.begin(resume=self.start_step > 0)
            self._file = open(path, "a", encoding="utf-8", opener=open_no_link)
            self._board = Board(self.folder / "tensorboard", self.start_step + 1)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None and self._board is not None:
            self._file.close()
            self._board.close()
        if self._trackers is not None:
            with closing(self._trackers):
                if not self._trackers.live:
                    self._send(self._trackers)

    def _send(self, trackers: Trackers) -> None:
        """What this part of the run has written, at its end."""
        try:
            trackers.begin(resume=self.start_step > 0)
        except TrainingError as error:  # it is trained
            _log.warning("%s", error)
            return
        for line in read_log(self.folder):
            if line["step"] > self.start_step:
                trackers.write(line.pop("step"), line.pop("split"), line)

    def write(self, step: int, split: str, figures: Mapping[str, Any]) -> None:
        """The figures of a step, in both. Raises OutputError where the disk does not take them."""
        try:
            self._write(step, split, figures)
        except OSError as error:
            raise unwritable(self.folder / LOG_NAME, error) from error

    def _write(self, step: int, split: str, figures: Mapping[str, Any]) -> None:
        if self._file is None or self._board is None:
            return
        line = {"step": step, "split": split} | {name: _jsonable(value) for name, value in figures.items()}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        for name, value in figures.items():
            if isinstance(value, float):
                self._board.scalar(f"{split}/{name}", value, step)
        self._board.flush()
        if self._trackers is not None and self._trackers.live:
            self._trackers.write(step, split, figures)

    def picture(self, step: int, title: str, path: Path) -> None:
        if self._board is not None:
            from matplotlib.image import imread

            self._board.picture(title, imread(path)[..., :3], step)


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's log, [] where there is none. A last line that was cut off by a crash is left out.

    Raises AudiosslError for a log that is damaged otherwise.
    """
    path = folder / LOG_NAME
    if not path.is_file():
        return []
    lines = read_jsonl(path, may_be_cut=True)
    for number, line in enumerate(lines, start=1):
        known = {"step": None, "split": None, **line}
        check_types(known, {"step": int, "split": str}, f"{path}, line {number}", "mend or remove it")
    return lines


def _cut_after(path: Path, step: int) -> None:
    if path.is_file():
        kept = [line for line in read_log(path.parent) if line["step"] <= step]
        with atomic_write(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in kept)
            file.flush()
            os.fsync(file.fileno())


def _jsonable(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
