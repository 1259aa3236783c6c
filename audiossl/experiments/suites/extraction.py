"""One pass of an encoder over a corpus for all cells that read it: hidden states are kept before any training."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lhotse import CutSet

from audiossl.core.config import structured
from audiossl.core.tensors import fingerprint
from audiossl.data.config import LoaderConfig
from audiossl.data.manifests import read_manifest
from audiossl.encoders.devices import best_device
from audiossl.encoders.encoding import encode_rows
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.upstream import Upstream
from audiossl.experiments.building import build_downstream, complete_config
from audiossl.experiments.cached_batches import FeatureNeeds, needs_of
from audiossl.experiments.config import Experiment
from audiossl.experiments.sweeps.members import members_of
from audiossl.features.access import joint_survey
from audiossl.features.source import FeatureSource

_MEASURED = 32  # recordings by which the norms of layers are measured


def extract_features(configs: Mapping[str, Any], share: Sequence[int]) -> dict[str, Any]:
    """Compute and keep what cells of one encoder will read, as far as the cache takes it.

    configs: the experiments by their name.
    share: (which, of how many) disjoint parts of the rows.
    Returns seconds, the seconds of sound that were encoded of the first share the mean norm of a frame of each layer,
    and the keys of the entries.
    """
    begin, audio_s, entries = time.monotonic(), 0.0, set[str]()
    experiments = [structured(Experiment, config, where=name) for name, config in configs.items()]
    first = experiments[0]
    upstream = load_upstream(first.upstream, **first.upstream_options)
    mark = fingerprint(upstream)
    # Cells that read the same rows share a pass, whatever form each of them needs.
    groups: dict[tuple[str, ...], list[Experiment]] = {}
    for config in experiments:
        groups.setdefault(manifests_of(config), []).append(config)
    for manifests, members in groups.items():
        cuts = CutSet.from_cuts(cut for path in manifests for cut in read_manifest(Path(path)))
        needs = [each for config in members for each in needs_of_heads(config, upstream, mark)]
        done = _fill(needs, cuts, (int(share[0]), int(share[1])))
        audio_s, entries = audio_s + done.audio_s, entries | done.entries
    norms = _layer_norms(upstream, first) if not share[0] else []
    found = {"seconds": time.monotonic() - begin, "audio_s": audio_s}
    return {**found, "layer_norms": norms, "entries": sorted(entries)}


class _Filled(NamedTuple):
    """Seconds of sound that were encoded, and the keys of the cache's entries that have them."""

    audio_s: float
    entries: set[str]


def manifests_of(config: Experiment) -> tuple[str, ...]:
    """The manifests whose rows an experiment reads."""
    splits = ("all",) if config.folds.by else ("train", "dev", "test")
    return tuple(str(config.data.path(split)) for split in splits)


def needs_of_heads(config: Experiment, upstream: Upstream, mark: str) -> Iterator[FeatureNeeds]:
    """What each head that is tried needs of the cache. Nothing where the encoder is trained."""
    if config.finetune.mode != "none":
        return
    rows = read_manifest(config.data.path("all" if config.folds.by else "train"))
    for member in members_of(config) if config.sweep.axes else [None]:
        own = member.config if member else config
        task = build_downstream(complete_config(own, rows), upstream, finetune=False)
        yield needs_of(own, task, mark, None)


def _fill(needs: Sequence[FeatureNeeds], cuts: CutSet, share: tuple[int, int]) -> _Filled:
    """Compute what is missing in a share of the rows."""
    sources: dict[Any, FeatureSource] = {}
    device = best_device()
    for each in needs:
        form = each.choose_form([cuts]).form
        key = form, each.task.interface.layers_read
        if form != "off" and key not in sources:
            beside = next(iter(sources.values()), None)
            sources[key] = replace(each, device=device).open_source(form, share[1], beside)
    try:
        if not sources:
            return _Filled(0.0, set())
        survey = joint_survey([source.survey(cuts) for source in sources.values()])
        one, *others = sources.values()
        one.extract(cuts, share=share, total_s=survey.missing_s / share[1], others=others)
        left = joint_survey([source.survey(cuts) for source in sources.values()])
        keys = {source.store.key for source in sources.values()}
        return _Filled(max(survey.missing_s - left.missing_s, 0.0), keys)
    finally:
        for source in sources.values():
            source.store.close()


def _layer_norms(upstream: Upstream, config: Experiment) -> list[float]:
    """The mean norm of a frame of each layer, over some recordings: a weight says little of layers of unlike scale."""
    rows = read_manifest(config.data.path("all" if config.folds.by else "train"))
    some = CutSet.from_cuts(cut for cut, _ in zip(rows, range(_MEASURED), strict=False) if cut.duration < 30)
    sums, count = torch.zeros(upstream.num_layers), 0
    for _, features in encode_rows(upstream, some, LoaderConfig(batch_size=8)):
        for item, length in enumerate(features.lengths.tolist()):
            norms = [layer[item, :length].float().norm(dim=-1).sum() for layer in features.layers]
            sums, count = sums + torch.stack(norms).cpu(), count + length
    return (sums / max(count, 1)).tolist()
