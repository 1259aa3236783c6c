"""`audiossl extract`: fill the cache without training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiossl.core.errors import ConfigError, OutputError
from audiossl.core.processes import is_main, rank, world_size
from audiossl.core.tensors import fingerprint
from audiossl.data.manifests import read_manifest
from audiossl.encoders.layers import parse_layers
from audiossl.encoders.loading import load_upstream
from audiossl.features.access import announcement, open_source
from audiossl.features.config import CacheConfig, Form
from audiossl.features.source import FeatureSource

if TYPE_CHECKING:
    from lhotse import CutSet


def extract(
    name: str,
    manifests: Sequence[Path],
    *,
    options: dict[str, Any],
    form: Form,
    layers: str,
    cache: CacheConfig,
    shard: str,
    num_workers: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Compute and keep the hidden states of manifests.

    name: of the encoder, as `load_upstream` takes it.
    manifests: the files whose rows are encoded.
    options: the encoder's own.
    form: frames, pooled or statistics.
    layers: as `parse_layers` reads them.
    cache: where the cache is, how large it may be and in which type it keeps hidden states.
    shard: 'i/n' for the i-th of n disjoint parts, the first being 1. Under torchrun each process takes its part of it.
    num_workers: processes that read sound ahead.
    say: called with a line before a manifest starts.
    Returns what was done, ready for JSON: key, folder, form and layers of the entry, num_rows, num_bytes, num_computed,
    and whether the entry is `complete` for these rows.
    Raises ConfigError, and OutputError where the cache does not take all of its share.
    """
    if form not in ("frames", "pooled", "statistics"):
        raise ConfigError(f"--form {form}: choose frames, pooled or statistics.")
    number, world = rank(), world_size()
    which, total = parse_shard(shard)
    cuts = [read_manifest(path) for path in manifests]
    upstream = load_upstream(name, **options)
    source = open_source(
        upstream,
        fingerprint(upstream),
        cache,
        form,
        layers=parse_layers(layers, upstream.num_layers),
        world=world,
    )
    num_computed = num_rows = num_bytes = 0
    try:
        for path, rows in zip(manifests, cuts, strict=True):
            survey = source.survey(rows)
            # Of each shard of the rows every process has a share.
            share = (which * world + number, total * world)
            if is_main():
                say(announcement(str(path), survey))
            missing_s = survey.missing_s / share[1]
            num_computed += source.extract(rows, share=share, num_workers=num_workers, total_s=missing_s)
            num_rows, num_bytes = num_rows + survey.num_rows, num_bytes + survey.num_bytes
    finally:
        source.store.close()
    _check_kept(source, cuts, num_rows, num_computed)
    # Also of rows that other processes and machines have computed.
    complete = all(source.survey(rows).missing_rows == 0 for rows in cuts)
    facts = {"key": source.store.key, "folder": str(source.store.folder), "form": form, "layers": list(source.layers)}
    counts = {"num_rows": num_rows, "num_bytes": num_bytes, "num_computed": num_computed, "complete": complete}
    return {**facts, **counts}


def _check_kept(source: FeatureSource, cuts: Sequence[CutSet], num_rows: int, num_computed: int) -> None:
    """Raise OutputError where the cache stopped taking what was computed. Other shards are not ours to miss."""
    missing = sum(source.survey(rows).missing_rows for rows in cuts)
    if source.store.stopped:
        mend = "choose another folder by --dir, or make room by `audiossl cache prune` or --max-gb"
    elif num_computed and not len(source.store):
        mend = "see the warnings above"
    else:
        return
    if missing:
        why = source.store.stopped or "nothing of what was computed could be stored"
        raise OutputError(f"{missing} of {num_rows} recordings are not kept, because {why}; {mend}.")


def parse_shard(shard: str) -> tuple[int, int]:
    """'2/8' as (1, 8). Raises ConfigError.

    >>> parse_shard("2/8")
    (1, 8)
    """
    which, _, total = shard.partition("/")
    if not (which.isdecimal() and total.isdecimal() and 1 <= int(which) <= int(total)):
        raise ConfigError(f"--shard {shard}: write i/n with i from 1 to n, for instance 2/8.")
    return int(which) - 1, int(total)
