"""The feature cache for those who use it: where it lies, a source of an encoder's hidden states, and their batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from audiossl.core.errors import ConfigError
from audiossl.core.files import cache_folder
from audiossl.core.tensors import fingerprint as fingerprint_of
from audiossl.core.types import Batch
from audiossl.data.augmenting import CopyChange
from audiossl.data.stream import BatchStream, StreamPlan
from audiossl.encoders.frozen_part import FrozenPart
from audiossl.encoders.joined import JoinedUpstream
from audiossl.encoders.upstream import Upstream
from audiossl.features.config import CacheConfig, Form
from audiossl.features.contract import StateSource, Survey
from audiossl.features.identity import describe_entry, key_of
from audiossl.features.joined_source import JoinedSource
from audiossl.features.source import FeatureSource
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
    beside: StateSource | None = None,
    change: CopyChange | None = None,
) -> FeatureSource:
    """A source of hidden states of one upstream, with the entry of the cache that is its own.

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
    Raises ConfigError for joined encoders, whose hidden states are kept by each.
    """
    if isinstance(upstream, JoinedUpstream):
        raise ConfigError(
            f"{upstream.display_name} are several encoders, and this keeps those of one; name one of them."
        )
    how: dict[str, Any] = {"precision": precision, "device": device, "world": world, "change": change}
    return _open_one(upstream, fingerprint, cache, form, tuple(layers), _sources_in(beside), **how)


def open_states(
    upstream: Upstream, fingerprint: str, cache: CacheConfig, form: Form, *, layers: Iterable[int], **how: Any
) -> StateSource:
    """As `open_source`, also of joined encoders, of which each has the entry that it has alone.

    upstream, fingerprint, cache, form: as `open_source` takes them.
    layers: the numbers of those that are kept, of a joined encoder among the layers of all.
    how: what else `open_source` takes.
    """
    if not isinstance(upstream, JoinedUpstream):
        return open_source(upstream, fingerprint, cache, form, layers=layers, **how)
    used = _sources_in(how.pop("beside", None))
    wanted = [upstream.places[layer] for layer in layers]
    members: list[FeatureSource | None] = []
    for number, part in enumerate(upstream.parts):
        own = tuple(place.layer for place in wanted if place.member == number)
        mark = part.fingerprint if isinstance(part, FrozenPart) else fingerprint_of(part)
        members.append(_open_one(part, mark, cache, form, own, used, **how) if own else None)
        used += [source for source in members[-1:] if source is not None]
    return JoinedSource(upstream, members, form)


def _open_one(
    upstream: Upstream,
    fingerprint: str,
    cache: CacheConfig,
    form: Form,
    layers: tuple[int, ...],
    used: Sequence[FeatureSource],
    *,
    precision: str = "fp32",
    device: torch.device | str | None = None,
    world: int = 1,
    change: CopyChange | None = None,
) -> FeatureSource:
    """The source of one encoder, or that of the same entry among those that are `used` already."""
    dtype = cache.dtype_of(form, goes_on=isinstance(upstream, FrozenPart))
    if isinstance(upstream, FrozenPart) and upstream.gives_numbers:
        dtype = "fp32"
    description = describe_entry(upstream, fingerprint, layers=layers, form=form, dtype=dtype, precision=precision)
    found = next((one for one in used if one.store.key == key_of(description)), None)
    if found is not None:
        return found
    root = features_folder(cache)
    # Sources of one run draw on one budget, and look at each file once.
    budget = used[0].store.budget if used else Budget(root, cache.max_gb, world)
    return FeatureSource(
        upstream,
        Store(root, description, budget, note=upstream.name),
        layers=layers,
        form=form,
        dtype=dtype,
        precision=precision,
        device=device,
        batch_s=cache.batch_s,
        utterances=used[0].utterances if used else None,
        change=change,
    )


def _sources_in(source: StateSource | None) -> list[FeatureSource]:
    """The sources of single encoders that one is, or is made of."""
    if isinstance(source, JoinedSource):
        return list(source.sources)
    return [source] if isinstance(source, FeatureSource) else []


def cached_batches(source: StateSource, cuts: CutSet, plan: StreamPlan, *, means: bool = False) -> Iterator[Batch]:
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
