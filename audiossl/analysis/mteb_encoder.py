"""Any encoder for MTEB's tasks on sound (MAEB): `mteb.evaluate(MtebEncoder("tera_mini"), tasks)`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from audiossl.analysis.embedder import AudioEmbedder, Vectors
from audiossl.core.errors import AudioError, ConfigError
from audiossl.data.reading import resample
from audiossl.data.sound_file import Wave
from audiossl.encoders.upstream import Upstream


class MtebEncoder:
    """An encoder as MTEB calls it, for tasks on sound alone. Each recording is encoded by itself.

    embedder: what makes a vector of a recording, or an encoder, or what `load_upstream` takes.
    name: under which MTEB keeps results. None for that of the encoder.
    Raises as `AudioEmbedder.fit`.
    """

    def __init__(self, embedder: AudioEmbedder | Upstream | str = "tera_mini", name: str | None = None) -> None:
        self.embedder = embedder if isinstance(embedder, AudioEmbedder) else AudioEmbedder(embedder)
        self.embedder.fit([])
        self.name = name or self.embedder.encoder_.display_name

    def encode(self, inputs: Iterable[Mapping[str, Any]], **about: Any) -> Vectors:
        """(N, D) of the recordings of all batches.

        inputs: batches with a list `audio` of samples with their rates.
        about: what else MTEB tells, of which nothing is needed.
        Raises AudioError for batches without sound.
        """
        return self.embedder.transform(list(self._sounds(inputs)))

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """(N, M) cosines of vectors (N, D) and (M, D)."""
        return _unit(embeddings1) @ _unit(embeddings2).T

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Tensor:
        """(N,) cosines of vectors (N, D) with those in the same rows of (N, D)."""
        return (_unit(embeddings1) * _unit(embeddings2)).sum(-1)

    @cached_property
    def mteb_model_meta(self) -> Any:
        """What MTEB wants to know of a model. Raises ConfigError where MTEB is not installed."""
        try:
            from mteb.models.model_meta import ModelMeta
        except ImportError as error:
            raise ConfigError("MtebEncoder needs the package mteb; run `pip install mteb[audio]`.") from error
        encoder = self.embedder.encoder_
        return ModelMeta(
            loader=None,
            name=f"audiossl/{self.name.replace('/', '_')}",
            revision=self.embedder.fingerprint_,
            release_date=None,
            languages=None,
            n_parameters=sum(each.numel() for each in encoder.parameters()),
            memory_usage_mb=None,
            max_tokens=None,
            embed_dim=len(self.embedder.get_feature_names_out()),
            license=None,
            open_weights=None,
            public_training_code=None,
            public_training_data=None,
            framework=["PyTorch"],
            similarity_fn_name="cosine",
            use_instructions=False,
            training_datasets=None,
            modalities=["audio"],
            experiment_kwargs={"layer": self.embedder.layer, "pool": self.embedder.pool},
        )

    def _sounds(self, batches: Iterable[Mapping[str, Any]]) -> Iterator[Wave]:
        rate = self.embedder.encoder_.sample_rate_hz
        for batch in batches:
            if "audio" not in batch:
                raise AudioError(f"MTEB gives {', '.join(batch)}, and no audio; choose tasks on sound alone.")
            for item in batch["audio"]:
                sound = np.asarray(item["array"], np.float32)  # (S,) or (channels, S)
                mono = sound.mean(0) if sound.ndim == 2 else sound
                yield resample(mono, int(item["sampling_rate"]), rate)


def _unit(vectors: Any) -> Tensor:
    return F.normalize(torch.atleast_2d(torch.as_tensor(vectors)).float(), dim=-1)
