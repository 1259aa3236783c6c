"""`audiossl embed`."""

from __future__ import annotations

import logging
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from audiossl.core.errors import ConfigError, ManifestError
from audiossl.core.files import atomic_write
from audiossl.core.terminal import progress
from audiossl.data.inputs import cuts_of
from audiossl.data.loader import make_loader
from audiossl.data.stream import LoaderConfig
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.long_audio import chunk_frames, encode_long, plan, recording_of
from audiossl.encoders.upstream import Upstream

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut


Arrays = dict[str, npt.NDArray[np.float32]]


_LONG_S = 600.0


_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EmbedOptions:
    """What the command line offers."""

    layer: str = "all"
    """Layers to write: 'all', 'last', or a number from 0."""
    pool: str = "none"
    """'none' for every frame, or 'mean' for one vector a recording."""
    batch_size: int = 8
    """Most recordings in a batch, on which results do not depend."""
    chunk_s: float = 0.0
    """Seconds in a chunk, for long recordings. 0 for every recording in one piece."""
    overlap_s: float = 5.0
    """Seconds that neighbouring chunks share."""
    precision: str = "fp32"
    """'fp32' or 'bf16'."""
    engine: str = "eager"
    """'eager', 'compile', 'onnx' or 'openvino'."""


def embed_inputs(name: str, inputs: Sequence[str], out: Path, options: EmbedOptions) -> dict[str, Any]:
    """Write hidden states of all inputs; one .npz if `out` ends so, else a folder with one .npz a recording.

    Each recording gives an array under its id: (L, T, D) for all layers, (T, D) for one, without T where pooled.
    Layers of different widths cannot be one array: they are written as `<id>/layer_<l>`.
    """
    if options.pool not in ("none", "mean"):
        raise ConfigError(f"--pool {options.pool!r}: choose none or mean.")
    upstream = load_upstream(name, precision=options.precision, engine=options.engine)
    chosen = _layers(options.layer, upstream)
    if torch.cuda.is_available() and options.engine in ("eager", "compile"):
        upstream.to("cuda")
    cuts = cuts_of(inputs)
    with _writer(out) as write:
        if options.chunk_s:
            folder = out.parent if out.suffix == ".npz" else out
            num_recordings = _embed_chunks(upstream, cuts, chosen, options, write, folder)
        else:
            num_recordings = _embed_batches(upstream, cuts, chosen, options, write)
    return {"num_recordings": num_recordings, "layers": chosen, "out": str(out)}


class _Write(Protocol):
    def __call__(self, cut_id: str, arrays: Arrays | dict[str, Path]) -> None:
        """Arrays, or .npy files (which are deleted), of one recording by their names."""


def _embed_batches(
    upstream: Upstream, cuts: CutSet, chosen: Sequence[int], options: EmbedOptions, write: _Write
) -> int:
    loader = make_loader(
        cuts,
        LoaderConfig(batch_size=options.batch_size),
        sample_rate_hz=upstream.sample_rate_hz,
        min_samples=upstream.min_samples,
        seed=0,
        train=False,
    )
    longest_s = max(cut.duration for cut in cuts)
    if longest_s > _LONG_S:
        _log.warning("A recording lasts %.0f minutes; --chunk-s 30 bounds the memory that it takes.", longest_s / 60)
    device = next((parameter.device for parameter in upstream.parameters()), torch.device("cpu"))
    num_recordings = 0
    for batch in progress(loader, "Embedding", total=-(-len(cuts) // options.batch_size)):
        batch = batch.to(device)
        with torch.inference_mode():
            features = upstream(batch.wavs, batch.lengths, up_to_layer=max(chosen))
        for index, cut in enumerate(batch.cuts):
            states = features.item(index)
            write(cut.id, _arrays(cut.id, [states[number].float().cpu() for number in chosen], options.pool))
            num_recordings += 1
    return num_recordings


def _embed_chunks(
    upstream: Upstream, cuts: CutSet, chosen: Sequence[int], options: EmbedOptions, write: _Write, out: Path
) -> int:
    """One recording after the other, chunk by chunk; what is held is one chunk. out: a folder for temporary files."""
    rate, lengths = upstream.sample_rate_hz, (options.chunk_s, options.overlap_s)
    size, shared = chunk_frames(upstream, *lengths)
    ids = [cut.id for cut in cuts]
    if len(set(ids)) < len(ids):
        raise ManifestError("The manifest has two rows with the same id; ids must be unique: make it again.")
    frames = {cut.id: upstream.num_frames(recording_of(cut, rate).num_samples) for cut in cuts}
    total = sum(1 for count in frames.values() for _ in plan(count, size, shared))

    def chunks() -> Iterator[tuple[Cut, int, list[torch.Tensor]]]:
        for cut in cuts:
            for first, features in encode_long(
                upstream, cut, chunk_s=lengths[0], overlap_s=lengths[1], up_to_layer=max(chosen)
            ):
                states = features.item(0)
                yield cut, first, [states[number].float().cpu() for number in chosen]

    # Beside the result, which has room for what may be gigabytes.
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".embed.", dir=out) as folder:
        for cut, first, states in progress(chunks(), "Embedding", total=total):
            if first == 0:
                sink = _Sink(Path(folder), cut.id, frames[cut.id], options.pool)
            sink.add(first, states)
            if first + len(states[0]) == frames[cut.id]:
                write(cut.id, sink.done())
    return len(ids)


class _Sink:
    """The states of one recording on their way to disk, or their running sum."""

    def __init__(self, folder: Path, name: str, frames: int, pool: str) -> None:
        self.folder, self.name, self.frames, self.pool = folder, name, frames, pool
        self.sums: list[torch.Tensor] = []
        self.files: dict[str, _ArrayFile] = {}

    def add(self, first: int, states: list[torch.Tensor]) -> None:
        """States (T, D) of each layer, from frame `first` on."""
        if self.pool == "mean":
            sums = [state.double().sum(0) for state in states]
            self.sums = [a + b for a, b in zip(self.sums, sums, strict=True)] if self.sums else sums
            return
        for name, array in _arrays(self.name, states, "none").items():
            if name not in self.files:
                shape = (*array.shape[:-2], self.frames, array.shape[-1])
                self.files[name] = _ArrayFile(self.folder / f"{len(self.files)}.npy", shape)
            self.files[name].put(first, array)

    def done(self) -> Arrays | dict[str, Path]:
        if self.pool == "mean":
            return _arrays(self.name, [(total / self.frames).float()[None] for total in self.sums], "mean")
        return {name: file.close() for name, file in self.files.items()}


class _ArrayFile:
    """A .npy file (..., T, D) that is filled frame by frame: not mapped, since touched pages count as memory in use."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        self.path, self.shape = path, shape
        self.file = open(path, "wb")  # noqa: SIM115  # stays open until the last chunk
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_2_0(self.file, header)
        self.begin = self.file.tell()

    def put(self, first: int, array: npt.NDArray[np.float32]) -> None:
        """array (..., t, D): frames `first` on."""
        frames, width = self.shape[-2:]
        for row, part in enumerate(array.reshape(-1, *array.shape[-2:])):
            self.file.seek(self.begin + 4 * width * (row * frames + first))
            self.file.write(np.ascontiguousarray(part, "<f4").tobytes())

    def close(self) -> Path:
        self.file.close()
        return self.path


def _layers(layer: str, upstream: Upstream) -> list[int]:
    if layer == "all":
        return list(range(upstream.num_layers))
    if layer == "last":
        return [upstream.num_layers - 1]
    if not layer.isdecimal() or int(layer) >= upstream.num_layers:
        raise ConfigError(f"--layer {layer}: this upstream has layers 0 to {upstream.num_layers - 1}, all or last.")
    return [int(layer)]


def _arrays(name: str, states: list[torch.Tensor], pool: str) -> Arrays:
    states = [state.mean(0) if pool == "mean" else state for state in states]
    if len(states) == 1:
        return {name: states[0].numpy()}
    if len({state.shape[-1] for state in states}) == 1:
        return {name: torch.stack(states).numpy()}
    return {f"{name}/layer_{number}": state.numpy() for number, state in enumerate(states)}


def _inside(name: str) -> str:
    """An id as a relative path that does not leave the folder that it is joined to."""
    return "/".join(part for part in PurePosixPath(name).parts if part not in ("/", ".."))


@contextmanager
def _writer(out: Path) -> Iterator[_Write]:
    """Writes each recording as it comes: into one archive, which appears at the end, or into one of its own."""
    if out.suffix != ".npz":

        def write_own(cut_id: str, arrays: Arrays | dict[str, Path]) -> None:
            with atomic_write(out / _inside(f"{cut_id}.npz")) as temporary, zipfile.ZipFile(temporary, "w") as own:
                _add(own, arrays)

        yield write_own
        return
    with atomic_write(out) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        yield lambda cut_id, arrays: _add(archive, arrays)


def _add(archive: zipfile.ZipFile, arrays: Arrays | dict[str, Path]) -> None:
    """Members of an .npz; `numpy.savez` takes names as keywords: a recording called `file` could not be saved."""
    for name, array in arrays.items():
        with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
            if isinstance(array, Path):
                with open(array, "rb") as file:
                    shutil.copyfileobj(file, member, 1 << 20)
                array.unlink()
            else:
                np.lib.format.write_array(member, array, allow_pickle=False)
