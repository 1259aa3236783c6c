"""Manifests of NVIDIA NeMo: JSON lines with audio_filepath, offset, duration, text and any other field.

What is read of a file is what NeMo reads: `duration` seconds from `offset` on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiossl.core.errors import ManifestError
from audiossl.core.files import is_url
from audiossl.data.bad_rows import BadRows
from audiossl.data.fields import ColumnNames
from audiossl.data.sources import check_names, cuts_from_rows, split_name
from audiossl.data.tables import Numbers, SourceRow, json_rows

if TYPE_CHECKING:
    from lhotse import CutSet

_PATH = "audio_filepath"
_MANIFEST = re.compile(r"[-_.]?manifest[-_.]?", re.IGNORECASE)


def cuts_from_nemo(
    manifests: Sequence[str | Path], *, columns: Mapping[str, str] | None = None, bad: BadRows | None = None
) -> dict[str, CutSet]:
    """Cut sets of NeMo manifests, each a split by the name of its file: train_manifest.json is train.

    manifests: the files. Paths in them are relative to their folder.
    columns: NeMo's name for columns of ours (see `cuts_from_csv`), such as {"label": "command"}.
    bad: what becomes of lines that cannot be used. None for an error.
    Raises ManifestError or AudioError that names the file and the line.
    """
    bad, named = bad or BadRows(), {"path": _PATH, **(columns or {})}
    lines = {Path(path): list(json_rows(path, "manifest", bad)) for path in manifests}
    header = list(dict.fromkeys(name for rows in lines.values() for _, told in rows for name in told))
    if header:
        check_names(", ".join(map(str, lines)), header, named)
    names = ColumnNames(header, named)
    splits: dict[str, CutSet] = {}
    made_of: dict[str, Path] = {}
    for path, told_lines in lines.items():
        split = split_name(_MANIFEST.sub("", path.stem)) or "all"
        if split in splits:
            raise ManifestError(f"{path} and {made_of[split]} would both be {split}.jsonl.gz; rename one.")
        rows = []
        for where, told in told_lines:
            with bad.of(where):
                rows.append(SourceRow(where, "", {**_fields(where, told, names), "split": split}))
        splits |= cuts_from_rows(rows, path.parent, path, bad)
        made_of[split] = path
    return splits


def _fields(where: str, told: Mapping[str, Any], names: ColumnNames) -> dict[str, str]:
    fields = names.fields(told)
    if is_url(path := fields.get("path", "")):
        raise ManifestError(f"{where}: {path} is an address; copy the recordings to a folder first.")
    if (tar := told.get("shard_id")) is not None:
        raise ManifestError(
            f"{where} is of the tar {tar}, which NeMo keeps elsewhere; unpack it, or leave the line out."
        )
    number = Numbers()
    start = number(where, "offset", fields.pop("start", "") or "0")
    lasts = number(where, "duration", fields.pop("duration", "") or "0")
    # A duration that is missing or 0 is that of the rest of the file.
    return {**fields, "start": repr(start), "end": repr(start + lasts) if lasts else ""}
