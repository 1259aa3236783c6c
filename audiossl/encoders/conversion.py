"""`audiossl convert`: an encoder from one format to another, checked against the encoder itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from audiossl.core.errors import CheckpointError, ConfigError
from audiossl.core.outputs import check_out
from audiossl.core.tensors import config_of
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.testing import noise, relative_distance
from audiossl.encoders.waveform.to_transformers import write_folder
from audiossl.encoders.weights import save_upstream

_PLACES = {"audiossl": "a file that ends in .safetensors", "transformers": "a folder"}


def convert(source: str, destination: Path, to: str = "", **options: Any) -> dict[str, Any]:
    """Write an encoder as one safetensors file of audiossl, or as a folder that transformers loads.

    What was written is loaded again and compared on noise.

    source: anything that `load_upstream` takes, such as a run.
    destination: a path that ends in .safetensors, or a folder to make.
    to: 'audiossl' for the first, 'transformers' for the second. '' for what the destination says.
    options: of `load_upstream`.
    Returns what was written: class of the `encoder`, `form`, number of `parameters`, the largest relative `difference`
    of a hidden state, and the path `out`.
    Raises CheckpointError where something is there already, or where the form cannot hold the encoder, and ConfigError
    for a form that is none or does not go with the destination.
    """
    form = check_place(destination, to)
    check_out(destination, "file" if form == "audiossl" else "folder", [source])
    upstream = load_upstream(source, **options)
    as_before: dict[str, Any] = {}
    reference = str(destination) if form == "audiossl" else f"hf:{destination}"
    if form == "audiossl":
        save_upstream(upstream, destination, {"converted_from": Path(source).name})
    else:
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


def check_place(destination: Path, to: str = "") -> str:
    """The form that a destination is to hold. Raises CheckpointError where something is there, ConfigError for none."""
    form = _form_of(destination, to)
    if destination.exists() and not (destination.is_dir() and not any(destination.iterdir())):
        raise CheckpointError(f"{destination} is there already; choose another place or remove it.")
    return form


def _form_of(destination: Path, to: str) -> str:
    """What a destination is to hold. Raises ConfigError for a form that is none, or that has another kind of place."""
    form = "audiossl" if destination.suffix == ".safetensors" else "transformers"
    if to and to not in _PLACES:
        raise ConfigError(f"There is no form {to!r} to convert to, only {' and '.join(_PLACES)}.")
    if to and to != form:
        raise ConfigError(f"The form of {to} is {_PLACES[to]}, and {destination} is none; give another destination.")
    return form
