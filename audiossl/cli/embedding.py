"""`audiossl embed`."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from audiossl.checkpoint import atomic_write
from audiossl.data.inputs import cuts_of
from audiossl.data.loader import LoaderConfig, make_loader
from audiossl.data.progress import progress
from audiossl.errors import ConfigError
from audiossl.upstream import Upstream, load_upstream

Arrays = dict[str, npt.NDArray[np.float32]]


def embed_inputs(
    name: str, inputs: Sequence[str], out: Path, *, layer: str, pool: str, batch_size: int
) -> dict[str, Any]:
    """Write hidden states of all inputs; one .npz if `out` ends so, else a folder with one .npz a recording.

    Each recording gives an array under its id: (L, T, D) for all layers, (T, D) for one, without T where pooled.
    Layers of different widths cannot be one array: they are written as `<id>/layer_<l>`.
    """
    if pool not in ("none", "mean"):
        raise ConfigError(f"--pool {pool!r}: choose none or mean.")
    upstream = load_upstream(name)
    chosen = _layers(layer, upstream)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    upstream.to(device)
    cuts = cuts_of(inputs)
    loader = make_loader(
        cuts,
        LoaderConfig(batch_size=batch_size),
        sample_rate_hz=upstream.sample_rate_hz,
        min_samples=upstream.min_samples,
        seed=0,
        train=False,
    )
    single = out.suffix == ".npz"
    collected: Arrays = {}
    num_recordings = 0
    for batch in progress(loader, "Embedding", total=-(-len(cuts) // batch_size)):
        batch = batch.to(device)
        with torch.inference_mode():
            features = upstream(batch.wavs, batch.lengths, up_to_layer=max(chosen))
        for index, cut in enumerate(batch.cuts):
            states = features.item(index)
            arrays = _arrays(cut.id, [states[number].float().cpu() for number in chosen], pool)
            num_recordings += 1
            if single:
                collected |= arrays
            else:
                _save(out / _inside(f"{cut.id}.npz"), arrays)
    if single:
        _save(out, collected)
    return {"num_recordings": num_recordings, "layers": chosen, "out": str(out)}


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


def _save(path: Path, arrays: Arrays) -> None:
    """An .npz file; `numpy.savez` takes names as keywords, so that a recording called `file` could not be saved."""
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
