"""An encoder as a transformer of scikit-learn: recordings in, vectors out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from audiossl.core.errors import AudioError, ConfigError
from audiossl.core.tensors import fingerprint
from audiossl.data.sources import cuts_from_files
from audiossl.encoders.devices import device_of
from audiossl.encoders.layers import parse_layers
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.upstream import Upstream
from audiossl.features.access import open_source
from audiossl.features.config import CacheConfig, Form
from audiossl.nn.pooling import statistics_of

Vectors = npt.NDArray[np.float32]
_FORMS: Mapping[str, Form] = {"mean": "pooled", "statistics": "statistics"}


class AudioEmbedder(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Vectors of recordings, for pipelines: `make_pipeline(AudioEmbedder(), StandardScaler(), LogisticRegression())`.

    What is computed of a file is kept in the feature cache, so that cross-validation runs the encoder once. Nothing is
    learnt from the data, and `fit` only loads the encoder.

    upstream: an encoder, or what `load_upstream` takes.
    layer: 'last', 'all', or numbers and ranges such as '0,6-8'. Several layers are concatenated.
    pool: 'mean' over time, or 'statistics' for the mean and the standard deviation.
    options: of the encoder, where it is loaded.
    cache_dir: folder of the feature cache. None for the one of `audiossl cache`.

    Recordings are paths, one-dimensional arrays of sound at the encoder's rate, or a table with one column of paths.
    """

    def __init__(
        self,
        upstream: str | Upstream = "tera_mini",
        *,
        layer: str = "last",
        pool: Literal["mean", "statistics"] = "mean",
        options: Mapping[str, Any] | None = None,
        cache_dir: str | None = None,
    ) -> None:
        self.upstream, self.layer, self.pool = upstream, layer, pool
        self.options, self.cache_dir = options, cache_dir

    def fit(self, X: Any, y: Any = None) -> AudioEmbedder:  # noqa: N803  # scikit-learn's names
        """Load the encoder. Raises ConfigError for a layer or a pooling that is not there, and as `load_upstream`."""
        if self.pool not in _FORMS:
            raise ConfigError(f"pool={self.pool!r}: choose {' or '.join(_FORMS)}.")
        upstream = self.upstream
        self.encoder_ = upstream if isinstance(upstream, Upstream) else load_upstream(upstream, **(self.options or {}))
        self.encoder_.eval()
        self.layers_ = parse_layers(self.layer, self.encoder_.num_layers, option="layer")
        self.fingerprint_ = fingerprint(self.encoder_)
        return self

    def transform(self, X: Any) -> Vectors:  # noqa: N803
        """(N, D) of N recordings, in their order.

        Raises AudioError for what is no recording, with its place in the list, and for a file that cannot be read.
        """
        check_is_fitted(self)
        recordings = _listed(X)
        paths = list(dict.fromkeys(each for each in recordings if isinstance(each, str)))
        of_path = dict(zip(paths, self._of_files(paths), strict=True))
        made = [of_path[each] if isinstance(each, str) else self._of_sound(each) for each in recordings]
        return np.stack(made) if made else np.zeros((0, len(self.get_feature_names_out())), np.float32)

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        """`layer4_mean_17` and the like, one for each number of a vector."""
        check_is_fitted(self)
        kinds = ("mean",) if self.pool == "mean" else ("mean", "std")
        width = {layer: self.encoder_.widths[layer] for layer in self.layers_}
        return np.array(
            [f"layer{n}_{kind}_{d}" for n in self.layers_ for kind in kinds for d in range(width[n])], object
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.string, tags.requires_fit = False, True, True
        return tags

    def _of_files(self, paths: Sequence[str]) -> list[Vectors]:
        if not paths:
            return []
        source = open_source(
            self.encoder_,
            self.fingerprint_,
            CacheConfig(dir=self.cache_dir or ""),
            _FORMS[self.pool],
            layers=self.layers_,
        )
        cuts = list(cuts_from_files([Path(path) for path in paths], paths))
        source.extract(cuts)
        return [self._joined(source.batch([cut]).features.layers) for cut in cuts]  # type: ignore[union-attr]

    @torch.inference_mode()
    def _of_sound(self, sound: Vectors) -> Vectors:
        wavs = torch.from_numpy(sound)[None].to(device_of(self.encoder_))
        features = self.encoder_(wavs, up_to_layer=self.layers_[-1])
        if self.pool == "mean":
            return self._joined([layer.mean(1, keepdim=True) for layer in features.layers])
        return self._joined([statistics_of(layer, features.lengths)[:, None] for layer in features.layers])

    def _joined(self, layers: Sequence[torch.Tensor]) -> Vectors:
        """Layers (1, 1, D_l) of one recording, pooled -> (D,)."""
        parts = [layers[layer][0, 0].float().cpu().numpy() for layer in self.layers_]
        return np.concatenate(parts)


def _listed(given: Any) -> list[str | Vectors]:
    """Paths and sounds. A table with one column is its column."""
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise AudioError("Give a list of recordings (paths or arrays of sound), and not a single one.")
    values = given.to_numpy() if hasattr(given, "to_numpy") else given
    if isinstance(values, np.ndarray) and values.ndim == 2 and values.dtype.kind in "OUT" and values.shape[1] == 1:
        values = values[:, 0]
    if isinstance(values, np.ndarray) and values.ndim == 2 and values.dtype.kind in "OUT":
        raise AudioError(f"The table has {values.shape[1]} columns; give the one with the paths.")
    return [_recording(place, value) for place, value in enumerate(values)]


def _recording(place: int, value: Any) -> str | Vectors:
    if isinstance(value, str | os.PathLike):
        if not os.fspath(value):
            raise AudioError(f"Recording {place} has an empty path; name a sound file.")
        if Path(value).is_dir():
            raise AudioError(f"Recording {place}, {os.fspath(value)}, is a folder; name sound files.")
        return os.fspath(value)
    sound = np.asarray(value)
    if sound.ndim != 1 or sound.dtype.kind != "f" or not len(sound):
        raise AudioError(
            f"Recording {place} is {sound.dtype} of shape {sound.shape}, neither a path nor a one-dimensional array of "
            f"floating-point sound."
        )
    if not np.isfinite(sound).all():
        raise AudioError(f"Recording {place} has NaN or infinity in it; leave it out or make it again.")
    return np.ascontiguousarray(sound, np.float32)
