"""Labels of frames: from files of units, or from units that are computed of each crop's own sound.

A frame has the unit whose centre is nearest in time (`audiossl.data.unit_files`). Frames after the last unit have none.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from audiossl.core.errors import ConfigError, LabelError
from audiossl.core.types import Batch
from audiossl.data.frame_labels import first_centre_s
from audiossl.data.unit_files import UnitFacts, UnitLabels, nearest_units
from audiossl.encoders.devices import place
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.upstream import Upstream
from audiossl.features.units.quantizer import Units, is_units_folder
from audiossl.features.units.sampling import FrameSample
from audiossl.nn.kmeans import KMeansConfig, fit_kmeans, nearest_centre

if TYPE_CHECKING:
    from lhotse.cut import Cut

_FITTED_FRAMES = 400_000  # of cepstra, on which k-means takes half a minute


class Targets(NamedTuple):
    """values: int64 (B, T), 0 where there is no label. counts: (B,) frames with one, from the first on."""

    values: Tensor
    counts: Tensor


class LabelSet(nn.Module, ABC):
    """The labels of an objective's batches.

    num_labels: how many kinds there are.
    fitted: False while `fit` must find the clusters.
    """

    num_labels: int
    fitted: bool = True

    @abstractmethod
    def of(self, batch: Batch, encoder: Upstream) -> Targets:
        """A label for each frame of an encoder. Raises LabelError."""

    def check(self, cut: Cut) -> None:
        """Raise LabelError for a whole row that cannot be labelled."""

    def fit(self, batches: Iterable[Batch]) -> None:
        """Find the clusters."""


class StoredLabels(LabelSet):
    """From files. name: of a file of units, or of a folder of them."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.labels = UnitLabels.read(Path(name))
        self.num_labels = self.labels.facts.num_units

    def of(self, batch: Batch, encoder: Upstream) -> Targets:
        frames = encoder.num_frames(batch.lengths).tolist()
        if len(batch.cuts) != len(frames):
            raise LabelError(f"Labels of {self.labels.name} are found by ids of rows, and the batch has no rows.")
        found = [torch.from_numpy(self.labels.of(cut, n, encoder)) for cut, n in zip(batch.cuts, frames, strict=True)]
        size = encoder.num_frames(batch.wavs.shape[1])
        values = pad_sequence([*found, torch.zeros(size, dtype=torch.int64)], batch_first=True)[:-1]
        counts = torch.tensor([len(labels) for labels in found])
        return Targets(values.to(batch.lengths.device), counts.to(batch.lengths.device))

    def check(self, cut: Cut) -> None:
        self.labels.check(cut)


class ComputedLabels(LabelSet):
    """Of each crop's own sound, by an encoder that stays as it is and is no part of what is saved.

    encoder: whose frames are clustered.
    layer: the hidden state.
    centres: (K, D), saved with the objective where it is zero, which `fit` changes.
    seed: of k-means.
    """

    centres: Tensor

    def __init__(self, encoder: Upstream, layer: int, centres: Tensor, seed: int = 0) -> None:
        super().__init__()
        self._encoder, self.layer, self.seed = (encoder.eval().requires_grad_(False),), layer, seed
        self.num_labels = len(centres)
        self.register_buffer("centres", centres.clone(), persistent=not bool(centres.any()))
        self.facts = UnitFacts(encoder.frame_rate_hz, len(centres), first_centre_s(encoder))

    @classmethod
    def of_cepstra(cls, clusters: int, seed: int, sample_rate_hz: int = 16000) -> Self:
        """Of MFCC as in HuBERT's first iteration, at the rate of the encoder. `fit` finds the clusters.

        clusters: how many.
        seed: of k-means.
        sample_rate_hz: of the sound.
        """
        encoder = load_upstream("mfcc", cmvn=False, sample_rate_hz=sample_rate_hz)
        return cls(encoder, 0, torch.zeros(clusters, encoder.widths[0]), seed)

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """Of units that `audiossl units fit` wrote. Raises CheckpointError where their encoder is another one now."""
        units = Units.load(folder)
        return cls(units.load_encoder(), units.card.layer, units.centres)

    @property
    def encoder(self) -> Upstream:
        """Whose frames are clustered."""
        return self._encoder[0]

    @property
    def fitted(self) -> bool:  # type: ignore[override]
        return bool(self.centres.any())

    @torch.no_grad()
    def of(self, batch: Batch, encoder: Upstream) -> Targets:
        if encoder.sample_rate_hz != self.encoder.sample_rate_hz:
            raise ConfigError(
                f"Labels are of sound at {self.encoder.sample_rate_hz} Hz and {encoder.display_name} takes "
                f"{encoder.sample_rate_hz} Hz; write the labels to files with `audiossl units apply`."
            )
        units = nearest_centre(self._states(batch), self.centres)  # (B, U)
        places = nearest_units(self.facts, encoder.num_frames(batch.wavs.shape[1]), encoder)
        wanted = torch.from_numpy(places).to(units.device)  # (T,)
        there = self.encoder.num_frames(batch.lengths.clamp(min=self.encoder.min_samples))
        counts = (wanted < there[:, None]).sum(1).minimum(encoder.num_frames(batch.lengths))
        return Targets(units[:, wanted.clamp(max=units.shape[1] - 1)], counts)

    def fit(self, batches: Iterable[Batch]) -> None:
        sample = FrameSample(_FITTED_FRAMES, self.centres.shape[1], self.seed)
        for number, batch in enumerate(batches):
            states = self._states(batch)
            frames = self.encoder.num_frames(batch.lengths.clamp(min=self.encoder.min_samples)).tolist()
            for index, count in enumerate(frames):
                name = batch.cuts[index].id if batch.cuts else f"{number} {index}"
                sample.add(name, states[index, :count])
            if sample.num_seen > 4 * _FITTED_FRAMES:
                break
        found = fit_kmeans(sample.drawn(), KMeansConfig(clusters=self.num_labels, seed=self.seed))
        self.centres.copy_(found.centres)

    def _states(self, batch: Batch) -> Tensor:
        """(B, U, D) of the layer, in single precision. Of sound that is too short, as if silence followed."""
        place(self.encoder, batch.wavs.device)
        least = self.encoder.min_samples
        wavs = nn.functional.pad(batch.wavs, (0, max(0, least - batch.wavs.shape[1])))
        with torch.autocast(wavs.device.type, enabled=False):
            features = self.encoder(wavs, batch.lengths.clamp(min=least), up_to_layer=self.layer)
        states: Tensor = features.layers[self.layer]
        return states


def label_set(name: str) -> LabelSet:
    """Labels by the name of a file or folder of units, or of a folder with fitted units. Raises LabelError."""
    if is_units_folder(Path(name)):
        return ComputedLabels.of_folder(Path(name))
    return StoredLabels(name)
