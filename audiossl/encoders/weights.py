"""Encoders as files of our own: safetensors with a description inside, loaded strictly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from audiossl.core.errors import CheckpointError
from audiossl.core.files import file_sha256
from audiossl.core.tensors import config_of, load_strict, read_tensors, write_tensors
from audiossl.encoders.finetuning import has_adapters
from audiossl.encoders.upstream import Upstream


def save_upstream(upstream: Upstream, path: Path, card: Mapping[str, Any] | None = None) -> None:
    """An encoder as one file that `load_upstream(path)` reads: weights, registered name, configuration and a card.

    Raises CheckpointError for an encoder without a registered name, with LoRA matrices that are not merged, or with
    adapters.
    """
    if not upstream.name:
        raise CheckpointError(f"{type(upstream).__name__} was not loaded by a registered name, so no file can name it.")
    if any(".lora_" in name for name in upstream.state_dict()):
        raise CheckpointError("This encoder has LoRA matrices beside its weights; call merge_lora(upstream) first.")
    if has_adapters(upstream):
        raise CheckpointError(
            "This encoder has adapters beside its blocks, which no file of an encoder alone describes; use the folder "
            "of its run in place of one."
        )
    description = {"upstream": upstream.name, "options": config_of(upstream), "card": dict(card or {})}
    write_tensors(path, upstream.state_dict(), description)


def described_encoder(description: Mapping[str, Any], path: Path) -> tuple[str, dict[str, Any]]:
    """The registered name and the options that a file of `save_upstream` says. Raises CheckpointError."""
    name, options = description.get("upstream"), description.get("options")
    if not isinstance(name, str) or not isinstance(options, dict):
        raise CheckpointError(
            f"The description in {path} has no `upstream` with `options`; write the file again with save_upstream."
        )
    return name, options


def load_upstream_weights(upstream: Upstream, path: Path, sha256: str = "", *, buffers_only: bool = False) -> None:
    """Load a file of `save_upstream` into an upstream of the same shape, strictly.

    upstream: it is changed in place.
    path: of the file.
    sha256: what the file must hash to, '' for anything.
    buffers_only: load only what is no parameter.
    Raises CheckpointError for another file, and for names or shapes that differ.
    """
    if sha256 and (found := file_sha256(path)) != sha256:
        raise CheckpointError(
            f"{path} has sha256 {found[:12]}..., not {sha256[:12]}... as the card says; get it again."
        )
    load_state(upstream, read_tensors(path)[0], buffers_only)


def load_state(upstream: Upstream, state: Mapping[str, Tensor], buffers_only: bool) -> None:
    """Load tensors into an upstream of the same shape, strictly, or only those that are no parameters.

    Raises CheckpointError for names or shapes that differ.
    """
    drawn = {name: value.clone() for name, value in upstream.named_parameters()} if buffers_only else {}
    load_strict(upstream, state, expected=upstream.state_dict(), what=type(upstream).__name__)
    upstream.load_state_dict(drawn, strict=False)
