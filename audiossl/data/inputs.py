"""What a user names on the command line (files, folders, patterns, manifests) as one cut set."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from audiossl.core.errors import AudioError
from audiossl.data.folders import no_sound_in, sounds_below
from audiossl.data.manifests import read_manifest
from audiossl.data.sources import cuts_from_files

if TYPE_CHECKING:
    from lhotse import CutSet


def cuts_of(inputs: Sequence[str]) -> CutSet:
    """Cuts of sound files, folders (searched at any depth), shell patterns and manifests, in that order.

    A file's id is its name without the suffix, a file's in a folder its path below the folder. Where two are equal, it
    is the path as it was typed. Raises AudioError for an input with no sound in it, ManifestError for a bad manifest.
    """
    from lhotse import CutSet

    listed = [found for name in inputs for found in _expand(name)]
    manifests = [path for path, _ in listed if _is_manifest(path)]
    files = [(path, name) for path, name in listed if not _is_manifest(path)]
    uses = Counter(name for _, name in files)
    names = [name if uses[name] == 1 else path.with_suffix("").as_posix() for path, name in files]
    cuts = list(cuts_from_files([path for path, _ in files], names)) if files else []
    return CutSet.from_cuts([*cuts, *(cut for path in manifests for cut in read_manifest(path))])


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
