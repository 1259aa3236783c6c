"""`audiossl export`: an encoder as a file that runs without audiossl, checked against the encoder itself."""

from __future__ import annotations

import importlib
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
from audiossl.encoders.engines.graph import require, traced, write_onnx
from audiossl.encoders.layers import last_layer
from audiossl.encoders.testing import noise, relative_distance
from audiossl.encoders.upstream import Upstream

FORMATS = {"onnx": b"\x08", "torch-export": b"PK"}  # and how a file of each begins

# Between the graph and eager: rounding in another order, at 24 and at 8 bits.
TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 5e-2}

_SECONDS = (0.5, 1.0, 2.7, 12.3)


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
        for package in ("onnx", "onnxscript", "onnxruntime"):
            require(package, "onnx")
    program = traced(upstream, last)
    path.parent.mkdir(parents=True, exist_ok=True)
    # In a folder of its own: large weights lie in a second file, whose name is written in the first.
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        made = folder / path.name
        if form == "onnx":
            write_onnx(program, made)
        else:
            # By its file object: torch would insist on its own suffix.
            with open(made, "wb") as file:
                torch.export.save(program, file)
        shortest = shortest_input(upstream)
        error = largest_difference(upstream, _loaded(made, form), last, shortest)
        if not error <= TOLERANCES[dtype]:
            raise ConfigError(
                f"The {form} graph of {upstream.display_name} differs from eager by {error:.1e}, "
                f"more than {TOLERANCES[dtype]:g}, so nothing was written; use the encoder itself, and report this."
            )
        for file_path in sorted(folder.iterdir(), reverse=True):  # the weights before the graph that names them
            os.replace(file_path, path.parent / file_path.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {
        "out": str(path),
        "format": form,
        "layers": last + 1,
        "sample_rate_hz": upstream.sample_rate_hz,
        "min_samples": shortest,
        "largest_difference": error,
    }


def shortest_input(upstream: Upstream) -> int:
    """The fewest samples that give two frames. A graph is for no fewer."""
    samples = upstream.min_samples
    while upstream.num_frames(samples) < 2:
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
    wavs = noise(upstream, _SECONDS)
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
        runtime = importlib.import_module("onnxruntime")
        session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda wav: [torch.from_numpy(array) for array in session.run(None, {name: wav.numpy()})]
    with open(path, "rb") as file:
        module: Any = torch.export.load(file).module()
    return lambda wav: list(module(wav))
