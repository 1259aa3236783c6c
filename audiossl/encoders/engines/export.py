"""`audiossl export`: an encoder as a file that runs without audiossl, checked against the encoder itself."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiossl.core.errors import ConfigError
from audiossl.core.outputs import check_out
from audiossl.encoders.engines.graph import layer_names, onnx_session, require, traced, write_onnx
from audiossl.encoders.exported.describing import metadata_of
from audiossl.encoders.layers import last_layer
from audiossl.encoders.testing import noise, relative_distance
from audiossl.encoders.upstream import Upstream

FORMATS = {"onnx": b"\x08", "torch-export": b"PK"}  # and how a file of each begins

# Between the graph and eager: rounding in another order, at 24 and at 8 bits.
TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 5e-2}

SECONDS = (0.5, 1.0, 2.7, 12.3)


def export(upstream: Upstream, path: Path, form: str, *, up_to_layer: int | None = None) -> dict[str, Any]:
    """Write the graph wav (1, S) -> layer_0, layer_1, ... (1, T, D_l), for any S with at least two frames.

    upstream: the encoder, in float32 for ONNX.
    path: of the file. Above a gigabyte and a half of weights an ONNX file keeps them in PATH.data.
    form: 'onnx' or 'torch-export' (`torch.export.load(path).module()(wav)`).
    up_to_layer: the last layer that the graph gives, None for all.

    The graph is run on noise of several lengths before the file takes its place.
    Returns the largest relative L2 distance of a layer to eager, and facts. Raises ConfigError.
    """
    if form not in FORMATS:
        raise ConfigError(f"--format {form!r}: choose {' or '.join(FORMATS)}.")
    check_out(path, "file", [upstream.display_name], begins=FORMATS[form])
    last = last_layer(up_to_layer, upstream.num_layers)
    dtype = next((parameter.dtype for parameter in upstream.parameters()), torch.float32)
    if form == "onnx":
        if dtype != torch.float32:
            raise ConfigError("ONNX Runtime, which checks the file, has no bfloat16 on a CPU; export in fp32.")
        require_onnx()
    program = traced(upstream, last)
    shortest, names = shortest_input(upstream), layer_names(last + 1)

    def write(made: Path) -> None:
        if form == "onnx":
            write_onnx(program, made, names, metadata_of(upstream, names, shortest))
        else:
            # By its file object: torch would insist on its own suffix.
            with open(made, "wb") as file:
                torch.export.save(program, file)

    error = place_checked(
        path,
        write,
        lambda made: largest_difference(upstream, _loaded(made, form), last, shortest),
        tolerance=TOLERANCES[dtype],
        what=f"The {form} graph of {upstream.display_name}",
    )
    return {
        "out": str(path),
        "format": form,
        "layers": last + 1,
        "sample_rate_hz": upstream.sample_rate_hz,
        "min_samples": shortest,
        "largest_difference": error,
    }


def place_checked(
    path: Path, write: Callable[[Path], None], difference: Callable[[Path], float], *, tolerance: float, what: str
) -> float:
    """Write a graph, and put it in its place if it gives what eager gives.

    path: where it is to be, with files beside it that `write` makes.
    write: writes it to a path of the same name in another folder.
    difference: of the graph at such a path from eager.
    tolerance: the most that it may be.
    what: the graph, for the error.
    Returns the difference. Raises ConfigError, and nothing is in the place then that was not there before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # In a folder of its own: large weights lie in a second file, whose name is written in the first.
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        made = folder / path.name
        write(made)
        error = difference(made)
        if not error <= tolerance:
            raise ConfigError(
                f"{what} differs from eager by {error:.1e}, more than {tolerance:g}, so nothing was written; use the "
                f"encoder itself, and report this."
            )
        for file_path in sorted(folder.iterdir(), reverse=True):  # the weights before the graph that names them
            os.replace(file_path, path.parent / file_path.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return error


def require_onnx() -> None:
    """Raise ConfigError, naming the extra, where a package is missing that writes or checks ONNX."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        require(package, "onnx")


def shortest_input(upstream: Upstream, num_frames: int = 2) -> int:
    """The fewest samples that give so many frames. A graph is for two or more.

    Raises ConfigError for an encoder that never gives so many.
    """
    if getattr(upstream, "join", "") == "pooled":
        raise ConfigError(
            f"{upstream.display_name}, joined as means over time, gives one frame a recording, and a graph is traced "
            f"with several; export a run with upstream_options.join=frames."
        )
    samples = upstream.min_samples
    while upstream.num_frames(samples) < num_frames:
        samples += 1
    return samples


def largest_difference(
    upstream: Upstream, run: Callable[[Tensor], Sequence[Tensor]], last: int, shortest: int
) -> float:
    """Relative L2 distance of the layer that differs most from eager, over several lengths. Infinite for a wrong shape.

    upstream: the eager encoder.
    run: the graph, from (1, S) to layers.
    last: the last layer of the graph.
    shortest: the fewest samples that it takes.
    """
    largest = 0.0
    wavs = noise(upstream, SECONDS)
    for wav in [wavs[-1][:shortest], wavs[-1][: shortest + 1], *(w for w in wavs if len(w) >= shortest)]:
        with torch.no_grad():
            expected = upstream(wav[None], up_to_layer=last).layers
        found = run(wav[None])
        if [layer.shape for layer in found] != [layer.shape for layer in expected]:
            return float("inf")
        largest = max([largest, *(relative_distance(a, b) for a, b in zip(found, expected, strict=True))])
    return largest


def _loaded(path: Path, form: str) -> Callable[[Tensor], Sequence[Tensor]]:
    if form == "onnx":
        session = onnx_session(path)
        name = session.get_inputs()[0].name
        return lambda wav: [torch.from_numpy(array) for array in session.run(None, {name: wav.numpy()})]
    with open(path, "rb") as file:
        module: Any = torch.export.load(file).module()
    return lambda wav: list(module(wav))
