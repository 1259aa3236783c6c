"""A frozen teacher: its hidden states of what a batch has, read from the cache or computed now, and its identity.

The teacher is no part of the module that holds it, so that it is in no checkpoint. Its fingerprint is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from audiossl.core.errors import CheckpointError, ConfigError
from audiossl.core.tensors import fingerprint
from audiossl.core.types import Batch
from audiossl.encoders.devices import place
from audiossl.encoders.loading import load_upstream
from audiossl.training.objective import RowStates, Surroundings

if TYPE_CHECKING:
    from lhotse.cut import Cut


class TeacherStates(NamedTuple):
    """Hidden states of the sound that the items of a batch are, or are parts of.

    layers: (B, T, D_l) by number.
    frames: (B,) real frames.
    first: (B,) float, at which of the frames, or between which, the item begins.
    """

    layers: Mapping[int, Tensor]
    frames: Tensor
    first: Tensor


class Teacher:
    """An encoder that is not trained.

    reference: as `load_upstream` takes it.
    options: of the encoder.
    layers: the numbers of those that are read, negative ones counting from the end.
    Raises ConfigError, CheckpointError, UnknownNameError.
    """

    def __init__(self, reference: str, options: Mapping[str, Any], layers: Iterable[int]) -> None:
        if not reference:
            raise ConfigError("Distillation needs a teacher; set objective_options.teacher to a name or a path.")
        self.reference = reference
        self.encoder = load_upstream(reference, **options).eval().requires_grad_(False)
        self.layers = tuple(sorted({layer_number(layer, self.encoder.num_layers, "teacher") for layer in layers}))
        self.fingerprint = fingerprint(self.encoder)
        self._rows: dict[str, Cut] = {}
        self._states_of: RowStates | None = None

    @property
    def is_cached(self) -> bool:
        """Whether hidden states come from the cache."""
        return self._states_of is not None

    def width(self, layer: int) -> int:
        """D of a layer."""
        return self.encoder.widths[layer]

    def keep(self, surroundings: Surroundings) -> None:
        """Compute the hidden states of all rows once, and read them from then on.

        Raises ConfigError for rows that sound otherwise in every epoch.
        """
        if changed := surroundings.data.changed_sound:
            raise ConfigError(
                f"{changed}, of which the cache has no states of the teacher; set states=online for it, or leave "
                f"that setting out."
            )
        self._rows = {cut.id: cut for rows in surroundings.rows.values() for cut in rows}
        self._states_of = surroundings.keep_states(self.encoder, self.layers)

    def require_same(self, stored: str) -> None:
        """Raise CheckpointError where the teacher of a checkpoint was another one. stored: its fingerprint."""
        if stored != self.fingerprint:
            raise CheckpointError(
                f"The teacher {self.reference!r} is not the one that this run was trained with (its weights or "
                f"settings are others); name that one by objective_options.teacher, or train anew."
            )

    @torch.no_grad()
    def states(self, batch: Batch, sample_rate_hz: int) -> TeacherStates:
        """Hidden states of a batch, on its device.

        batch: of sound. From the cache come those of whole rows, of which the items may be crops.
        sample_rate_hz: of the batch's sound.
        """
        if self._states_of is not None and all(cut.id in self._rows for cut in batch.cuts):
            return self._kept(self._states_of, batch.cuts, batch.wavs.device)
        if sample_rate_hz != self.encoder.sample_rate_hz:
            raise ConfigError(
                f"The teacher {self.reference!r} reads sound at {self.encoder.sample_rate_hz} Hz and the student at "
                f"{sample_rate_hz} Hz; let its states be kept (states=cache), without augmentation."
            )
        place(self.encoder, batch.wavs.device)
        features = self.encoder(batch.wavs, batch.lengths, up_to_layer=self.layers[-1])
        layers = {layer: features.layers[layer] for layer in self.layers}
        return TeacherStates(layers, features.lengths, torch.zeros(len(batch), device=batch.wavs.device))

    def _kept(self, states_of: RowStates, cuts: Sequence[Cut], device: torch.device) -> TeacherStates:
        rows = [self._rows[cut.id] for cut in cuts]
        features = states_of(rows).to(device)
        rate = self.encoder.frame_rate_hz
        first = [(cut.start - row.start) * rate for cut, row in zip(cuts, rows, strict=True)]
        layers = {layer: features.layers[layer] for layer in self.layers}
        return TeacherStates(layers, features.lengths, torch.tensor(first, dtype=torch.float32, device=device))


def layer_number(layer: int, num_layers: int, whose: str) -> int:
    """The number of a layer from 0, where negative ones count from the end. Raises ConfigError for none of them.

    >>> layer_number(-1, 5, "student")
    4
    """
    if not -num_layers <= layer < num_layers:
        raise ConfigError(f"The {whose} has layers 0 to {num_layers - 1} (or -{num_layers} to -1), and no {layer}.")
    return layer % num_layers
