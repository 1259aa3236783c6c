"""A trained run as an encoder of voices: `upstream=extractor:RUN`.

It has one layer, the embedding of the whole recording, given for each frame of the run's own encoder. Whatever pools
over time, or reads frames beside those of another encoder, can thus have it. A mean over time is the embedding itself:

    audiossl embed extractor:RUN *.wav --pool mean --out voices.csv
    audiossl train emotion.yaml upstream=extractor:RUN
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from audiossl.core.errors import ConfigError
from audiossl.downstreams.speaker_verification.task import SpeakerVerification
from audiossl.downstreams.speaker_verification.verify import verifier_of
from audiossl.encoders.hub import local_path
from audiossl.encoders.naming import namer_of
from audiossl.encoders.upstream import Upstream
from audiossl.experiments.loading import load_run

WORD = "extractor"


class Extractor(Upstream):
    """The embedding of a recording, once for each frame: a layer (B, T, E).

    encoder: of the run.
    interface: what makes one sequence of its layers.
    head: what makes an embedding of the sequence.
    """

    def __init__(self, task: SpeakerVerification) -> None:
        super().__init__()
        self.encoder, self.interface, self.head = task.upstream, task.interface, task.head
        inner = self.encoder
        self.sample_rate_hz, self.stride, self.edge = inner.sample_rate_hz, inner.stride, inner.edge
        self.receptive_field, self.max_samples = inner.receptive_field, inner.max_samples
        self.widths = (task.head.out_width,)

    def num_frames(self, num_samples: int | Tensor) -> int | Tensor:  # type: ignore[override]
        return self.encoder.num_frames(num_samples)

    @property
    def min_samples(self) -> int:
        """The shortest input of which the head makes an embedding."""
        shortest, enough = self.encoder.min_samples, self.head.min_frames
        while self.encoder.num_frames(shortest) < enough:
            shortest += max(1, (enough - self.encoder.num_frames(shortest) - 1) * self.stride)
        return shortest

    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> Sequence[Tensor]:
        features = self.encoder(wavs, lengths, up_to_layer=self.interface.up_to_layer)
        sequence = self.interface(features)
        embedding = self.head(sequence.to(_dtype_of(self.head)), features.lengths)[0]  # (B, E)
        return [embedding[:, None].expand(-1, sequence.shape[1], -1)]


def load_extractor(place: str) -> Extractor:
    """The extractor of a run of speaker_verification: its folder, or hf:<owner>/<name>.

    Raises AudiosslError for another run.
    """
    if not place:
        raise ConfigError("extractor: names no run; write extractor:RUN.")
    # A run that names an extractor names a folder, or what was fetched before.
    folder = local_path(place, namer_of(f"{WORD}:{place}"))[0] if place.startswith("hf:") else Path(place)
    with torch.random.fork_rng(devices=[]):
        made = Extractor(verifier_of(load_run(folder, device="cpu")))
    return made.requires_grad_(True).eval()


def _dtype_of(module: nn.Module) -> torch.dtype:
    return next(module.parameters()).dtype
