"""Curves and pictures for TensorBoard, written by the thread that trains.

torch's `SummaryWriter` hands them to a thread of its own, and joins it when it is closed: a second Ctrl-C in that join
leaves a process that never ends. Here what is written is in the file at once.
"""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

from audiossl.core.files import open_no_link


class Board:
    """An event file in a folder that TensorBoard reads.

    folder: it is made where it is not there.
    first_step: what earlier files say of this step and those after it no longer holds.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event = Event
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}"
        self._writer = RecordWriter(open(folder / name, "ab", opener=open_no_link))  # noqa: SIM115  until `close`
        self._add(first_step, file_version="brain.Event:2")
        self._add(first_step, session_log=SessionLog(status=SessionLog.START))

    def scalar(self, name: str, value: float, step: int) -> None:
        """A point of a curve."""
        from torch.utils.tensorboard.summary import scalar

        self._add(step, summary=scalar(name, value))

    def picture(self, name: str, pixels: Any, step: int) -> None:
        """A picture: (height, width, 3), from 0 to 1."""
        from torch.utils.tensorboard.summary import image

        self._add(step, summary=image(name, pixels, dataformats="HWC"))

    def flush(self) -> None:
        """Hand what was written to the system."""
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()

    def _add(self, step: int, **what: Any) -> None:
        self._writer.write(self._event(wall_time=time.time(), step=step, **what).SerializeToString())
