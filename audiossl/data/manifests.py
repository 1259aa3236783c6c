"""Manifests: lhotse cut sets, one row for each recording or segment, one JSONL file for each split.

A row's sound is `cut.recording`'s one file. Its supervision holds the transcript (`text`), `speaker`, `language` and,
in `custom`, the `label` and every other column of the table that it comes from. What the cut itself has in `custom`
are its frame labels (`audiossl.data.frame_labels`).
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiossl.core.errors import ManifestError, first_line
from audiossl.core.files import atomic_write
from audiossl.data.local import only_files
from audiossl.data.row_types import wrong_part

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut

_OF_NEMO = "is of a NeMo manifest (audio_filepath); make a manifest of it with `audiossl data from-nemo`."


def write_manifests(splits: Mapping[str, CutSet], out_dir: str | Path) -> dict[str, Path]:
    """Write `<split>.jsonl.gz` for each split, each in one step, and return their paths."""
    paths = {}
    for split, cuts in splits.items():
        paths[split] = Path(out_dir) / f"{split}.jsonl.gz"
        # Without name and time in the gzip header, equal rows give equal files.
        with (
            atomic_write(paths[split]) as temporary,
            open(temporary, "wb") as raw,
            gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as file,
        ):
            for cut in cuts:
                file.write(json.dumps(cut.to_dict(), ensure_ascii=False).encode() + b"\n")
    return paths


def read_manifest(path: str | Path, *, shards_at: str = "") -> CutSet:
    """A manifest file, read row by row whenever it is iterated.

    path: of the file.
    shards_at: the folder or URL of shards that rows name without one. '' for the folder of the manifest.
    Raises ManifestError if it is missing, empty or not JSONL of cuts, for the first row at once, else when it is met.
    """
    from lhotse import CutSet

    place = Path(path)
    if not place.is_file():
        what = f"{place} is a folder; give one of its .jsonl.gz files" if place.is_dir() else f"There is no {place}"
        others = manifests_beside(place)
        there = f" (that folder has {', '.join(others)})" if others else ""
        raise ManifestError(f"{what}{there}; make manifests with `audiossl data from-csv` or a recipe's prepare step.")
    rows = _Rows(place, shards_at or str(place.parent.absolute()))
    if next(iter(rows), None) is None:
        raise ManifestError(f"{place} is empty: it has no row; make it again from the table or the recordings.")
    return CutSet(rows)


def manifests_beside(path: Path) -> list[str]:
    """The names of the manifests in the folder of a path, sorted."""
    return sorted(file.name for file in path.parent.glob("*.jsonl*") if file.suffix in (".jsonl", ".gz"))


class _Rows:
    """The cuts of a manifest file, which each iteration reads afresh."""

    def __init__(self, path: Path, shards_at: str) -> None:
        self.path, self._hook = path, partial(only_files, folder=shards_at)
        self._length: int | None = None

    def __len__(self) -> int:
        if self._length is None:
            self._length = sum(1 for _ in self._lines())
        return self._length

    def __iter__(self) -> Iterator[Cut]:
        from lhotse.cut import Cut
        from lhotse.serialization import deserialize_item

        for number, line in self._lines():
            try:
                told = json.loads(line, object_hook=self._hook)
                if isinstance(told, dict) and "audio_filepath" in told:
                    raise ManifestError(_OF_NEMO)
                if "\\u" in line:
                    _check_text(told)
                row = deserialize_item(told)
            except ManifestError as error:
                raise ManifestError(f"{self.path} line {number} {error}") from error
            except Exception as error:  # json has one error, lhotse any, depending on what is in the row
                raise ManifestError(
                    f"{self.path} line {number} is not a manifest row as JSON ({first_line(error)}); make the manifest "
                    f"again."
                ) from error
            if not isinstance(row, Cut):
                raise ManifestError(
                    f"{self.path} line {number} is a {type(row).__name__}, not a cut; make the manifest with "
                    f"`audiossl data`, or with lhotse's CutSet."
                )
            if wrong := wrong_part(row):
                raise ManifestError(f"{self.path} line {number} {wrong}; correct it, or make the manifest again.")
            yield row

    def _lines(self) -> Iterator[tuple[int, str]]:
        opened = gzip.open if self.path.suffix == ".gz" else open
        try:
            with opened(self.path, "rt", encoding="utf-8-sig") as file:
                yield from ((number, line) for number, line in enumerate(file, start=1) if line.strip())
        except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
            raise ManifestError(f"{self.path} is not a whole JSONL manifest ({error}); make it again.") from error


def _check_text(told: Any) -> None:
    """Raise ManifestError for what only an escape can bring into JSON, and no file and no terminal takes."""
    if isinstance(told, str) and any(character == "\0" or "\ud800" <= character <= "\udfff" for character in told):
        raise ManifestError(f"has no text in {told!r}, but NUL or half of a character; write it again.")
    inner = told.items() if isinstance(told, dict) else enumerate(told) if isinstance(told, list) else ()
    for key, value in inner:
        _check_text(key)
        _check_text(value)
