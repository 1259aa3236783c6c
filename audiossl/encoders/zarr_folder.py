"""Hidden states of recordings as a folder of Zarr (version 3), of which a chunk is held, and of a recording its times.

`states/<id>` has (L, T, D) as `NpzWriter` has it, which is read chunk by chunk, and `times/<id>` (T, 2), where its rows
begin and end in the file, in seconds. Attributes of the states are id, file, start, end, rate, layers, encoder and
fingerprint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from audiossl.core.errors import AudiosslError, ConfigError, ManifestError, OutputError
from audiossl.core.files import AtomicWriter, atomic_folder, read_json
from audiossl.core.untrusted import FileNames
from audiossl.encoders.npz import Array, arrays_of
from audiossl.encoders.spans import Place, RowsInParts, Spans, means_into

ZARR_SUFFIX = ".zarr"
_MARK = "audiossl"  # the attribute by which a folder is known as a result
_METADATA = "zarr.json"
_CHUNK_BYTES = 1 << 20


class EncoderAttributes(NamedTuple):
    """What the attributes say of the encoder: its name, its fingerprint, and frames a second."""

    encoder: str
    fingerprint: str
    frame_rate_hz: float


class ZarrWriter(AtomicWriter):
    """Writes each recording as it comes. The folder appears when the block has ended well.

    out: the folder.
    layers: the numbers of the layers that every recording brings.
    spans: how a recording is cut into rows. Where the whole is one row, arrays are (L, D), without times.
    places: of the recordings, by their ids.
    facts: of the encoder.
    Raises ConfigError where the package zarr is not installed, ManifestError for ids that are no names.
    """

    def __init__(
        self,
        out: str | Path,
        layers: Sequence[int],
        spans: Spans,
        places: Mapping[str, Place],
        facts: EncoderAttributes,
    ) -> None:
        super().__init__(out)
        self._zarr = load_zarr()
        self.layers, self.spans, self.places, self.facts = tuple(layers), spans, places, facts
        names = FileNames("")
        names.of(_METADATA)  # so that no recording takes it
        self._keys = {name: str(names.of(_without_slashes(name))) for name in places}
        self._seen = set[str]()

    def __enter__(self) -> ZarrWriter:
        temporary = self._stack.enter_context(atomic_folder(self.out))
        described = {_MARK: "embed", "layers": list(self.layers), **self.facts._asdict()}
        root = self._zarr.create_group(store=str(temporary), zarr_format=3, attributes=described)
        self._states = root.create_group("states")
        self._times = None if self.pooled else root.create_group("times")
        return self

    @property
    def pooled(self) -> bool:
        """Whether a recording is one row."""
        return self.spans.whole and not self.spans.window_s

    def write(self, name: str, states: Sequence[Tensor]) -> None:
        """A whole recording: (T, D_l) of each layer, of any type and on any device."""
        self.in_parts(name, len(states[0])).add(0, states)

    def in_parts(self, name: str, num_frames: int) -> ChunkedRows | RowsInParts:
        """A recording of `num_frames` frames that comes part by part. What is held in memory is one chunk and part."""
        if name in self._seen:
            raise ManifestError(f"Two recordings have the id {name!r}; ids must be unique: make the manifest again.")
        self._seen.add(name)
        place, key = self.places[name], self._keys[name]
        times = self.spans.times(name, num_frames, place)
        if self._times is not None:
            self._times.create_array(key, data=times, dimension_names=("time", "edge"))
        rows = ChunkedRows(self._states, key, self.layers, len(times), self._attributes(name), pooled=self.pooled)
        if self.pooled or self.spans.window_s:
            return means_into(rows, self.spans, num_frames, place.duration_s)
        return rows

    def _attributes(self, name: str) -> dict[str, Any]:
        place, spans = self.places[name], self.spans
        rate = 1 / (spans.hop_s or spans.window_s) if spans.window_s else self.facts.frame_rate_hz
        of_rows = {} if self.pooled else {"rate": rate}
        if spans.window_s:
            of_rows |= {"window_s": spans.window_s, "hop_s": spans.hop_s or spans.window_s}
        start, end = round(place.start_s, 6), round(place.start_s + place.duration_s, 6)
        described = {"id": name, "file": place.file, "start": start, "end": end, **of_rows}
        encoder = {"encoder": self.facts.encoder, "fingerprint": self.facts.fingerprint}
        return {**described, "layers": list(self.layers), **encoder}


class ChunkedRows:
    """The rows of one recording on their way into its arrays, a chunk at a time.

    group: of the arrays.
    key: the recording's name in it.
    layers: their numbers.
    num_rows: how many will come.
    attributes: of each array.
    pooled: whether the one row is written without its dimension.
    """

    def __init__(
        self,
        group: Any,
        key: str,
        layers: Sequence[int],
        num_rows: int,
        attributes: Mapping[str, Any],
        *,
        pooled: bool = False,
    ) -> None:
        self.group, self.key, self.layers, self.num_rows = group, key, layers, num_rows
        self.attributes, self.pooled = dict(attributes), pooled
        self._arrays: dict[str, Any] = {}
        self._held: list[list[Tensor]] = [[] for _ in layers]
        self._begin = 0  # the first row that is held

    def add(self, first: int, states: Sequence[Tensor]) -> None:
        """States (t, D_l) of each layer, from row `first` on. Each row is given once, in their order."""
        for held, state in zip(self._held, states, strict=True):
            held.append(state.float().cpu())
        end = first + len(states[0])
        size = _rows_of_chunk(max(state.shape[-1] for state in states))
        # Chunks are written whole, so that none is read and compressed again.
        stop = end if end == self.num_rows else end - end % size
        if stop <= self._begin:
            return
        rows = [torch.cat(held) for held in self._held]
        self._write(stop, [state[: stop - self._begin] for state in rows], size)
        self._held = [[state[stop - self._begin :].clone()] for state in rows]
        self._begin = stop

    def _write(self, stop: int, rows: Sequence[Tensor], size: int) -> None:
        for name, values in arrays_of(self.key, self.layers, rows).items():
            if self.pooled:
                self._array(name, values[..., 0, :], size)[...] = values[..., 0, :]
            else:
                self._array(name, values, size)[..., self._begin : stop, :] = values

    def _array(self, name: str, like: Array, size: int) -> Any:
        """The array of a name, made when its first rows are there. Layers of unlike widths lie in a group."""
        if name not in self._arrays:
            group = self.group.require_group(self.key) if name != self.key else self.group
            shape = like.shape if self.pooled else (*like.shape[:-2], self.num_rows, like.shape[-1])
            chunks = like.shape if self.pooled else (*(1 for _ in like.shape[:-2]), min(size, shape[-2]), shape[-1])
            self._arrays[name] = group.create_array(
                name.removeprefix(f"{self.key}/"),
                shape=shape,
                chunks=chunks,
                dtype="float32",
                attributes=self.attributes,
                dimension_names=_dimensions(len(shape), pooled=self.pooled),
            )
        return self._arrays[name]


def check_zarr(out: Path) -> None:
    """Refuse what is no result of `ZarrWriter` and would be replaced, and a machine without the package.

    Raises OutputError, ConfigError.
    """
    load_zarr()
    if out.is_dir() and any(out.iterdir()) and not _is_result(out):
        raise OutputError(f"{out} is there and is no result of this command; choose another place or remove it.")


def load_zarr() -> Any:
    """The package. Raises ConfigError where it is not there."""
    try:
        import zarr
    except ImportError as error:
        raise ConfigError(
            "A folder of Zarr needs the package zarr, which is not installed; run `pip install "
            "audiossl-toolkit[zarr]`, or name a .npz file."
        ) from error
    return zarr


def _is_result(folder: Path) -> bool:
    try:
        return _MARK in read_json(folder / _METADATA).get("attributes", {})
    except AudiosslError:
        return False


def _without_slashes(name: str) -> str:
    """A name of one part: an array has nothing below it, so that `a` and `a/b` must lie side by side."""
    return name.replace("%", "%25").replace("/", "%2F")


def _rows_of_chunk(width: int) -> int:
    return max(1, _CHUNK_BYTES // (4 * width))


def _dimensions(number: int, *, pooled: bool) -> tuple[str, ...]:
    named = ("layer", "channel") if pooled else ("layer", "time", "channel")
    return named[-number:]
