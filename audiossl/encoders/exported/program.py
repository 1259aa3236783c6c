"""A network in a file, and what the file says of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from audiossl.core.errors import CheckpointError

METADATA = "audiossl"  # the key under which a file that audiossl wrote says what it is, as JSON
_RATES = ("sample_rate", "sampling_rate", "sample_rate_hz")  # keys that others use


@dataclass(frozen=True)
class Program:
    """A network that can be run and not be changed.

    kind: the prefix of its reference.
    path: of the file.
    sha256: of all that it consists of.
    num_samples: what its input has to have. None where that may be any number.
    metadata: text by key, as the file has it.
    run: from a wav (1, S) and the names of outputs, () for all of them, to outputs by name. Each of them begins with a
        dimension for the batch, of size 1.
    """

    kind: str
    path: Path
    sha256: str
    num_samples: int | None
    metadata: Mapping[str, str]
    run: Callable[[Tensor, Sequence[str]], dict[str, Tensor]]

    def __str__(self) -> str:
        return f"{self.kind}:{self.path}"

    @property
    def said(self) -> dict[str, Any]:
        """Fields of an `ExportedConfig` that the metadata have. Raises CheckpointError for what is no JSON object."""
        if METADATA in self.metadata:
            return dict(read_metadata(self.metadata[METADATA], str(self)).get("encoder", {}))
        rates = [self.metadata[key] for key in _RATES if key in self.metadata]
        return {"sample_rate_hz": int(rates[0])} if rates and rates[0].strip().isdecimal() else {}


def read_metadata(text: str, name: str) -> dict[str, Any]:
    """What audiossl wrote into a file. Raises CheckpointError for anything else.

    text: as the file has it.
    name: of the file, for the error.
    """
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("encoder", {}), dict):
        raise CheckpointError(
            f"The metadata of {name} under {METADATA!r} are not what audiossl writes; export it again."
        )
    return found
