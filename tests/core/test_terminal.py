"""Progress on standard error, and what happens at Ctrl-C."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from audiossl.core import terminal


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> StringIO:
    """What is written to a terminal of 100 columns."""
    written = StringIO()

    def console(**settings: Any) -> Console:
        return Console(file=written, force_terminal=True, width=100)

    monkeypatch.setattr(terminal, "Console", console)
    return written


def test_progress_gives_every_item_and_is_silent_where_no_terminal_looks(capfd: pytest.CaptureFixture[str]) -> None:
    assert list(terminal.progress(iter("abc"), "Reading", total=3)) == ["a", "b", "c"]
    assert capfd.readouterr() == ("", "")


def test_progress_waits_before_it_shows_a_bar(watched: StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    list(terminal.progress([1, 2, 3], "Quick"))
    assert "Quick" not in watched.getvalue()
    monkeypatch.setattr(terminal, "PATIENCE_S", -1.0)
    list(terminal.progress([1, 2, 3], "Slow"))
    assert "Slow" in watched.getvalue()
    assert "/3" in watched.getvalue()


def test_progress_ends_its_bar_where_its_items_fail(watched: StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "PATIENCE_S", -1.0)

    def items() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(terminal.progress(items(), "Reading", total=2))
    assert watched.getvalue().endswith("\x1b[2K") or "\x1b[?25h" in watched.getvalue()  # the cursor is back


def test_bars_say_how_much_is_done(watched: StringIO) -> None:
    with terminal.progress_bar(True) as bar:
        bar.update(bar.add_task("training", total=8, note="loss 1.5"), completed=4)
    assert "4/8" in watched.getvalue()
    assert "loss 1.5" in watched.getvalue()
    with terminal.share_bar(20.0, shown=True) as bar:
        bar.advance(bar.add_task("Encoding once", total=20.0), 5.0)
    assert "25 %" in watched.getvalue()


@pytest.mark.parametrize(("total_s", "shown"), [(None, True), (0.0, True), (20.0, False)])
def test_a_share_of_nothing_is_not_shown(watched: StringIO, total_s: float | None, shown: bool) -> None:
    with terminal.share_bar(total_s, shown=shown) as bar:
        bar.add_task("Encoding once", total=total_s)
    assert watched.getvalue() == ""


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Ctrl-C raises, also where the tests themselves run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_first_signal_asks_and_the_second_acts(interrupts: None) -> None:
    asked: list[int] = []

    def twice() -> None:
        with terminal.on_signals(lambda: asked.append(1)):
            os.kill(os.getpid(), signal.SIGINT)
            assert asked == [1]
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        twice()
    assert asked == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
