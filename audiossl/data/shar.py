"""lhotse Shar as rows: `cuts.000000.jsonl.gz` has the rows, `recording.000000.tar` their sound in the same order."""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from audiossl.core.errors import AudioError, ManifestError, first_line
from audiossl.data.local import only_files
from audiossl.data.row_types import wrong_part
from audiossl.data.shard_rows import as_member
from audiossl.data.tar_files import TarFile, checked_sound, files_in, open_place

if TYPE_CHECKING:
    from lhotse.cut import Cut

_CUTS = re.compile(r"cuts\.(?P<number>[^/]*)\.jsonl(\.gz)?")


def is_shar(names: Mapping[str, str]) -> bool:
    """Whether files are those of a folder of lhotse's. names: their places by their names."""
    return any(_CUTS.fullmatch(name) for name in names)


def shar_rows(names: Mapping[str, str], left_out: dict[str, str] | None) -> Iterator[Cut]:
    """The rows of a folder of lhotse's, each as one of its member.

    names: the places of the folder's files, by their names.
    left_out: takes why a row has no sound that can be read, by its id. None for an error.
    Raises ManifestError, AudioError.
    """
    for name, place in sorted(names.items()):
        found = _CUTS.fullmatch(name)
        if found is None:
            continue
        tar = names.get(f"recording.{found['number']}.tar")
        if tar is None:
            raise ManifestError(
                f"{place} has no recording.{found['number']}.tar beside it, so its rows have no sound; copy that too."
            )
        sounds = (file for file in files_in(tar) if PurePosixPath(file.name).suffix not in (".json", ".nometa"))
        for line, file in zip_longest(_lines(place), sounds):
            if line is None or file is None:
                raise ManifestError(f"{place} and {tar} do not have equally many rows; write the Shar folder again.")
            try:
                cut = _row_of(line, file, place)
            except (AudioError, ManifestError) as error:
                if left_out is None:
                    raise
                left_out[_id_of(line)] = str(error)
            else:
                yield cut


def _lines(place: str) -> Iterator[str]:
    with open_place(place) as raw:
        try:
            with gzip.open(raw, "rt", encoding="utf-8") if place.endswith(".gz") else raw as file:
                for line in file:
                    yield line if isinstance(line, str) else line.decode()
        except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
            raise ManifestError(
                f"{place} is not a whole JSONL manifest ({first_line(error)}); copy it again."
            ) from error


def _id_of(line: str) -> str:
    try:
        return str(json.loads(line)["id"])
    except (ValueError, LookupError, TypeError):
        return line[:40]


def _row_of(line: str, file: TarFile, place: str) -> Cut:
    """A row with its sound. Raises ManifestError for one that is of other sound, or has more than sound."""
    from lhotse.serialization import deserialize_item

    if not file.name.startswith(f"{_id_of(line)}."):
        raise ManifestError(f"{place}: the sound of {_id_of(line)} is {file.name} in {file.tar}; write them again.")
    if file.name.endswith(".nodata"):
        raise ManifestError(f"{place}: the row {_id_of(line)} has no sound; leave it out.")
    sound = checked_sound(file)
    try:
        told: dict[str, Any] = json.loads(line)
        channels = told["recording"]["sources"][0]["channels"]
        told["recording"]["sources"] = [{"type": "file", "channels": channels, "source": sound.place}]
        told["recording"]["sampling_rate"] = sound.sample_rate_hz
        # What else the row names must be files all the same.
        row: Any = deserialize_item(json.loads(json.dumps(told), object_hook=only_files))
    except ManifestError as error:
        raise ManifestError(f"{place}: the row {_id_of(line)} {error}") from error
    except Exception as error:  # lhotse has any, depending on what is in the row
        raise ManifestError(f"{place}: {_id_of(line)} is no row with sound ({first_line(error)}).") from error
    if wrong := wrong_part(row):
        raise ManifestError(f"{place}: the row {_id_of(line)} {wrong}; write it again.")
    return as_member(row, sound.place, sound.num_samples, sound.num_channels)
