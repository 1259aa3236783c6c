"""A progress bar for what turns out to be slow."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")
PATIENCE_S = 2.0


def progress(items: Iterable[T], title: str, total: int | None = None) -> Iterator[T]:
    """The items; on a terminal, with a bar on stderr from two seconds on. total: how many, if `len` does not say."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
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
