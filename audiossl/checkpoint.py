"""Weights on disk: safetensors with a description inside, strict loading, atomic writing, files of other toolkits."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from audiossl.config import as_dict
from audiossl.errors import CheckpointError, ConfigError
from audiossl.upstream import Upstream, build_upstream, passed_on

_KEY = "audiossl"


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` for a file that takes its place at the end; a failure leaves what was there.

    Raises CheckpointError where the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode  # as the umask has it; safetensors makes files that only their owner can read
        yield temporary
        os.chmod(temporary, mode)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _disk_full(path) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _disk_full(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} could not be written: the disk is full. Free some space and go on; what was there is whole."
    )


def write_tensors(path: Path, tensors: Mapping[str, Tensor], description: Mapping[str, Any]) -> None:
    """Tensors and a JSON description as one safetensors file, written atomically."""
    plain = {name: value.detach().to("cpu").contiguous().clone() for name, value in tensors.items()}
    with atomic_write(path) as temporary:
        try:
            save_file(plain, temporary, metadata={_KEY: json.dumps(description, sort_keys=True)})
        except SafetensorError as error:  # has no number, and what it had written is gone: would it have fitted?
            if shutil.disk_usage(temporary.parent).free < sum(value.nbytes for value in plain.values()):
                raise _disk_full(path) from error
            raise


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_tensors` wrote. Raises CheckpointError for a file that is missing, cut off or not safetensors."""
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint {path}.")
    try:
        with safe_open(path, framework="pt") as file:
            description = json.loads((file.metadata() or {}).get(_KEY, "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, description  # noqa: SIM118
    except (SafetensorError, json.JSONDecodeError) as error:
        size = path.stat().st_size
        raise CheckpointError(
            f"{path} ({size} bytes) is not a whole safetensors file ({error}); copy or download it again."
        ) from error


def load_strict(module: nn.Module, state: Mapping[str, Tensor], *, expected: Mapping[str, Tensor], what: str) -> None:
    """Copy `state` into `module`; every expected name must be there, with its shape, and nothing else.

    Floating-point numbers of any precision are taken; integers in their place are not.
    """
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
    module.load_state_dict({name: value.to(expected[name].dtype) for name, value in state.items()}, strict=False)


def save_upstream(upstream: Upstream, path: Path, card: Mapping[str, Any] | None = None) -> None:
    """An encoder as one file that `load_upstream(path)` reads: weights, registered name, configuration and a card."""
    if not upstream.name:
        raise CheckpointError(f"{type(upstream).__name__} was not loaded by a registered name, so no file can name it.")
    if any(".lora_" in name for name in upstream.state_dict()):
        raise CheckpointError("This encoder has LoRA matrices beside its weights; call merge_lora(upstream) first.")
    description = {"upstream": upstream.name, "options": config_of(upstream), "card": dict(card or {})}
    write_tensors(path, upstream.state_dict(), description)


def load_upstream_weights(upstream: Upstream, path: Path, sha256: str = "", *, buffers_only: bool = False) -> None:
    """Strictly load a `save_upstream` file into an upstream of the same shape, or only what is no parameter."""
    if sha256 and (found := file_sha256(path)) != sha256:
        raise CheckpointError(
            f"{path} has sha256 {found[:12]}..., not {sha256[:12]}... as the card says; get it again."
        )
    _load_state(upstream, read_tensors(path)[0], buffers_only)


def _load_state(upstream: Upstream, state: Mapping[str, Tensor], buffers_only: bool) -> None:
    drawn = {name: value.clone() for name, value in upstream.named_parameters()} if buffers_only else {}
    load_strict(upstream, state, expected=upstream.state_dict(), what=type(upstream).__name__)
    upstream.load_state_dict(drawn, strict=False)


def load_from_reference(reference: str, options: Mapping[str, Any], *, random_init: bool, seed: int) -> Upstream:
    """An encoder from a path (of our own or of another toolkit), or from `<toolkit>:<file, folder or repository>`."""
    from audiossl.hub import local_path
    from audiossl.originals import load_original

    path, source = local_path(reference)
    # What `audiossl train` writes; what `audiossl pretrain` has finished holds upstream.safetensors.
    if not source and (path / "run.json").is_file() and not (path / "upstream.safetensors").is_file():
        return _encoder_of_run(path, options, random_init=random_init)
    own = path / "upstream.safetensors" if path.is_dir() and not (path / "config.json").is_file() else path
    if source or own.suffix != ".safetensors":
        return load_original(path, source, options, random_init=random_init)
    state, description = read_tensors(own)
    if "upstream" not in description:
        return load_original(path, source, options, random_init=random_init)
    # The file names a registered plugin, never an address to import: a checkpoint must not choose what code runs.
    name = description["upstream"]
    again = passed_on(name, random_init=True, seed=seed) if random_init else {}
    upstream = build_upstream(name, {**description["options"], **again, **options}, seed)
    _load_state(upstream, state, buffers_only=random_init)
    return upstream


def _encoder_of_run(folder: Path, options: Mapping[str, Any], *, random_init: bool) -> Upstream:
    """The encoder as a run has fine-tuned it, LoRA merged. Raises AudiosslError where there is none."""
    from audiossl.finetuning import merge_lora
    from audiossl.run import load_run
    from audiossl.run_folder import read_facts
    from audiossl.sweep import is_sweep

    if not is_sweep(folder) and "upstream_fingerprint" not in read_facts(folder):
        raise CheckpointError(
            f"{folder} has no upstream.safetensors, for its pre-training has not ended; go on with "
            f"`audiossl pretrain --resume {folder}`."
        )
    if options or random_init:
        raise ConfigError(f"{folder} is a run, whose encoder is as it was trained; leave the upstream's options out.")
    run = load_run(folder, device="cpu")
    if run.config.folds.by:
        raise ConfigError(f"{folder} is a cross-validation; name the run of one of its folds, {folder}/folds/NAME.")
    return merge_lora(run.task.upstream).requires_grad_(True)


def fingerprint(module: nn.Module) -> str:
    """A hash of all weights (names, shapes, dtypes, values) and of the configuration."""
    digest = hashlib.sha256(json.dumps(config_of(module), sort_keys=True).encode())
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def file_sha256(path: Path) -> str:
    """The checksum of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def config_of(module: nn.Module) -> dict[str, Any]:
    """The options that a module was built with; empty for one without a `config`."""
    config = getattr(module, "config", None)
    return as_dict(config) if config is not None else {}


def _shortened(names: list[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
