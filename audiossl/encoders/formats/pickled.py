"""Torch files of other toolkits, read without running pickled code.

`torch.load(weights_only=True)` refuses every class it does not know. Published files name a few that only carry data
(argparse.Namespace, omegaconf nodes, fairseq dictionaries, optimizer objects). Each is replaced by an inert stand-in of
ours, under their name: nothing of theirs is imported or runs. A file that names anything else is refused.
"""

from __future__ import annotations

import collections
import pickle
import pickletools
import zipfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import torch

from audiossl.core.errors import CheckpointError

# Packages whose classes are found in published files as carriers of data.
_CARRIERS = (
    "fairseq",
    "omegaconf",
    "optimizers",
    "s3prl",
    "argparse",
    "pathlib",
    "numpy",
    "_codecs",
    "typing",
    "pytorch_lightning",
    "lightning",
)


# What is not worth naming where a file is refused: data, and what every torch file names.
_KNOWN = (*_CARRIERS, "torch", "collections")

# Plain containers that omegaconf's nodes refer to; these are what they are.
_CONTAINERS: list[Any] = [collections.defaultdict, dict, list, int]


class Inert:
    """Takes the place of a class that only carries data: keeps what it is given, does nothing."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        self.args = args
        self.state: Any = kwargs

    def __setstate__(self, state: object) -> None:
        self.state = state


def read_pickled(path: Path) -> Mapping[str, Any]:
    """A torch file as a mapping, stand-ins included. Raises CheckpointError, also for classes that are not inert."""
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint {path}.")
    if _is_program(path):
        raise CheckpointError(
            f"{path} is a TorchScript program, not weights; save its state_dict() and give that, or name "
            f"it torchscript:{path} if you trust its code."
        )
    named: set[str] = set()
    try:
        named = _named_classes(path)
        carriers = [name for name in named if name.split(".")[0] in _CARRIERS]
        # Lightning's settings are a dict of a class of its own, and may be filled as a dict alone.
        inert: list[Any] = [(dict if name.endswith(".AttributeDict") else Inert, name) for name in carriers]
        with torch.serialization.safe_globals([*_CONTAINERS, *inert]):
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # whose message advises to run the file
        raise refused(path, named) from error
    except Exception as error:  # torch meets a cut file with struct.error, EOFError, RuntimeError, IndexError, ...
        size = path.stat().st_size
        raise CheckpointError(f"{path} ({size} bytes) is not a whole torch checkpoint: copy it again.") from error
    if isinstance(checkpoint, Inert):
        raise CheckpointError(f"{path} holds a pickled model object; save its state_dict() in its own toolkit instead.")
    if not isinstance(checkpoint, Mapping):
        raise CheckpointError(f"{path} holds a {type(checkpoint).__name__}, not a checkpoint with named parts.")
    return checkpoint


def refused(path: Path, named: Collection[str] = ()) -> CheckpointError:
    """The error of a file that pickled code would have to be run for.

    path: of the file.
    named: every global that it names.
    """
    strange = sorted(name for name in named if name.split(".")[0] not in _KNOWN)
    which = f" ({', '.join(strange[:3])})" if strange else ""
    return CheckpointError(
        f"{path} is damaged or holds pickled code that audiossl does not run{which}: save its state_dict() with the "
        f"toolkit that wrote it, and give that."
    )


def plain(value: Any) -> Any:
    """Configurations as plain dicts, lists and scalars: namespaces, omegaconf nodes, enums and paths unwrapped."""
    if isinstance(value, Inert):
        state = value.state
        if isinstance(state, Mapping):
            for key in ("_content", "_val"):  # omegaconf's containers and leaves
                if key in state:
                    return plain(state[key])
            if state:
                return plain(state)
        arguments = [str(argument) for argument in value.args]
        return "/".join(arguments) if len(arguments) > 1 else plain(value.args[0]) if value.args else None
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return value


def _is_program(path: Path) -> bool:
    """Whether torch.jit wrote the file, which holds code beside the tensors."""
    if not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in name for name in archive.namelist())
    except zipfile.BadZipFile:
        return False


def _named_classes(path: Path) -> set[str]:
    """Every global that the file's pickles name, found by reading opcodes, without executing any."""
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as file:
            return {name for _ in range(4) for name in _globals_of(file)}  # magic, protocol, system, content
    with zipfile.ZipFile(path) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("data.pkl")]
        return {name for entry in pickles for name in _globals_of(archive.open(entry))}


def _globals_of(file: IO[bytes]) -> Iterator[str]:
    try:
        for opcode, argument, _ in pickletools.genops(file):
            if opcode.name == "GLOBAL":
                yield str(argument).replace(" ", ".")
    except (ValueError, IndexError):  # no pickle, or a cut one: torch.load is to say so
        return
