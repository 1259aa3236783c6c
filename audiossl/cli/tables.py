"""What commands print: tables and lines in which ids, labels and paths are text."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from audiossl.core.untrusted import printable, shown


def console(*, stderr: bool = False) -> Any:
    """Where tables go. It breaks no line."""
    from rich.console import Console  # a tenth of a second that `audiossl list` need not spend

    return Console(stderr=stderr, soft_wrap=True, highlight=False)


def new_table(*headers: str, title: str = "", folded: Sequence[str] | None = None, **style: Any) -> Any:
    """A table of rich without rows, its headers and its title taken as text.

    headers: of the columns.
    title: above the table.
    folded: columns whose cells are broken where a terminal is narrow, and no others. None for as rich has it.
    style: of rich's `Table`.
    """
    from rich.table import Table

    made = Table(title=shown(title) or None, title_justify="left", **style)
    for header in headers:
        broken: dict[str, Any] = {} if folded is None else {"overflow": "fold", "no_wrap": header not in folded}
        made.add_column(shown(header), **broken)
    return made


def add_row(to: Any, cells: Iterable[Any]) -> None:
    """A row of cells that are taken as text."""
    to.add_row(*map(shown, cells))


def print_left_out(left_out: Mapping[str, str]) -> None:
    """A line on stderr for each row or file that was left out, and their number. left_out: why, by name."""
    for name, why in left_out.items():
        print(f"Left out {printable(name)}: {printable(why)}", file=sys.stderr)
    if left_out:
        print(f"Left out: {len(left_out)}.", file=sys.stderr)


class PlainFormatter(logging.Formatter):
    """Messages whose lines hold no codes that a terminal obeys: they name ids, labels and files."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  a name of logging
        return "\n".join(map(printable, super().formatMessage(record).split("\n")))
