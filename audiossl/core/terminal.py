"""What a long computation has to do with its terminal: progress, and a Ctrl-C that waits for the end of a step."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

T = TypeVar("T")
PATIENCE_S = 2.0


class Interrupted(Exception):  # noqa: N818  no error: the user asked for it
    """A long computation was stopped by a signal, and has written what it can go on from."""


@contextmanager
def on_signals(ask: Callable[[], None]) -> Iterator[None]:
    """Call `ask` at the first Ctrl-C (or SIGTERM), so that a step can end and be saved. The second acts at once."""
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
    return _bar(MofNCompleteColumn(), TextColumn("{task.fields[note]}"), shown=shown)


def progress(items: Iterable[T], title: str, total: int | None = None) -> Iterator[T]:
    """The items. On a terminal they come with a bar on stderr, from two seconds on.

    total: how many they are, if `len` does not say.
    """
    bar = _bar(MofNCompleteColumn(), shown=_is_watched(), transient=True)
    task = bar.add_task(title, total=len(items) if total is None and isinstance(items, Sized) else total)
    begin, shown = time.monotonic(), False
    try:
        for number, item in enumerate(items):
            if not shown and time.monotonic() - begin > PATIENCE_S:
                bar.start()
                shown = True
            if shown:
                bar.update(task, completed=number)
            yield item
    finally:
        bar.stop()


def share_bar(total_s: float | None, *, shown: bool) -> Progress:
    """On standard error: the share done and the time left. Nothing where no terminal looks or the total is unknown."""
    return _bar(TextColumn("{task.percentage:>3.0f} %"), shown=shown and _is_watched() and bool(total_s))


def _bar(done: ProgressColumn, *more: ProgressColumn, shown: bool, transient: bool = False) -> Progress:
    """On standard error: a title, the bar, what is done, the time left and whatever else."""
    columns = (TextColumn("{task.description}"), BarColumn(), done, TimeRemainingColumn(), *more)
    return Progress(*columns, console=Console(stderr=True), disable=not shown, transient=transient)


def _is_watched() -> bool:
    return Console(stderr=True).is_terminal
