"""A TorchScript file, run by torch. It is code: see `load_exported` for whom it runs for."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiossl.core.errors import AudioError, CheckpointError, first_line
from audiossl.core.files import file_sha256
from audiossl.encoders.exported.program import METADATA, Program
from audiossl.encoders.hub import require_run_before


def read_torchscript(path: Path, namer: str = "") -> Program:
    """The network of a TorchScript file that takes a waveform (1, S) and gives a tensor, several of them, or a dict.

    path: of the file.
    namer: the folder that names it, '' for the user.
    Outputs without a name are called by their numbers, from '0' on.
    Raises CheckpointError for a file that is damaged, and for one that a folder names and no user ever has.
    """
    if not path.is_file():
        raise CheckpointError(f"There is no file {path}.")
    sha256 = file_sha256(path)
    require_run_before(path, sha256, namer)
    extra = {METADATA: ""}
    try:
        with warnings.catch_warnings():  # of torch, that it will not go on with TorchScript
            warnings.simplefilter("ignore")
            module = torch.jit.load(str(path), map_location="cpu", _extra_files=extra).eval()
    except Exception as error:  # RuntimeError, ValueError and others
        raise CheckpointError(
            f"{path} ({path.stat().st_size} bytes) is no whole TorchScript file ({first_line(error)}); copy or "
            f"export it again."
        ) from error
    said = extra[METADATA]
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return Program("torchscript", path, sha256, None, {METADATA: text} if text else {}, _Script(module, path))


class _Script:
    """A module as a function. A copy of it is the same module."""

    def __init__(self, module: Any, path: Path) -> None:
        self.module, self.path = module, path

    def __call__(self, wav: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        try:
            with torch.no_grad():
                given = self.module(wav.detach().cpu())
        except Exception as error:  # whatever its code raises
            lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
            raise AudioError(
                f"torchscript:{self.path} cannot be run on {wav.shape[-1]} samples ({lines[-1].strip()[:200]}); if it "
                f"takes windows of one length, give that as window_s, and if it needs longer input, as min_samples."
            ) from error
        made = self._by_name(given)
        return {name: made[name] for name in names} if names else made

    def __deepcopy__(self, memo: dict[int, Any]) -> _Script:
        return self

    def _by_name(self, given: Any) -> dict[str, Tensor]:
        values = given if isinstance(given, list | tuple) else [given]
        named = given if isinstance(given, Mapping) else {str(number): value for number, value in enumerate(values)}
        tensors = {str(name): value for name, value in named.items() if isinstance(value, Tensor)}
        if not tensors:
            raise CheckpointError(f"torchscript:{self.path} gives no tensor; let it return its layers as tensors.")
        return tensors
