"""Tensors on disk and in modules: safetensors with a description, strict loading, fingerprints."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from audiossl.core.config import as_dict
from audiossl.core.errors import CheckpointError, first_line
from audiossl.core.files import atomic_write

_DESCRIPTION = "audiossl"
_CHECKSUM = "crc32"  # of all that a file of ours says and holds


def write_tensors(path: Path, tensors: Mapping[str, Tensor], description: Mapping[str, Any]) -> None:
    """Tensors, a JSON description and the checksum of both as one safetensors file, written atomically."""
    plain = {name: value.detach().to("cpu").contiguous().clone() for name, value in tensors.items()}
    said = json.dumps(description, sort_keys=True)
    metadata = {_DESCRIPTION: said, _CHECKSUM: checksum(plain, said)}
    with atomic_write(path) as temporary:
        save_safetensors(plain, temporary, metadata)


def save_safetensors(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """Tensors as a safetensors file at a path of `atomic_write`. Raises OSError where the disk does not take it."""
    try:
        save_file(dict(tensors), path, metadata=dict(metadata))
    except SafetensorError as error:
        # It keeps the number of the system's error to itself. Asking for as much room gives the same one.
        path.touch()
        with open(path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, sum(value.nbytes for value in tensors.values())))
        raise OSError(first_line(error)) from error


def whole(tensor: Tensor) -> Tensor:
    """A tensor of which each process holds a part, gathered: all of them have to ask. Any other as it is."""
    gather: Any = getattr(tensor, "full_tensor", None)
    made: Tensor = tensor if gather is None else gather()
    return made


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_tensors` wrote, or the tensors of any other safetensors file with {} for its description.

    Raises CheckpointError for a file that is missing, cut off, no safetensors file, or not what was written: what has
    a checksum is compared with it. Earlier versions wrote none.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint {path}.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        said = metadata.get(_DESCRIPTION, "{}")
        description = json.loads(said)
    # The reader has errors of its own, and those of a header that promises more than there is memory.
    except (SafetensorError, OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"{path} ({path.stat().st_size} bytes) is not a whole safetensors file ({first_line(error)}); copy or "
            f"download it again."
        ) from error
    if not isinstance(description, dict):
        raise CheckpointError(f"The description in {path} is no JSON object; copy or download it again.")
    if _CHECKSUM in metadata and metadata[_CHECKSUM] != checksum(tensors, said):
        raise CheckpointError(
            f"{path} is damaged: its content has another checksum than when it was written; copy it again from where "
            f"it is whole."
        )
    return tensors, description


def checksum(tensors: Mapping[str, Tensor], said: str) -> str:
    """The CRC-32 of a description and of all tensors (names, shapes, dtypes, values), in hexadecimal.

    It is for accidents. Of 100 million numbers it takes about as long as reading them from memory.
    """
    found = zlib.crc32(said.encode())
    for name, value in sorted(tensors.items()):
        found = zlib.crc32(f"{name}{tuple(value.shape)}{value.dtype}".encode(), found)
        found = zlib.crc32(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data, found)
    return f"{found:08x}"


def load_strict(module: nn.Module, state: Mapping[str, Tensor], *, expected: Mapping[str, Tensor], what: str) -> None:
    """Copy weights into a module. Raises CheckpointError where they do not fit.

    module: what takes them.
    state, expected, what: as for `require_fit`.
    """
    require_fit(state, expected=expected, what=what)
    # Not strict for torch: `expected` may be a part of the module, where the rest is not trained.
    module.load_state_dict({name: value.to(expected[name].dtype) for name, value in state.items()}, strict=False)


def require_fit(state: Mapping[str, Tensor], *, expected: Mapping[str, Tensor], what: str) -> None:
    """Raise CheckpointError that names whatever is missing, unexpected, or of another shape or type.

    state: the weights by name. Floating-point numbers of any precision are taken, integers in their place are not.
    expected: what they must be: every name of it, with its shape, and nothing else.
    what: what an error calls the module that is to have them.
    """
    # All that is wrong is told at once: a checkpoint of another model seldom differs in one tensor.
    missing = sorted(expected.keys() - state.keys())
    unexpected = sorted(state.keys() - expected.keys())
    shapes = [
        f"{name} {tuple(state[name].shape)} instead of {tuple(value.shape)}"
        for name, value in expected.items()
        if name in state and state[name].shape != value.shape
    ]
    kinds = [
        f"{name} {state[name].dtype} instead of {value.dtype}"
        for name, value in expected.items()
        if name in state and state[name].is_floating_point() != value.is_floating_point()
    ]
    problems = [
        f"{title}: {_shortened(names)}"
        for title, names in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("wrong shape", shapes),
            ("wrong type", kinds),
        )
        if names
    ]
    if problems:
        raise CheckpointError(f"The checkpoint does not fit {what}. " + "; ".join(problems) + ".")


def fingerprint(module: nn.Module, without: Container[str] = ()) -> str:
    """A hash of all weights (names, shapes, dtypes, values) and of the configuration.

    without: the names of those that do not count.
    """
    digest = hashlib.sha256(json.dumps(config_of(module), sort_keys=True).encode())
    for name, value in sorted(module.state_dict().items()):
        if name in without:
            continue
        digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def config_of(module: nn.Module) -> dict[str, Any]:
    """The options that a module was built with. Empty for one without a `config`."""
    config = getattr(module, "config", None)
    return as_dict(config) if config is not None else {}


def _shortened(names: list[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
