"""One pass of an encoder over a corpus for all cells that read it: hidden states are kept before any training."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lhotse import CutSet

from audiossl.core.config import structured
from audiossl.data.config import LoaderConfig
from audiossl.data.manifests import read_manifest
from audiossl.encoders.devices import best_device
from audiossl.encoders.encoding import encode_rows
from audiossl.encoders.kept import Identified, load_identified
from audiossl.encoders.upstream import Upstream
from audiossl.experiments.building import build_downstream, complete_config
from audiossl.experiments.cached_batches import FeatureNeeds, needs_of
from audiossl.experiments.config import Experiment
from audiossl.experiments.suites.encoders import encoder_kept_for
from audiossl.experiments.sweeps.members import members_of
from audiossl.features.contract import StateSource, joint_survey

MEASURED = 32  # recordings by which the norms of layers are measured


def extract_features(configs: Mapping[str, Any], share: Sequence[int], measure_norms: bool = False) -> dict[str, Any]:
    """Compute and keep what cells of one encoder will read, as far as the cache takes it.

    configs: the experiments by their name.
    share: (which, of how many) disjoint parts of the rows.
    measure_norms: whether the norms of layers are wanted.
    Returns the seconds that it took, the seconds of sound that were encoded, the mean norm of a frame of each layer ([]
    where it is not wanted) and the keys of the cache's entries.
    """
    experiments = [structured(Experiment, config, where=name) for name, config in configs.items()]
    first = experiments[0]
    with encoder_kept_for(first):
        encoder = load_identified(first.upstream, first.upstream_options)
    found: dict[str, Any] = {"seconds": 0.0, "audio_s": 0.0, "layer_norms": [], "entries": []}
    for cuts, needs in needs_by_rows(experiments, encoder):
        begin = time.monotonic()
        with sources_of(needs, cuts, best_device(), int(share[1])) as sources:
            found["audio_s"] += _fill(sources, cuts, (int(share[0]), int(share[1])))
            found["entries"] += [key for source in sources for key in source.keys]
        found["seconds"] += time.monotonic() - begin
    if measure_norms:
        found["layer_norms"] = _layer_norms(encoder.upstream, first)
    return found


def needs_by_rows(
    experiments: Iterable[Experiment], encoder: Identified
) -> Iterator[tuple[CutSet, list[FeatureNeeds]]]:
    """What the heads of experiments need of the cache. Those that read the same rows share a pass.

    experiments: with manifests that are there.
    encoder: that of all.
    """
    groups: dict[tuple[Path, ...], list[Experiment]] = {}
    for config in experiments:
        groups.setdefault(tuple(config.manifests.values()), []).append(config)
    for manifests, members in groups.items():
        # Once each: a row may be in several splits, as the documents of a search are.
        cuts = CutSet.from_cuts({cut.id: cut for path in manifests for cut in read_manifest(path)}.values())
        yield cuts, [each for config in members for each in _needs_of_heads(config, *encoder)]


@contextmanager
def sources_of(
    needs: Iterable[FeatureNeeds], cuts: CutSet, device: torch.device, world: int = 1
) -> Iterator[list[StateSource]]:
    """A source of hidden states for each form and set of layers that is needed. None where the cache is off.

    needs: of the heads.
    cuts: the rows.
    device: where the encoder runs.
    world: how many processes share the budget of the cache.
    """
    sources: dict[Any, StateSource] = {}
    try:
        for each in needs:
            form = each.choose_form([cuts]).form
            key = form, each.task.interface.layers_read
            if form != "off" and key not in sources:
                beside = next(iter(sources.values()), None)
                sources[key] = replace(each, device=device).open_source(form, world, beside)
        yield list(sources.values())
    finally:
        for source in sources.values():
            source.close()


def _needs_of_heads(config: Experiment, upstream: Upstream, mark: str) -> Iterator[FeatureNeeds]:
    """What each head that is tried needs. Nothing where the encoder is trained, or hears changed copies of its own."""
    if config.finetune.mode != "none" or config.cache.copies:
        return
    rows = read_manifest(next(iter(config.manifests.values())))
    for own in [member.config for member in members_of(config)] if config.sweep.axes else [config]:
        task = build_downstream(complete_config(own, rows), upstream, finetune=False)
        yield needs_of(own, task, mark, None)


def _fill(sources: Sequence[StateSource], cuts: CutSet, share: tuple[int, int]) -> float:
    """Compute what is missing in a share of the rows. Returns about how many seconds of sound were encoded."""
    if not sources:
        return 0.0
    survey = joint_survey([source.survey(cuts) for source in sources])
    one, *others = sources
    num_rows = one.extract(cuts, share=share, total_s=survey.missing_s / share[1], others=others)
    return survey.missing_s * num_rows / max(survey.missing_rows, 1)


def _layer_norms(upstream: Upstream, config: Experiment) -> list[float]:
    """The mean norm of a frame of each layer, over some recordings: a weight says little of layers of unlike scale."""
    rows = read_manifest(next(iter(config.manifests.values())))
    some = CutSet.from_cuts(cut for cut, _ in zip(rows, range(MEASURED), strict=False) if cut.duration < 30)
    sums, count = torch.zeros(upstream.num_layers), 0
    for _, features in encode_rows(upstream, some, LoaderConfig(batch_size=8)):
        for item, length in enumerate(features.lengths.tolist()):
            norms = [layer[item, :length].float().norm(dim=-1).sum() for layer in features.layers]
            sums, count = sums + torch.stack(norms).cpu(), count + length
    return (sums / max(count, 1)).tolist()
