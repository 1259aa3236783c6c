"""Rows of tables that are in memory: a pandas frame, or a `datasets.Dataset` with a column of sound.

Their columns are those of `cuts_from_csv`, or what other programs call them (`OTHER_NAMES`). Neither package is
imported here before somebody has given what is of it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiossl.core.errors import AudioError, ManifestError, first_line
from audiossl.data.bad_rows import BadRows
from audiossl.data.fields import ColumnNames, as_text
from audiossl.data.sound_folder import SoundFolder, numbered_name
from audiossl.data.sources import COLUMNS, check_names, cuts_from_rows
from audiossl.data.tables import SourceRow

if TYPE_CHECKING:
    from lhotse import CutSet

_log = logging.getLogger(__name__)
_ID = "id"
_REPOSITORY = "hf://"


@dataclass(frozen=True)
class TableReading:
    """How a table in memory is read.

    sounds: the folder that takes what is in memory alone.
    columns: the table's own name for columns of ours, and for `id`. '' leaves a column out.
    root: what relative paths are relative to.
    bad: what becomes of rows that cannot be used.
    """

    sounds: SoundFolder
    columns: Mapping[str, str] = field(default_factory=dict)
    root: Path = Path()
    bad: BadRows = field(default_factory=BadRows)

    def cuts(self, table: Any, called: str, split: str = "all") -> dict[str, CutSet]:
        """Cut sets by split of a table: a pandas frame or a `datasets.Dataset`.

        table: as `is_table` knows it.
        called: what messages call it.
        split: of rows without a column for it.
        Raises ManifestError or AudioError that names the row, whose number counts from 0.
        """
        return cuts_from_rows(self.rows(table, called, split), self.root, called, self.bad)

    def rows(self, table: Any, called: str, split: str) -> list[SourceRow]:
        """As `cuts`, which are made of them."""
        sound, header, records = (
            _of_dataset(table, called, self.columns) if is_dataset(table) else _of_frame(table, called)
        )
        guessed = ColumnNames(header, self.columns).of
        named = {"path": sound or guessed.get("path", "path"), **self.columns}
        check_names(called, header, named, known=(*COLUMNS, _ID))
        own_id = named.pop(_ID, _ID)
        names, made = ColumnNames(header, named), []
        for number, told in enumerate(records):
            where = f"{called} row {number}"
            with self.bad.of(where):
                value, name = _fetched(told.get(names.of["path"])), as_text(told.get(own_id)) or ""
                others = {key: each for key, each in told.items() if key not in (names.of["path"], own_id)}
                fields = {"split": split, **{key: text for key, text in names.fields(others).items() if text}}
                made.append(self._row(SourceRow(where, name, fields), number, value))
        return made

    def _row(self, row: SourceRow, number: int, value: Any) -> SourceRow:
        """A row with its sound. value: what the table has for that."""
        place = self.sounds.place(row.where, value, row.fields.get("sample_rate", ""))
        # A file of the user's own names its row, as everywhere. One that was written is named by its number.
        called = str(value.get("path") or "") if isinstance(value, Mapping) else ""
        name = row.name or (numbered_name(number, called) if self.sounds.has(place) else "")
        return row._replace(name=name, fields={**row.fields, "path": place})


def is_table(value: Any) -> bool:
    """Whether a value is a pandas frame or a `datasets.Dataset`, streaming or not."""
    return _is_a(value, "pandas", "DataFrame") or is_dataset(value)


def is_dataset(value: Any) -> bool:
    """Whether a value is a `datasets.Dataset` or `IterableDataset`."""
    return _is_a(value, "datasets", "Dataset") or _is_a(value, "datasets", "IterableDataset")


def _is_a(value: Any, package: str, name: str) -> bool:
    return any(kind.__name__ == name and kind.__module__.split(".")[0] == package for kind in type(value).__mro__)


_Read = tuple[str, list[str], Iterable[Mapping[str, Any]]]  # the column of sound, all columns, the rows


def _of_frame(frame: Any, called: str) -> _Read:
    # opensoundscape keeps file, start_time and end_time in the index.
    levels = [name for name in frame.index.names if name is not None and name not in frame.columns]
    table = (frame.reset_index(level=levels) if levels else frame).rename(columns=str)
    header = list(table.columns)
    if doubled := next((name for name in header if header.count(name) > 1), None):
        raise ManifestError(f"{called} has the column {doubled!r} twice; rename or drop one of them.")
    return "", header, (dict(zip(header, row, strict=True)) for row in table.itertuples(index=False, name=None))


def _of_dataset(dataset: Any, called: str, columns: Mapping[str, str]) -> _Read:
    if dataset.features is None:
        dataset = dataset._resolve_features()  # a stream of files that tell none: of its first row
    features = dict(dataset.features)
    sounds = [name for name, kind in features.items() if type(kind).__name__ == "Audio"]
    if len(sounds) > 1 and "path" not in columns:
        raise ManifestError(
            f"The columns {', '.join(sounds)} of {called} are all sound; name one, as in --column path={sounds[0]}."
        )
    sound = columns.get("path") or (sounds[0] if sounds else "")
    plain = {name: kind for name, kind in features.items() if name == sound or _is_plain(kind)}
    if others := sorted(features.keys() - plain.keys()):
        _log.warning(
            "%s: not read: %s, which %s no text.", called, ", ".join(others), "is" if len(others) == 1 else "are"
        )
    dataset = dataset.select_columns(list(plain))
    if sound in sounds:
        dataset = dataset.cast_column(sound, _undecoded())
    return sound, list(plain), _records(dataset, called, plain)


def _is_plain(kind: Any) -> bool:
    """Whether a feature is a number, a text, a class, a list of these, or a file as `datasets` keeps it."""
    if isinstance(kind, Mapping):
        return {"bytes", "path"} <= kind.keys() or {"array", "sampling_rate"} <= kind.keys()
    return type(getattr(kind, "feature", kind)).__name__ in ("Value", "ClassLabel")


def _undecoded() -> Any:
    """`datasets.Audio(decode=False)`, which wants the package torchcodec for a path that it only hands on."""
    import datasets

    class Undecoded(datasets.Audio):  # type: ignore[misc]
        def encode_example(self, value: Any) -> Any:
            return value if isinstance(value, Mapping) or value is None else {"bytes": None, "path": str(value)}

    return Undecoded(decode=False)


def _records(dataset: Any, called: str, features: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows with the names of classes."""
    number = 0
    try:
        for told in dataset:
            yield {name: _named(features[name], value) for name, value in told.items()}
            number += 1
    except Exception as error:  # each of the formats behind `datasets` has errors of its own
        raise ManifestError(
            f"{called} row {number} cannot be read ({first_line(error)}); copy the data again."
        ) from error


def _named(kind: Any, value: Any) -> Any:
    """A value, and for the number of a class its name."""
    if type(kind).__name__ == "ClassLabel":
        return "" if value is None or value < 0 else kind.int2str(value)
    if type(getattr(kind, "feature", None)).__name__ == "ClassLabel" and value is not None:
        return [_named(kind.feature, each) for each in value]
    return value


def _fetched(value: Any) -> Any:
    """A sound, and of one that lies in a repository of the hub its bytes. No other address is opened."""
    address = str(value.get("path") or "") if isinstance(value, Mapping) and value.get("bytes") is None else ""
    if not address.rpartition("::")[2].startswith(_REPOSITORY):
        return value
    import fsspec

    try:
        with fsspec.open(address, "rb") as file:
            return {**value, "bytes": file.read()}
    except Exception as error:  # each of the packages behind fsspec has errors of its own
        raise AudioError(f"{address} cannot be read ({first_line(error)}); see whether it can be reached.") from error
