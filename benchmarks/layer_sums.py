"""An hour of speech, 12 layers of 768: the sums of `audiossl analyse` in one pass, beside the same sums in plain numpy.

    python -m benchmarks.layer_sums --write

Hidden states are drawn at random, 50 frames a second in recordings of 10 s of ten speakers, and drawing them is not
timed: what is measured are sums, the files that keep them and the measures that are made of them. Plain numpy holds the
frames of two layers and multiplies them. It has no speakers, no files and no measures. Each contestant is a process of
its own, so that its memory is its own. CPU seconds count, for the machine is shared.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audiossl.analysis.layerwise.crossing import SumsCell, crossed
from audiossl.analysis.layerwise.frame_sums import FrameSums, cross_sums, own_sums
from audiossl.metrics.moment_sums import PairSums
from benchmarks.common import parser, publish, table

WIDTH, MEL, RATE_HZ, RECORDING_S, SPEAKERS = 768, 80, 50, 10, 10
RIDGES = [1e-8, 1e-6, 1e-4, 1e-2, 1.0]

Frames = NDArray[np.float32]


def layer_of(row: int, layer: int, width: int = WIDTH) -> Frames:
    """(T, D) made-up states, half of which all layers of a recording share, so that there is something to find."""
    shared = np.random.default_rng((row, 99)).standard_normal((RATE_HZ * RECORDING_S, width), dtype=np.float32)
    return shared + np.random.default_rng((row, layer)).standard_normal(shared.shape, dtype=np.float32)


def our_sums(num_layers: int, num_rows: int, folder: Path) -> Iterator[float]:
    """CPU seconds of each piece of the pass."""
    for speaker in range(SPEAKERS):
        sums = FrameSums(range(num_layers), ["layers", "mel"])
        for row in range(speaker, num_rows, SPEAKERS):
            states = {layer: layer_of(row, layer) for layer in range(num_layers)}
            views = {"layers": states[0], "mel": layer_of(row, 50, MEL)}
            began = time.process_time()
            sums.add(states, views)
            yield time.process_time() - began
        began = time.process_time()
        np.savez(folder / f"{speaker}.npz", **sums.arrays())  # type: ignore[arg-type]
        yield time.process_time() - began


def our_measures(layers: list[int], folder: Path) -> Iterator[float]:
    """CPU seconds of the measures of each of some layers with layer 0 and log mel."""
    for layer in layers:
        began = time.process_time()
        for view in ("layers", "mel"):
            cells = []
            for speaker in range(SPEAKERS):
                with np.load(folder / f"{speaker}.npz") as arrays:
                    of_view = own_sums(arrays, "0" if view == "layers" else "view.mel")
                    sums = PairSums(own_sums(arrays, str(layer)), of_view, cross_sums(arrays, view, layer))
                    cells.append(SumsCell(speaker % 5, speaker, sums))
            crossed(cells, SPEAKERS, RIDGES)
        yield time.process_time() - began


def plain_sums(num_layers: int, num_rows: int) -> Iterator[float]:
    """CPU seconds of covariances by plain numpy, of which each layer's frames are in memory."""
    mel = np.concatenate([layer_of(row, 50, MEL) for row in range(num_rows)]).astype(np.float64)
    first = np.concatenate([layer_of(row, 0) for row in range(num_rows)]).astype(np.float64)
    for layer in range(num_layers):
        states = np.concatenate([layer_of(row, layer) for row in range(num_rows)])
        began = time.process_time()
        x = states.astype(np.float64)
        _ = x.T @ x, x.T @ first, x.T @ mel, x.sum(0)
        yield time.process_time() - began


def measured(asked: argparse.Namespace) -> dict[str, float]:
    """What a process of its own finds out: CPU seconds and most memory, in MB."""
    import resource

    empty = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with tempfile.TemporaryDirectory() as place:
        folder, rows = Path(place), round(asked.hours * 3600 / RECORDING_S)
        if asked.only == "plain":
            found = {"sums": sum(plain_sums(asked.layers, rows))}
        else:
            found = {"sums": sum(our_sums(asked.layers, rows, folder))}
            found["disk_mb"] = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
            found["sums_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - empty
            timed = [asked.layers // 2]
            found["measures"] = asked.layers * sum(our_measures(timed, folder)) / len(timed)
    found["memory_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - empty
    return found


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--hours", type=float, default=1.0)
    made.add_argument("--layers", type=int, default=12)
    made.add_argument("--only", choices=("", "ours", "plain"), default="")
    asked = made.parse_args()
    if asked.only:
        print(json.dumps(measured(asked)))
        return
    found = {}
    for name in ("ours", "plain"):
        command = [sys.executable, "-m", "benchmarks.layer_sums", "--only", name]
        command += ["--hours", str(asked.hours), "--layers", str(asked.layers)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[name] = json.loads(done.stdout.strip().splitlines()[-1])
    ours, plain = found["ours"], found["plain"]
    rows = [
        ["sums of all frames, CPU minutes", f"{ours['sums'] / 60:.1f}", f"{plain['sums'] / 60:.1f}"],
        ["memory above an empty process, MB", f"{ours['sums_mb']:.0f}", f"{plain['memory_mb']:.0f}"],
        ["on disk meanwhile, MB", f"{ours['disk_mb']:.0f}", ""],
        ["measures of all layers with layer 0 and log mel, CPU minutes", f"{ours['measures'] / 60:.1f}", ""],
        ["memory with measures, MB", f"{ours['memory_mb']:.0f}", ""],
    ]
    what = f"{asked.hours:g} h at {RATE_HZ} frames a second, {asked.layers} layers of {WIDTH}, {MEL} mel bands."
    note = f"{what} Measures are timed on one layer, times {asked.layers}: five folds, five ridges, ten speakers."
    publish(asked, "Sums of layers", table(["", "audiossl analyse", "plain numpy"], rows), note)


if __name__ == "__main__":
    main()
