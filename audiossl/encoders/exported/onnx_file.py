"""An ONNX file, run by ONNX Runtime. It is data: a graph of operators that the runtime knows, and nothing else runs."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiossl.core.errors import AudioError, CheckpointError, first_line
from audiossl.core.files import file_sha256
from audiossl.encoders.engines.graph import onnx_session, require
from audiossl.encoders.exported.program import Program

_TYPES = {"tensor(float)": torch.float32, "tensor(double)": torch.float64, "tensor(float16)": torch.float16}


def read_onnx(path: Path) -> Program:
    """The network of an ONNX file with one input: a waveform (S,), (1, S) or (1, 1, S) of floating-point numbers.

    Raises CheckpointError for a file that is damaged, that has other inputs, or whose weights lie elsewhere.
    """
    for package in ("onnx", "onnxruntime"):
        require(package, "onnx")
    files = [path, *_external_files(path)]
    try:
        session = onnx_session(path)
    except Exception as error:  # the runtime has errors of its own
        raise CheckpointError(
            f"{path} is no graph that ONNX Runtime can run ({_reason(error)}); export it again, with operators of "
            f"ONNX alone."
        ) from error
    waveform = _waveform_of(session, path)
    sha256 = hashlib.sha256("".join(map(file_sha256, files)).encode()).hexdigest()
    length = waveform.shape[-1] if isinstance(waveform.shape[-1], int) else None
    metadata = dict(session.get_modelmeta().custom_metadata_map)
    return Program("onnx", path, sha256, length, metadata, _Runner(session, waveform, path))


class _Runner:
    """A session as a function. A copy of it is the same session."""

    def __init__(self, session: Any, waveform: Any, path: Path) -> None:
        self.session, self.path = session, path
        self.name, self.rank, self.dtype = waveform.name, len(waveform.shape), _TYPES[waveform.type]
        self.outputs = [output.name for output in session.get_outputs()]

    def __call__(self, wav: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        shaped = wav.reshape([1] * (self.rank - 1) + [-1]).detach().cpu().to(self.dtype).numpy()
        wanted = list(names) or self.outputs
        try:
            arrays = self.session.run(wanted, {self.name: shaped})
        except Exception as error:  # the runtime's own
            raise AudioError(
                f"onnx:{self.path} cannot be run on {wav.shape[-1]} samples ({_reason(error)}); if it takes windows of "
                f"one length, give that as window_s, and if it needs longer input, as min_samples."
            ) from error
        made = {name: torch.as_tensor(array) for name, array in zip(wanted, arrays, strict=True)}
        return {name: value[None] if self.rank == 1 else value for name, value in made.items()}

    def __deepcopy__(self, memo: dict[int, Any]) -> _Runner:
        return self


def _external_files(path: Path) -> list[Path]:
    """The files beside an ONNX file that hold its weights. None of them may be outside of its folder."""
    onnx = importlib.import_module("onnx")
    if not path.is_file():
        raise CheckpointError(f"There is no file {path}.")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's own
        raise CheckpointError(
            f"{path} ({path.stat().st_size} bytes) is not a whole ONNX file; copy or download it again."
        ) from error
    folder = path.parent.resolve()
    found: dict[Path, None] = {}
    for tensor in _messages(model, onnx.TensorProto):
        for entry in tensor.external_data:
            if entry.key != "location" or tensor.data_location != onnx.TensorProto.EXTERNAL:
                continue
            # ONNX Runtime takes a name with asterisks for a place in memory.
            place = (folder / entry.value).resolve() if not {"\0", "*"} & {*entry.value} else Path()
            if Path(entry.value).is_absolute() or not place.is_relative_to(folder):
                raise CheckpointError(
                    f"{path} keeps weights in {entry.value!r}, outside of its folder, where nothing is opened; put "
                    f"that file beside it, and name it without a folder."
                )
            if not place.is_file():
                raise CheckpointError(f"{path} keeps weights in {entry.value!r}, which is not there; copy that too.")
            found[place] = None
    return sorted(found)


def _messages(message: Any, kind: type) -> Iterator[Any]:
    """All messages of a kind in another, wherever they are: attributes, subgraphs and functions have tensors too."""
    if isinstance(message, kind):
        yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in [value] if hasattr(value, "ListFields") else value:
                yield from _messages(inner, kind)


def _waveform_of(session: Any, path: Path) -> Any:
    inputs = session.get_inputs()
    if len(inputs) != 1:
        names = ", ".join(repr(each.name) for each in inputs) or "none"
        raise CheckpointError(f"{path} has the inputs {names}, and must have one, the waveform; export it with that.")
    (waveform,) = inputs
    *others, _ = waveform.shape or [0, 0, 0, 0]
    if len(others) > 2 or any(isinstance(size, int) and size != 1 for size in others) or waveform.type not in _TYPES:
        raise CheckpointError(
            f"The input {waveform.name!r} of {path} is a {waveform.type} of shape {waveform.shape}, and must be a "
            f"waveform (S,), (1, S) or (1, 1, S) of floating-point numbers; export it with its front end inside."
        )
    return waveform


def _reason(error: Exception) -> str:
    """What the runtime says, without the code and the place in its sources before it."""
    return first_line(error).rpartition(" : ")[2].strip().rstrip(".")[:200]
