"""Ids and labels come from elsewhere. They are text: no codes of a terminal, no markup and no paths."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from audiossl.core.errors import ManifestError
from audiossl.core.files import check_name

if TYPE_CHECKING:
    from rich.text import Text

# Control characters, other ends of lines, changes of the direction of writing, halves of characters.
_HIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Text for a terminal, in which nothing is a code that the terminal obeys.

    >>> print(printable("a\x1b[31mb\u202ec"))
    a\x1b[31mb\u202ec
    """
    return _HIDDEN.sub(lambda found: ascii(found[0])[1:-1], text)


def shown(text: Any) -> Text:
    r"""Text for a table or a line of rich, in which nothing is a code and nothing is markup.

    >>> shown("a [red]b\a").plain
    'a [red]b\\x07'
    """
    from rich.text import Text  # a tenth of a second that most commands need not spend

    return Text(printable(str(text)))


def json_text(value: Any, *, indent: int | None = None) -> str:
    """A value as JSON for a terminal: readable in every script, and without codes that the terminal obeys."""
    written = json.dumps(value, ensure_ascii=False, indent=indent)
    return _HIDDEN.sub(lambda found: "\n" if found[0] == "\n" else f"\\u{ord(found[0]):04x}", written)


class FileNames:
    """A path below some folder for each id, its own. Slashes make folders, and nothing leads out.

    suffix: of the files, with its dot.

    >>> names = FileNames(".npz")
    >>> names.of("a/b"), names.of("/c")
    (PosixPath('a/b.npz'), PosixPath('c.npz'))
    """

    def __init__(self, suffix: str) -> None:
        self.suffix = suffix
        self._owners: dict[Path, str] = {}

    def of(self, name: str) -> Path:
        """The path of an id, which is asked for once.

        Raises ManifestError for an id that was there before or of which no name can be made, and for two that would be
        one file.
        """
        parts = [part for part in PurePosixPath(name).parts if part not in ("/", "//", "..")]
        if not parts:
            raise ManifestError(f"The id {name!r} names no file; give the row an id of letters or digits.")
        # A character that cannot be seen would make a file that cannot be named.
        path = Path(*(_HIDDEN.sub("_", part) for part in parts))
        path = path.with_name(path.name + self.suffix)
        try:
            check_name(path)
        except (OSError, ValueError) as error:
            raise ManifestError(
                f"The id {name[:60]!r}... is too long for the name of a file; give the row a shorter one."
            ) from error
        if path in self._owners:
            raise ManifestError(
                f"The ids {self._owners[path]!r} and {name!r} would both be written as {path}; give the rows ids that "
                f"differ as names of files."
            )
        self._owners[path] = name
        return path


def file_names(ids: Iterable[str], suffix: str) -> list[Path]:
    """The paths of all ids, in their order. Raises ManifestError as `FileNames` does."""
    names = FileNames(suffix)
    return [names.of(name) for name in ids]
