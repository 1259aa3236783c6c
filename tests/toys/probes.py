"""Layers of which one knows the label."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from audiossl.analysis.functionals import Functionals
from audiossl.data.manifests import write_manifests
from audiossl.data.sources import cuts_from_csv
from audiossl.metrics.clusters import clusters_of


def blobs(num_items: int, seed: int, num_layers: int = 3) -> Functionals:
    """Three classes: layer 0 knows nothing, layer 1 all, layer 2 the first class alone."""
    rng = np.random.default_rng(seed)
    numbers = np.arange(num_items) % 3
    layers = {}
    for layer in range(num_layers):
        vectors = rng.standard_normal((num_items, 4)).astype(np.float32)
        vectors[:, 0] = 7.0  # a constant column
        if layer == 1:
            vectors[:, 1] += 8 * numbers
        if layer == 2:
            vectors[:, 2] += 8 * (numbers == 0)
        layers[layer] = (100 * vectors + 50).astype(np.float32)
    return Functionals(
        [f"i{n}" for n in range(num_items)],
        ["abc"[n] for n in numbers],
        clusters_of([f"r{n // 6}" for n in range(num_items)], num_items, "recording"),
        layers,
    )


SPLITS = {"train": blobs(60, 0), "dev": blobs(30, 1), "test": blobs(48, 2)}


def write_tones(folder: Path, num_recordings: int = 24) -> Path:
    """Tones of two pitches in noise, recordings of several lengths, and their manifests."""
    lines = ["path,label,split,speaker"]
    for number in range(num_recordings):
        rng = np.random.default_rng(number)
        samples = np.arange(rng.integers(2000, 6000))
        tone = 0.2 * np.sin(2 * np.pi * (600 + 1500 * (number % 2)) * samples / 16000)
        soundfile.write(folder / f"{number}.wav", tone + 0.01 * rng.standard_normal(len(samples)), 16000)
        split = ("train", "train", "dev", "test")[number // 2 % 4]
        lines.append(f"{number}.wav,{'lo' if number % 2 else 'hi'},{split},s{number // 8}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    write_manifests(cuts_from_csv(folder / "table.csv"), folder)
    return folder
