"""`audiossl convert`: an encoder from one format to another, checked against the encoder itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from audiossl.core.errors import CheckpointError
from audiossl.core.outputs import check_out
from audiossl.core.tensors import config_of
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.testing import noise, relative_distance
from audiossl.encoders.waveform.to_transformers import write_folder
from audiossl.encoders.weights import save_upstream


def convert(source: str, destination: Path, **options: Any) -> dict[str, Any]:
    """Write an encoder as one safetensors file of audiossl, or as a folder that transformers loads.

    What was written is loaded again and compared on noise.

    source: anything that `load_upstream` takes.
    destination: a path that ends in .safetensors, or a folder to make.
    options: of `load_upstream`.
    Returns what was written: class of the `encoder`, `form`, number of `parameters`, the largest relative `difference`
    of a hidden state, and the path `out`.
    Raises CheckpointError where something is there already, or where the form cannot hold the encoder.
    """
    if destination.exists() and not (destination.is_dir() and not any(destination.iterdir())):
        raise CheckpointError(f"{destination} is there already; choose another place or remove it.")
    check_out(destination, "file" if destination.suffix == ".safetensors" else "folder", [source])
    upstream = load_upstream(source, **options)
    as_before: dict[str, Any] = {}
    if destination.suffix == ".safetensors":
        form, reference = "audiossl", str(destination)
        save_upstream(upstream, destination, {"converted_from": Path(source).name})
    else:
        form, reference = "transformers", f"hf:{destination}"
        write_folder(upstream, destination)
        # A preprocessor of transformers says whether the waveform is normalised, and not with which epsilon.
        as_before["normalize"] = config_of(upstream)["normalize"]
    # The proof: what was written is read back, and must give the same hidden states.
    (wav,) = noise(upstream, [1.0])
    with torch.inference_mode():
        before, after = upstream(wav[None]).layers, load_upstream(reference, **as_before)(wav[None]).layers
    difference = max(relative_distance(a, b) for a, b in zip(after, before, strict=True))
    if not difference <= 1e-5:
        raise CheckpointError(
            f"{destination} gives other hidden states than {source} (relative distance {difference:.1e}); what the "
            f"{form} form cannot express was lost, so do not use it."
        )
    return {
        "encoder": type(upstream).__name__,
        "form": form,
        "parameters": sum(p.numel() for p in upstream.parameters()),
        "difference": difference,
        "out": str(destination),
    }
