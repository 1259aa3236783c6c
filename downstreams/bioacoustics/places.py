"""Where the annotation tables of recordings are written, and what must not be replaced there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lhotse.cut import Cut

from audiossl.core.errors import ConfigError
from audiossl.core.outputs import check_new, check_out
from audiossl.core.untrusted import file_names
from audiossl.data.reading import path_of

_OWN_ENDINGS = ("csv", "rttm", "jsonl")  # other kinds are .txt


def table_places(to: Path, cuts: Sequence[Cut], inputs: Sequence[str], kind: str, overwrite: bool) -> list[Path]:
    """The table of each recording.

    to: what the user named: one table, or a folder.
    cuts: the recordings.
    inputs: as the user named them.
    kind: of the tables.
    overwrite: whether a table that is there may be replaced.
    Raises ConfigError, ManifestError and OutputError for what cannot or must not be written.
    """
    read = [*inputs, *(path for cut in cuts if (path := path_of(cut)) is not None)]
    if to.suffix:
        if len(cuts) > 1:
            raise ConfigError(f"--out {to} is one table and there are {len(cuts)} recordings; name a folder.")
        check_new(to, read, overwrite=overwrite)
        return [to]
    check_out(to, "folder", read)
    ending = f".{kind}" if kind in _OWN_ENDINGS else ".txt"
    places = [to / name for name in file_names([cut.id for cut in cuts], ending)]
    for place in places:
        check_new(place, overwrite=overwrite)
    return places
