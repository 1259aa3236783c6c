"""`encoder.json`: what a folder says of the encoder that training left in it.

Whatever trains an encoder writes one, and `load_upstream(FOLDER)` reads it. That needs nothing of what a run is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from audiossl.core.config import as_dict, structured
from audiossl.core.errors import AudiosslError, CheckpointError
from audiossl.core.files import read_json, write_json

NAME = "encoder.json"
UPSTREAM_NAME = "upstream.safetensors"  # the encoder that a pre-training leaves at its end
RUN_NAME = "run.json"  # what every run writes, by which a run of before `encoder.json` is known


@dataclass(frozen=True)
class EncoderFile:
    """An encoder as it was loaded, and what training changed in it. Or, in `runs`, the folders that have one each."""

    upstream: str = ""
    """What `load_upstream` was given; '' for an encoder that is all in `weights`, once its pre-training has ended."""
    options: dict[str, Any] = field(default_factory=dict)
    """The options that it was given with."""
    fingerprint: str = ""
    """Of the encoder as it was loaded, before anything was added to it."""
    finetune: dict[str, Any] = field(default_factory=dict)
    """Fields of `FinetuneConfig`: which parameters trained."""
    up_to_layer: int | None = None
    """The last layer that was read in training; null for the last there is."""
    depths: list[int | None] = field(default_factory=list)
    """As `up_to_layer`, of each of several encoders; empty for one."""
    weights: str = ""
    """The safetensors file with what trained, relative to the folder."""
    prefix: str = ""
    """What the names of the encoder's tensors begin with in it."""
    whole: bool = False
    """Whether all of the encoder's tensors are in `weights`, and not only those that trained."""
    runs: list[str] = field(default_factory=list)
    """Folders below this one, which have the encoders instead; of a single one, `load_upstream` takes it. A sweep of
    which no member is finished says nothing at all."""

    def write(self, folder: Path) -> None:
        """Write the file into a folder, without what stays empty."""
        said = {key: value for key, value in as_dict(self).items() if value not in ("", {}, []) and value is not False}
        write_json(folder / NAME, said)


def has_encoder_file(folder: Path) -> bool:
    """Whether training has said which encoder the folder has."""
    return (folder / NAME).is_file()


def read_encoder_file(folder: Path) -> EncoderFile:
    """What `EncoderFile.write` wrote. Raises CheckpointError for a file that is missing or damaged."""
    try:
        file = structured(EncoderFile, read_json(folder / NAME), where=f"{folder / NAME}")
        for name in (file.weights, *file.runs):
            if Path(name).is_absolute() or ".." in Path(name).parts:
                raise CheckpointError(f"{name!r} is not below the folder.")
        return file
    except AudiosslError as error:
        raise CheckpointError(f"{folder / NAME} does not say which encoder the folder has: {error}") from error
