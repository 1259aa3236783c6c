"""The feature cache for those who use it: where it lies, a source of an encoder's hidden states, and their batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from audiossl.core.errors import ConfigError
from audiossl.core.files import cache_folder
from audiossl.core.types import Batch
from audiossl.data.augmenting import CopyChange
from audiossl.data.stream import BatchStream, StreamPlan
from audiossl.encoders.upstream import Upstream
from audiossl.features.config import CacheConfig, Form
from audiossl.features.identity import describe_entry
from audiossl.features.source import FeatureSource, Survey
from audiossl.features.store import Budget, Store

if TYPE_CHECKING:
    from lhotse import CutSet


def features_folder(cache: CacheConfig) -> Path:
    """Where all entries of the cache lie, which need not be there. Raises ConfigError for a file."""
    folder = Path(cache.dir).expanduser() if cache.dir else cache_folder() / "features"
    if folder.exists() and not folder.is_dir():
        raise ConfigError(
            f"{folder} is a file, and hidden states are kept in a folder; name one by cache.dir or --dir."
        )
    return folder


def open_source(
    upstream: Upstream,
    fingerprint: str,
    cache: CacheConfig,
    form: Form,
    *,
    layers: Iterable[int],
    precision: str = "fp32",
    device: torch.device | str | None = None,
    world: int = 1,
    beside: FeatureSource | None = None,
    change: CopyChange | None = None,
) -> FeatureSource:
    """A source of hidden states of an upstream, with the entry of the cache that is its own.

    upstream: the frozen encoder.
    fingerprint: `audiossl.core.tensors.fingerprint(upstream)`.
    cache: where the cache is, how large it may be and in which type it keeps hidden states.
    form: what is kept, see `FeatureSource`.
    layers: the numbers of those that are kept.
    precision: of autocast.
    device: where the encoder runs, the best one where it is left out.
    world: processes that share the budget.
    beside: another source in the same cache, which shares the budget too.
    change: makes the sound of marked copies. None where no row is one.
    """
    chosen, dtype = tuple(layers), cache.dtype_of(form)
    description = describe_entry(upstream, fingerprint, layers=chosen, form=form, dtype=dtype, precision=precision)
    root = features_folder(cache)
    # Sources of one run draw on one budget, and look at each file once.
    budget = beside.store.budget if beside else Budget(root, cache.max_gb, world)
    store = Store(root, description, budget, note=upstream.name)
    return FeatureSource(
        upstream,
        store,
        layers=chosen,
        form=form,
        dtype=dtype,
        precision=precision,
        device=device,
        batch_s=cache.batch_s,
        utterances=beside.utterances if beside else None,
        change=change,
    )


def joint_survey(surveys: Sequence[Survey]) -> Survey:
    """Of the same rows in several forms: the rows and seconds that any of them lacks, and the bytes of all."""
    return surveys[0]._replace(
        num_bytes=sum(survey.num_bytes for survey in surveys),
        missing_rows=max(survey.missing_rows for survey in surveys),
        missing_s=max(survey.missing_s for survey in surveys),
        missing_bytes=sum(survey.missing_bytes for survey in surveys),
    )


def cached_batches(source: FeatureSource, cuts: CutSet, plan: StreamPlan, *, means: bool = False) -> Iterator[Batch]:
    """The batches of `make_loader`, in its order, with hidden states instead of sound.

    source: gives hidden states, stored or computed.
    cuts: the rows.
    plan: of the source's upstream (`StreamPlan.of`).
    means: whether a recording is the mean of its frames over time.
    """
    return source.batches(BatchStream(cuts, plan), means=means)


def announcement(what: str, survey: Survey) -> str:
    """What is about to be computed, and the room that it takes, as one line."""
    return (
        f"Encoding {what} once: {survey.missing_rows} of {survey.num_rows} recordings, "
        f"{survey.missing_s / 3600:.2f} h of sound, {gigabytes(survey.missing_bytes)}."
    )


def gigabytes(num_bytes: float) -> str:
    """A size for people.

    >>> gigabytes(3.6e9), gigabytes(40_000)
    ('3.60 GB', '0.04 MB')
    """
    return f"{num_bytes / 1e9:.2f} GB" if num_bytes >= 1e8 else f"{num_bytes / 1e6:.2f} MB"
