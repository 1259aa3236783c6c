"""Hidden states of recordings as .npz, in memory that does not grow with their number or their length.

with NpzWriter("states.npz", layers=[0, 12]) as writer:  # a folder instead: one file a recording
    writer.write("a", [first, last])                     # (T, D_l) each
    meeting = writer.in_parts("meeting", num_frames)
    for start, features in encode_long(upstream, "meeting.flac"):
        states = features.item(0)
        meeting.add(start, [states[0], states[12]])
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from audiossl.core.errors import ManifestError
from audiossl.core.files import AtomicWriter, atomic_write
from audiossl.core.untrusted import FileNames
from audiossl.encoders.spans import Place, RowsInParts, Spans, means_into

ARCHIVE_SUFFIX = ".npz"
Array = npt.NDArray[np.float32]
AnyArray = npt.NDArray[np.floating]


class NpzWriter(AtomicWriter):
    """Writes each recording as it comes.

    out: one archive if it ends in .npz, which appears when the block has ended well, or a folder for one file each.
    layers: the numbers of the layers that every recording brings.
    pool: 'none', or 'mean' for the mean over time.
    windows: how a recording is cut into windows, whose means are then written instead of frames. None for frames.
    places: of the recordings, by their ids. For windows alone.

    A recording gives an array under its name: (L, T, D) for several layers, (T, D) for one, without T where pooled.
    Layers of different widths cannot be one array: they are written as `<name>/layer_<number>`. Of windows,
    `<name>/times` (T, 2) says where in the file they begin and end, in seconds.
    """

    def __init__(
        self,
        out: str | Path,
        layers: Sequence[int],
        *,
        pool: str = "none",
        windows: Spans | None = None,
        places: Mapping[str, Place] | None = None,
    ) -> None:
        super().__init__(out)
        self.layers, self.pool, self.windows, self.places = tuple(layers), pool, windows, places or {}
        self._files, self._members = FileNames(ARCHIVE_SUFFIX), set[str]()
        self._archive: zipfile.ZipFile | None = None
        self._temporary: Path | None = None

    def __enter__(self) -> NpzWriter:
        if self.out.suffix == ARCHIVE_SUFFIX:
            temporary = self._stack.enter_context(atomic_write(self.out))
            self._archive = self._stack.enter_context(zipfile.ZipFile(temporary, "w"))
        return self

    def write(self, name: str, states: Sequence[Tensor]) -> None:
        """A whole recording: (T, D_l) of each layer, of any type and on any device."""
        if self.windows is not None:
            self.in_parts(name, len(states[0])).add(0, states)
            return
        states = [state.float().cpu() for state in states]
        pooled = [state.mean(0) for state in states] if self.pool == "mean" else states
        self._add(name, arrays_of(name, self.layers, pooled))

    def in_parts(self, name: str, num_frames: int) -> RecordingInParts | RowsInParts:
        """A recording of `num_frames` frames that comes part by part. What is held in memory is one part."""
        if self.windows is None:
            return RecordingInParts(self, name, num_frames)
        place = self.places[name]
        times = self.windows.times(name, num_frames, place)
        rows = RecordingInParts(self, name, len(times), {f"{name}/times": times})
        return means_into(rows, self.windows, num_frames, place.duration_s)

    def _add(self, name: str, arrays: Mapping[str, AnyArray | Path]) -> None:
        if self._archive is not None:
            if not self._members.isdisjoint(arrays):
                raise ManifestError(
                    f"Two recordings have the id {name!r}; ids must be unique: make the manifest again."
                )
            self._members.update(arrays)
            _add_members(self._archive, arrays)
            return
        with atomic_write(self.out / self._files.of(name)) as temporary, zipfile.ZipFile(temporary, "w") as own:
            _add_members(own, arrays)

    def _array_file(self, number: int, shape: tuple[int, ...]) -> _ArrayFile:
        """A file for a part of what is being written, beside the result, which has room for what may be gigabytes."""
        if self._temporary is None:
            folder = self.out.parent if self.out.suffix == ARCHIVE_SUFFIX else self.out
            folder.mkdir(parents=True, exist_ok=True)
            made = self._stack.enter_context(tempfile.TemporaryDirectory(prefix=".embed.", dir=folder))
            self._temporary = Path(made)
        return _ArrayFile(self._temporary / f"{number}.npy", shape)


class RecordingInParts:
    """One recording on its way into an archive: its states on disk, or their running sum where they are pooled.

    writer: of the archive.
    name: the recording's id.
    num_frames: how many frames (or windows) will come.
    beside: what is written with them, by name.
    """

    def __init__(
        self, writer: NpzWriter, name: str, num_frames: int, beside: Mapping[str, AnyArray] | None = None
    ) -> None:
        self.writer, self.name, self.num_frames, self.beside = writer, name, num_frames, beside or {}
        self._sums: list[Tensor] = []
        self._files: dict[str, _ArrayFile] = {}

    def add(self, first: int, states: Sequence[Tensor]) -> None:
        """States (t, D_l) of each layer, from frame `first` on. With the last frame the recording is written.

        Each frame is given once, in their order.
        """
        states = [state.float().cpu() for state in states]
        if self.writer.pool == "mean":
            sums = [state.double().sum(0) for state in states]
            self._sums = [a + b for a, b in zip(self._sums, sums, strict=True)] if self._sums else sums
        else:
            self._put(first, states)
        if first + len(states[0]) == self.num_frames:
            self.writer._add(self.name, {**self._whole(), **self.beside})

    def _put(self, first: int, states: Sequence[Tensor]) -> None:
        for name, array in arrays_of(self.name, self.writer.layers, states).items():
            if name not in self._files:
                shape = (*array.shape[:-2], self.num_frames, array.shape[-1])
                self._files[name] = self.writer._array_file(len(self._files), shape)
            self._files[name].put(first, array)

    def _whole(self) -> Mapping[str, Array | Path]:
        if self.writer.pool == "mean":
            means = [(total / self.num_frames).float() for total in self._sums]
            return arrays_of(self.name, self.writer.layers, means)
        return {name: file.close() for name, file in self._files.items()}


class _ArrayFile:
    """A .npy file (..., T, D) that is filled frame by frame: not mapped, since touched pages count as memory in use."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.path, self.shape = path, shape
        self.file = open(path, "wb")  # noqa: SIM115  # stays open until the last part
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_2_0(self.file, header)
        self.begin = self.file.tell()

    def put(self, first: int, array: Array) -> None:
        """array (..., t, D): frames `first` on."""
        frames, width = self.shape[-2:]
        for row, part in enumerate(array.reshape(-1, *array.shape[-2:])):
            self.file.seek(self.begin + 4 * width * (row * frames + first))
            self.file.write(np.ascontiguousarray(part, "<f4").tobytes())

    def close(self) -> Path:
        self.file.close()
        return self.path


def arrays_of(name: str, layers: Sequence[int], states: Sequence[Tensor]) -> dict[str, Array]:
    """A recording's arrays by the names under which they are written (see `NpzWriter`).

    name: the recording's.
    layers: the numbers of its layers.
    states: float32 on the CPU, (..., D_l) of each layer.
    """
    if len(states) == 1:
        return {name: states[0].numpy()}
    if len({state.shape[-1] for state in states}) == 1:
        return {name: torch.stack(list(states)).numpy()}
    return {f"{name}/layer_{number}": state.numpy() for number, state in zip(layers, states, strict=True)}


def _add_members(archive: zipfile.ZipFile, arrays: Mapping[str, AnyArray | Path]) -> None:
    """Members of an .npz, from arrays or from .npy files, which are deleted.

    `numpy.savez` takes names as keywords: a recording called `file` could not be saved.
    """
    for name, array in arrays.items():
        with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
            if isinstance(array, Path):
                with open(array, "rb") as file:
                    shutil.copyfileobj(file, member, 1 << 20)
                array.unlink()
            else:
                np.lib.format.write_array(member, array, allow_pickle=False)
