"""What a long computation has to do with its terminal: progress, and a Ctrl-C that waits for the end of a step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def on_signals(ask: Callable[[], None]) -> Iterator[None]:
    """Call `ask` at the first Ctrl-C (or SIGTERM), so that a step can end and be saved; the second acts at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        ask()
        for which, handler in old.items():
            signal.signal(which, handler)

    for number in old:
        signal.signal(number, ask_to_stop)
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def progress_bar(shown: bool) -> Progress:
    """On standard error: steps done, time left and a note."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn("{task.fields[note]}"), console=Console(stderr=True), disable=not shown)
