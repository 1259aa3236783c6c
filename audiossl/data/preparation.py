"""What the `prepare.py` of every recipe shares: its arguments, a table of the recordings, and one line of counts."""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sized
from pathlib import Path
from typing import TYPE_CHECKING

from audiossl.core.errors import AudiosslError, ManifestError
from audiossl.data.sources import cuts_from_csv

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut


def folder_parser(
    doc: str | None, folder_help: str, out_help: str = "folder for the manifests", *, out_nargs: str | None = None
) -> argparse.ArgumentParser:
    """A parser of the two paths `folder` and `out`, to which a script may add.

    doc: the script's own docstring, shown as it is written.
    folder_help: what `folder` is.
    out_help: what `out` is.
    out_nargs: '?' where a script has something to do without `out`.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help=folder_help)
    parser.add_argument("out", type=Path, nargs=out_nargs, help=out_help)
    return parser


def files_named(
    folder: Path, name: re.Pattern[str], suffixes: Collection[str] = (".wav", ".flac")
) -> list[tuple[Path, re.Match[str]]]:
    """The files at any depth below `folder` whose whole stem matches, by path, each with its match."""
    found = sorted(path for path in folder.rglob("*") if path.suffix in suffixes)
    return [(path, match) for path in found if (match := name.fullmatch(path.stem))]


def cuts_of_table(rows: Iterable[Mapping[str, object]], table: Path, audio_root: Path) -> dict[str, CutSet]:
    """Write rows (column -> value) as a CSV, and read cut sets by split from it. All have the first one's columns.

    What the columns mean, and the errors, are those of `cuts_from_csv`. Raises ManifestError if there is no row.
    """
    lines = list(rows)
    if not lines:
        raise ManifestError(f"{audio_root} has no recording for {table}; give the folder of the whole corpus.")
    table.parent.mkdir(parents=True, exist_ok=True)
    with open(table, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    return cuts_from_csv(table, audio_root=audio_root)


def rows_named(cuts: Mapping[str, Cut], names: Iterable[str], source: Path, fix: str) -> CutSet:
    """The rows that a list names, each once, in the order of their names.

    cuts: by the names that lists have for them.
    names: those of the list.
    source: the list, for an error.
    fix: what to do where one is missing.
    Raises AudiosslError for a recording that is not there.
    """
    from lhotse import CutSet

    wanted = sorted(set(names))
    missing = [name for name in wanted if name not in cuts]
    if missing:
        raise AudiosslError(
            f"{source} names {len(missing)} recordings that are not there, such as {missing[0]}; {fix}."
        )
    return CutSet.from_cuts([cuts[name] for name in wanted])


def described(splits: Mapping[str, Sized]) -> str:
    """The number of rows of each split.

    >>> described({"train": "abc", "dev": "d"})
    'train 3, dev 1'
    """
    return ", ".join(f"{name} {len(rows)}" for name, rows in splits.items())


def run(main: Callable[[], None]) -> None:
    """Call a script's `main`. An AudiosslError becomes one sentence on stderr, and exit code 1."""
    try:
        main()
    except AudiosslError as error:
        sys.exit(f"error: {error}")
