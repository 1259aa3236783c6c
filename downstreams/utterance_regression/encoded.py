"""Means of hidden states for the weak learners of a stack, from the feature cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from audiossl.analysis.functionals import Functionals, functionals_of
from audiossl.core.errors import ConfigError, LabelError
from audiossl.data.manifests import read_manifest
from audiossl.downstreams.multi_task.numbers import finite_number
from audiossl.downstreams.utterance_regression.stacking import Rows
from audiossl.encoders.kept import load_identified
from audiossl.features.access import open_source
from audiossl.features.config import CacheConfig


def rows_of_splits(
    data: Path, upstreams: Sequence[str], column: str, splits: Sequence[str], cache: CacheConfig
) -> dict[str, Rows]:
    """The last layer's mean over time of each encoder, by split.

    data: a folder of manifests.
    upstreams: as `load_upstream` takes them.
    column: of the number.
    splits: manifests in `data`.
    cache: where means are kept, so that an encoder runs once.
    Raises ConfigError for an encoder that is named twice, LabelError for what is no number.
    """
    if not upstreams or len(set(upstreams)) < len(upstreams):
        raise ConfigError("A stack needs encoders, each of them once; name them by --upstream.")
    found = {name: _encoded(name, data, column, splits, cache) for name in upstreams}
    return {split: _rows({name: each[split] for name, each in found.items()}, column, split) for split in splits}


def _encoded(name: str, data: Path, column: str, splits: Sequence[str], cache: CacheConfig) -> dict[str, Functionals]:
    upstream, mark = load_identified(name, {})
    layers = [upstream.num_layers - 1]
    source = open_source(upstream, mark, cache, "statistics", layers=layers)
    try:
        return {
            split: functionals_of(
                source,
                read_manifest(data / f"{split}.jsonl.gz"),
                layers,
                field=column,
                group="speaker",
                title=f"{name}, {split}",
            ).means()
            for split in splits
        }
    finally:
        source.store.close()


def _rows(found: Mapping[str, Functionals], column: str, split: str) -> Rows:
    first = next(iter(found.values()))
    targets = []
    for item, text in zip(first.ids, first.labels, strict=True):
        try:
            targets.append(finite_number(text))
        except LabelError as error:
            raise LabelError(f"Item {item!r} of {split} has in the field {column!r} {error}; correct it.") from error
    vectors = {name: np.asarray(next(iter(each.layers.values())), dtype=np.float64) for name, each in found.items()}
    return Rows(vectors, np.array(targets), first.clusters)
