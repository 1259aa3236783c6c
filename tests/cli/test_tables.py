"""What commands print: names are text, whatever they hold."""

from __future__ import annotations

import io
import logging

import pytest

from audiossl.cli.tables import PlainFormatter, add_row, console, new_table

NAME = "[red]\x1b[2Jowl[/red]\a"


def test_headers_titles_and_cells_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    made = new_table("a", NAME, title=f"runs/{NAME}")
    add_row(made, (NAME, 3))
    console().print(made)
    out = capsys.readouterr().out
    assert out.count(r"[red]\x1b[2Jowl[/red]\x07") == 3
    assert "\x1b" not in out and "\a" not in out


def test_a_log_says_names_as_text_and_keeps_its_lines() -> None:
    buffer = io.StringIO()
    handler = logging.StreamHandler(buffer)
    handler.setFormatter(PlainFormatter("%(message)s"))
    handler.handle(logging.LogRecord("x", logging.WARNING, "", 0, "%s and\nmore", (NAME,), None))
    assert buffer.getvalue() == "[red]\\x1b[2Jowl[/red]\\x07 and\nmore\n"
