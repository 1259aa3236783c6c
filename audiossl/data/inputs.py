"""What a user gives as rows: names on the command line (files, folders, patterns, manifests), and tables in Python."""

from __future__ import annotations

import glob
import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiossl.core.errors import AudioError, ConfigError, ManifestError, OutputError, did_you_mean
from audiossl.data.bad_rows import BadRows
from audiossl.data.folders import no_sound_in, sounds_below
from audiossl.data.frames import TableReading, is_table
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.sound_folder import SoundFolder
from audiossl.data.sources import cuts_from_files

if TYPE_CHECKING:
    from lhotse import CutSet

_MANIFEST = ".jsonl.gz"  # as `write_manifests` names it


def cuts_of(inputs: Sequence[str], bad: BadRows | None = None) -> CutSet:
    """Cuts of sound files, folders (searched at any depth), shell patterns and manifests, in that order.

    A file's id is its name without the suffix, a file's in a folder its path below the folder. Where two are equal, it
    is the path as it was typed. Raises AudioError for an input with no sound in it, ManifestError for a bad manifest.

    bad: what becomes of sound files that cannot be used. None for an error.
    """
    from lhotse import CutSet

    listed = [found for name in inputs for found in _expand(name)]
    manifests = [path for path, _ in listed if _is_manifest(path)]
    files = [(path, name) for path, name in listed if not _is_manifest(path)]
    uses = Counter(name for _, name in files)
    names = [name if uses[name] == 1 else path.with_suffix("").as_posix() for path, name in files]
    cuts = list(cuts_from_files([path for path, _ in files], names, bad)) if files else []
    return CutSet.from_cuts([*cuts, *(cut for path in manifests for cut in read_manifest(path))])


@contextmanager
def rows_of(given: Any) -> Iterator[CutSet]:
    """Rows that are given in Python: a cut set, a pandas frame, a `datasets.Dataset`, or paths as for `cuts_of`.

    Sound that is in memory alone lies in files until the context ends.
    Raises ManifestError, AudioError.
    """
    with tempfile.TemporaryDirectory(prefix="audiossl-") as folder:
        yield _cuts_in(given, Path(folder), "the table")


def write_rows(given: Mapping[str, Any], places: Mapping[str, Path]) -> None:
    """Write rows that are given in Python, as `rows_of` takes them, as manifests.

    given: the rows of each split.
    places: the manifest of each split. Sound that is in memory alone is written into `audio` beside it.
    Raises ConfigError for a split that has no place, OutputError for a manifest that is there of other rows.
    """
    for split, rows in given.items():
        if split not in places:
            raise ConfigError(f"rows has {split!r}, which is no split here. {did_you_mean(split, places)}")
        path = places[split]
        name, folder = path.name.removesuffix(_MANIFEST), path.parent
        if name == path.name:
            raise ConfigError(f"data.{split}={path} cannot be written; give it a name that ends in {_MANIFEST}.")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".rows-", dir=folder) as new:
            (made,) = write_manifests({name: _cuts_in(rows, folder / "audio", split)}, new).values()
            if path.exists() and path.read_bytes() != made.read_bytes():
                raise OutputError(f"{path} is there already, with other rows; choose another data.dir, or remove it.")
            os.replace(made, path)


def _cuts_in(given: Any, sounds: Path, called: str) -> CutSet:
    from lhotse import CutSet

    if is_table(given):
        # All rows are asked for, whatever split the table says they are of.
        return TableReading(SoundFolder(sounds), {"split": ""}).cuts(given, called)["all"]
    paths = [given] if isinstance(given, str | os.PathLike) else given
    if isinstance(paths, list | tuple) and all(isinstance(path, str | os.PathLike) for path in paths):
        return cuts_of([os.fspath(path) for path in paths])
    if not isinstance(given, CutSet):
        raise ManifestError(
            f"{called} is a {type(given).__name__}; give a cut set, a pandas frame, a datasets.Dataset (one split), or "
            f"paths."
        )
    return given


def _expand(name: str) -> Iterator[tuple[Path, str]]:
    """Every file that an argument stands for, with its id."""
    path = Path(name)
    if path.is_dir():
        found = sounds_below(path)
        if not found:
            raise AudioError(no_sound_in(name))
        yield from ((file, file.relative_to(path).with_suffix("").as_posix()) for file in found)
    elif path.exists() or not glob.has_magic(name):
        yield path, path.stem
    else:
        found = sorted(Path(match) for match in glob.glob(name, recursive=True) if Path(match).is_file())
        if not found:
            raise AudioError(f"No file matches {name}; check the pattern, in quotes if it has a star.")
        yield from ((file, file.stem) for file in found)


def _is_manifest(path: Path) -> bool:
    return path.name.endswith((".jsonl", ".jsonl.gz"))
