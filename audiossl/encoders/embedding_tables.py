"""Hidden states of recordings as a table.

A row stands for a recording, a window or a frame: its id, its file, where it begins and ends in the file in seconds
(`file`, `start_time`, `end_time`, the index of opensoundscape's tables), the layer where there are several, and a
column for each channel.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from audiossl.core.errors import ConfigError, ManifestError
from audiossl.core.files import AtomicWriter, atomic_write
from audiossl.encoders.spans import FrameSpan, Means, Place, RowsInParts, Spans

TABLE_SUFFIXES: Mapping[str, bytes] = {".csv": b"id,file,", ".parquet": b"PAR1"}
"""How the files of tables end, and with which bytes they begin."""
_GROUP = 1024  # rows of a Parquet file that are held


class TableWriter(AtomicWriter):
    """Writes the rows of recordings in the order of `places`, each as soon as it is its turn.

    Those that come before their turn wait in memory. The file appears when the block has ended well.

    out: a .csv or .parquet file.
    layers: the numbers of the layers that every recording brings.
    spans: how a recording is cut into rows.
    places: of the recordings, by their ids.
    """

    def __init__(self, out: str | Path, layers: Sequence[int], spans: Spans, places: Mapping[str, Place]) -> None:
        super().__init__(out)
        self.layers, self.spans, self.places = tuple(layers), spans, places
        self._seen = set[str]()
        self._turns, self._waiting, self._whole = deque(places), dict[str, list[_Row]](), set[str]()
        self._kind: type[_CsvFile | _ParquetFile] = _CsvFile
        if self.out.suffix == ".parquet":
            load_pyarrow()
            self._kind = _ParquetFile

    def __enter__(self) -> TableWriter:
        temporary = self._stack.enter_context(atomic_write(self.out))
        self._sink = self._kind(temporary)
        self._stack.callback(self._sink.close)
        return self

    def write(self, name: str, states: Sequence[Tensor]) -> None:
        """A whole recording: (T, D) of each layer, of any type and on any device."""
        self.in_parts(name, len(states[0])).add(0, states)

    def in_parts(self, name: str, num_frames: int) -> RowsInParts:
        """A recording of `num_frames` frames that comes part by part. What is held in memory are its open windows."""
        if name in self._seen:
            raise ManifestError(f"Two recordings have the id {name!r}; ids must be unique: make the manifest again.")
        self._seen.add(name)
        place = self.places[name]

        def give(span: FrameSpan, means: Sequence[Means]) -> None:
            if len({len(mean) for mean in means}) > 1:
                raise ConfigError("The layers have different widths and are no one table; choose one with --layer.")
            times = [round(place.start_s + moment, 6) for moment in (span.start_s, span.end_s)]
            for layer, mean in zip(self.layers, means, strict=True):
                of_layer = {"layer": layer} if len(self.layers) > 1 else {}
                named = {"id": name, "file": place.file, "start_time": times[0], "end_time": times[1], **of_layer}
                self._put(name, _Row(named, mean))

        return RowsInParts(self.spans, num_frames, place.duration_s, give, lambda: self._end(name))

    def _put(self, name: str, row: _Row) -> None:
        if self._turns[0] == name:
            self._sink.add(*row)
        else:
            self._waiting.setdefault(name, []).append(row)

    def _end(self, name: str) -> None:
        """Recording `name` is whole: those after it that are whole too, and the beginning of the next, may follow."""
        self._whole.add(name)
        while self._turns and self._turns[0] in self._whole:
            self._turns.popleft()
            for row in self._waiting.pop(self._turns[0], []) if self._turns else []:
                self._sink.add(*row)


class _Row(NamedTuple):
    named: Mapping[str, Any]
    mean: Means


class _CsvFile:
    """Numbers as short as they can be to be read again as the same float32."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "w", encoding="utf-8", newline="")  # noqa: SIM115  # stays open until the last row
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._begun = False

    def add(self, named: Mapping[str, Any], mean: Means) -> None:
        if not self._begun:
            self._rows.writerow(chain(named, range(len(mean))))
            self._begun = True
        self._rows.writerow(chain(named.values(), map(str, mean)))

    def close(self) -> None:
        self._file.close()


class _ParquetFile:
    """Row groups of `_GROUP` rows."""

    def __init__(self, path: Path) -> None:
        self._arrow, self._path = load_pyarrow(), path
        self._file: Any = None
        self._named: list[Mapping[str, Any]] = []
        self._means: list[Means] = []

    def add(self, named: Mapping[str, Any], mean: Means) -> None:
        self._named.append(named)
        self._means.append(mean)
        if len(self._means) == _GROUP:
            self._write()

    def close(self) -> None:
        if self._means:
            self._write()
        if self._file is not None:
            self._file.close()

    def _write(self) -> None:
        columns: dict[str, Any] = {name: [row[name] for row in self._named] for name in self._named[0]}
        columns |= {str(number): values for number, values in enumerate(np.stack(self._means, axis=1))}
        table = self._arrow.table(columns)
        if self._file is None:
            self._file = self._arrow.parquet.ParquetWriter(self._path, table.schema)
        self._file.write_table(table)
        self._named, self._means = [], []


def load_pyarrow() -> Any:
    """The package, with what Parquet files need. Raises ConfigError where it is not there."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError(
            "Parquet files need the package pyarrow, which is not installed; run "
            "`pip install audiossl-toolkit[parquet]`, or name a .csv file."
        ) from error
    return pyarrow
