"""A manifest row reads files, and members of shards, and nothing else.

lhotse's rows may also name a shell command, an address, a pickle or a Kaldi pipe, and lhotse runs or opens what it is
given. A manifest that somebody else has made, alone or inside a run folder, could then do anything. What may be read is
therefore listed here, and everything else is refused, wherever in a row it stands. A tar may lie
behind a URL, which is opened only where the environment allows it (`audiossl.data.shard_members`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiossl.core.errors import ManifestError
from audiossl.data.shard_members import anchored

if TYPE_CHECKING:
    from lhotse.array import TemporalArray
    from lhotse.cut import Cut

# Arrays in files that hold numbers alone. Not on the list: addresses, Kaldi archives (pipes), memory (pickles), Shar.
_ARRAY_FILES = (
    "numpy_files",
    "numpy_hdf5",
    "lilcom_files",
    "lilcom_hdf5",
    "lilcom_chunky",
    "chunked_lilcom_hdf5",
)


def only_files(fields: dict[str, Any], folder: str = "") -> dict[str, Any]:
    """The fields of an object of a manifest: an `object_hook` for JSON, called at every depth.

    folder: of the manifest, a path or a URL, in which tars without a folder of their own lie.
    Raises ManifestError for sound that is no file, and for an array that is in none.
    """
    for source in fields.get("sources") or ():
        if isinstance(source, dict) and source.get("type") != "file":
            raise ManifestError(_refusal("sound", source.get("type"), source.get("source")))
        if folder and isinstance(source, dict) and isinstance(source.get("source"), str):
            source["source"] = anchored(source["source"], folder)
    if "storage_type" in fields and fields["storage_type"] not in _ARRAY_FILES:
        raise ManifestError(_refusal("an array", fields["storage_type"], fields.get("storage_path")))
    return fields


def check_sources(cut: Cut) -> None:
    """Raise ManifestError for a row whose sound is neither in files nor in memory already, before any of it is read."""
    for source in sources_in(cut.to_dict()):
        if source["type"] not in ("file", "memory"):
            raise ManifestError(f"Row {cut.id} {_refusal('sound', source['type'], source['source'])}")


def sources_in(value: Any) -> Iterator[dict[str, Any]]:
    """Every audio source at any depth of a row as plain data."""
    if isinstance(value, dict):
        yield from value.get("sources") or []
        for inner in value.values():
            yield from sources_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from sources_in(inner)


def load_array(stored: TemporalArray) -> Any:
    """The array that a row names, from a file of this machine. Raises ManifestError for any other place."""
    array = stored.array
    if array.storage_type not in _ARRAY_FILES:
        raise ManifestError(_refusal("an array", array.storage_type, array.storage_path))
    # lhotse takes `pipe:...` for a command and `scheme:...` for an address: an absolute path is neither.
    return replace(stored, array=replace(array, storage_path=str(Path(array.storage_path).absolute()))).load()


def _refusal(what: str, kind: object, place: object) -> str:
    fix = "write it to a file, and name that"
    if kind == "shar":
        fix = "make manifests of the folder of its tars with `audiossl data from-shards`"
    return f"has {what} of the type {kind!r} ({str(place)[:60]!r}), which is neither run nor opened; {fix}."
