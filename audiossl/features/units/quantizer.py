"""Fitted units: the centres, and the layer of the encoder that they are of. A folder keeps them.

units.safetensors    `centres` (K, D) float32
units.json           everything else (`UnitsCard`)
"""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from torch import Tensor

from audiossl.core.config import as_dict, structured
from audiossl.core.errors import AudiosslError, CheckpointError, first_line
from audiossl.core.files import read_json, write_json
from audiossl.core.tensors import fingerprint as fingerprint_of
from audiossl.core.tensors import read_tensors, write_tensors
from audiossl.data.unit_files import UnitFacts
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.naming import named_by
from audiossl.encoders.upstream import Upstream
from audiossl.nn.kmeans import nearest_centre

TENSORS, CARD = "units.safetensors", "units.json"


@dataclass(frozen=True)
class UnitsCard:
    """What a folder says of its units."""

    upstream: str
    """The encoder, as `load_upstream` was given it."""
    upstream_options: dict[str, Any]
    """The options that it was given with."""
    upstream_class: str
    """The name of the encoder's class."""
    upstream_fingerprint: str
    """Of the encoder's weights and configuration."""
    layer: int
    """The hidden state that was clustered."""
    clusters: int
    """K."""
    width: int
    """D of a frame."""
    sample_rate_hz: int
    """Of the sound."""
    rate_hz: float
    """Frames a second."""
    centre_s: float
    """From the start of the sound to the centre of the first frame."""
    seed: int = 0
    """Of what was drawn."""
    num_recordings: int = 0
    """That were encoded."""
    audio_s: float = 0.0
    """Seconds of sound that were encoded."""
    num_frames: int = 0
    """Frames that k-means saw."""
    distortion: float = 0.0
    """Mean squared distance of those frames to their centres."""
    settings: dict[str, Any] = field(default_factory=dict)
    """By which they were fitted."""
    manifests: list[str] = field(default_factory=list)
    """Of the recordings."""
    command: str = ""
    """That fitted them."""
    made_with: dict[str, str] = field(default_factory=dict)
    """Versions of what fitted them."""
    fingerprint: str = ""
    """Of the centres, the encoder and the layer."""


class Units:
    """Centres (K, D) and their card, whose fingerprint is that of both.

    folder: that they were read from. None where they were just fitted.
    """

    def __init__(self, centres: Tensor, card: UnitsCard, folder: Path | None = None) -> None:
        self.centres, self.folder = centres.float(), folder
        digest = hashlib.sha256(f"{card.upstream_fingerprint} {card.upstream_class} {card.layer}".encode())
        digest.update(self.centres.contiguous().cpu().numpy().tobytes())
        self.card = replace(card, fingerprint=digest.hexdigest())

    def __len__(self) -> int:
        return len(self.centres)

    @property
    def facts(self) -> UnitFacts:
        """What files of these units say of them."""
        return UnitFacts(self.card.rate_hz, len(self), self.card.centre_s, self.card.fingerprint[:16])

    def of_states(self, states: Tensor) -> Tensor:
        """The unit of each frame, int64 (...), of the layer's hidden states (..., D)."""
        return nearest_centre(states, self.centres.to(states.device))

    def check_encoder(
        self, upstream: Upstream, where: str = "These units", *, fit_by: str = "audiossl units fit"
    ) -> None:
        """Raise CheckpointError for another encoder than the one that was clustered."""
        card = self.card
        if type(upstream).__name__ != card.upstream_class or fingerprint_of(upstream) != card.upstream_fingerprint:
            raise CheckpointError(
                f"{where} are of layer {card.layer} of {card.upstream}{_written(card.upstream_options)}, and "
                f"{upstream.display_name} is another encoder or has other weights; fit some of its own with "
                f"`{fit_by}`."
            )

    def load_encoder(self, name: str = "", **options: Any) -> Upstream:
        """The encoder that was clustered, from where it was or from `name`. Raises CheckpointError for another one."""
        given = {**(self.card.upstream_options if not name else {}), **options}
        # A folder that may be from elsewhere names no address that was not fetched here before.
        with named_by(self.folder, paths=True, asked=[name]) if self.folder else nullcontext():
            upstream = load_upstream(name or self.card.upstream, **given)
        self.check_encoder(upstream)
        return upstream

    def save(self, folder: Path) -> None:
        """Write the folder. Raises OutputError."""
        write_tensors(folder / TENSORS, {"centres": self.centres}, {"fingerprint": self.card.fingerprint})
        write_json(folder / CARD, as_dict(self.card))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What `save` wrote. Raises CheckpointError for a folder that is missing, damaged or of two halves."""
        folder = Path(folder)
        if not (folder / CARD).is_file():
            raise CheckpointError(f"{folder} has no {CARD}, so no units; fit some with `audiossl units fit`.")
        try:
            card = structured(UnitsCard, read_json(folder / CARD), where=str(folder / CARD))
        except AudiosslError as error:
            raise CheckpointError(f"{folder} does not say what its units are: {first_line(error)}") from error
        tensors, _ = read_tensors(folder / TENSORS)
        if tensors.keys() != {"centres"} or tensors["centres"].shape != (card.clusters, card.width):
            raise CheckpointError(f"{folder / TENSORS} has no centres ({card.clusters}, {card.width}); copy it again.")
        made = cls(tensors["centres"], card, folder)
        if made.card.fingerprint != card.fingerprint:
            raise CheckpointError(f"{folder / TENSORS} and {CARD} are not of the same units; copy both again.")
        return made


def is_units_folder(place: Path) -> bool:
    """Whether fitted units lie there."""
    return (place / CARD).is_file()


def _written(options: dict[str, Any]) -> str:
    return f" ({', '.join(f'{key}={value}' for key, value in options.items())})" if options else ""
