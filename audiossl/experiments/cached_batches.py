"""The feature cache of an experiment: what is chosen, computed before training and read in every epoch."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from audiossl.core.types import Batch, BatchSource, Position
from audiossl.data.stream import LoaderConfig
from audiossl.experiments.config import (
    Experiment,
)
from audiossl.experiments.feature_form import Choice, choose, why_not_pooled
from audiossl.features.access import announcement, cached_batches, joint_survey, open_source
from audiossl.features.config import Asked, CacheConfig, Form
from audiossl.features.source import FeatureSource, Survey
from audiossl.training.config import TrainerConfig
from audiossl.training.downstream import Downstream

if TYPE_CHECKING:
    from lhotse import CutSet

_log = logging.getLogger(__name__)


def feed_of(
    config: Experiment,
    task: Downstream,
    fingerprint: str,
    form: Form | None,
    precision: str = "fp32",
    device: torch.device | str = "cpu",
) -> Feed:
    """form: which an earlier part of the run used."""
    return Feed(task, fingerprint, config.data, config.cache, config.features, form, precision, device)


@dataclass(frozen=True)
class Served:
    """Where batches come from, for any number of heads that need the same of the encoder.

    source: None where form is 'off'; means: the heads get the mean over time of frames that are kept.
    """

    form: Form
    source: FeatureSource | None
    cuts: Mapping[str, CutSet]
    data: LoaderConfig
    means: bool = False

    @property
    def vectors(self) -> bool:
        """Whether a recording is one vector for each layer, its mean over time."""
        return self.form == "pooled" or self.means

    def batches(self, split: str, seed: int) -> BatchSource | None:
        """Batches of `train` (endless, shuffled) or of another split, for a trainer; None where the cache is off."""
        source = self.source
        if source is None:
            return None

        def batches(start: Position | None, rank: int, world: int) -> Iterable[Batch]:
            place: Any = {"seed": seed, "start": start, "rank": rank, "world": world, "means": self.means}
            return cached_batches(source, self.cuts[split], self.data, train=split == "train", **place)

        return batches


@dataclass(frozen=True)
class Feed:
    """What a task needs to read its batches from the cache.

    asked: the experiment's `features`; form: of an earlier part of the same run, which stays.
    """

    task: Downstream
    fingerprint: str
    data: LoaderConfig
    cache: CacheConfig
    asked: Asked
    form: Form | None = None
    precision: str = "fp32"
    device: torch.device | str = "cpu"

    def check(self) -> None:
        """Raise ConfigError, before anything is computed, for a cache that would change the result."""
        choose(self.asked, self.task, self.data, lambda form: True)

    def choose(self, splits: Sequence[CutSet]) -> Choice:
        """The form for these rows together."""
        if self.form:
            return Choice(self.form, "as in the run so far")

        def fits(form: Form) -> bool:
            source = self.source(form)
            missing = sum(source.survey(rows).missing_bytes for rows in splits)
            source.store.close()
            return missing <= source.store.budget.left

        return choose(self.asked, self.task, self.data, fits)

    def source(self, form: Form, world: int = 1, beside: FeatureSource | None = None) -> FeatureSource:
        """Hidden states of the layers that the task's interface reads."""
        return open_source(
            self.task.upstream,
            self.fingerprint,
            self.cache,
            form,
            layers=self.task.interface.layers_read,
            precision=self.precision,
            device=self.device,
            world=world,
            beside=beside,
        )

    @property
    def means(self) -> bool:
        """Whether the mean over time is all that is needed, also of frames."""
        return not why_not_pooled(self.task)

    @contextmanager
    def serving(self, accelerator: Accelerator, config: TrainerConfig, cuts: Mapping[str, CutSet]) -> Iterator[Served]:
        """What a trainer can read of `train` and `dev` from the cache, where that changes nothing."""
        with opened([self], accelerator, config, cuts) as (served,):
            yield served

    def evaluate(self, cuts: CutSet) -> Iterator[Batch] | None:
        """Batches of one pass over the rows, from the cache; None where it is off, or too small for them."""
        choice = self.choose([cuts])
        if choice.form == "off":
            return None
        source = self.source(choice.form)
        survey = source.survey(cuts)
        if survey.missing_bytes > source.store.budget.left:
            source.store.close()
            return None
        return self._one_pass(source, cuts, survey)

    def _one_pass(self, source: FeatureSource, cuts: CutSet, survey: Survey) -> Iterator[Batch]:
        try:
            source.extract(cuts, num_workers=self.data.num_workers, total_s=survey.missing_s)
            yield from cached_batches(source, cuts, self.data, means=self.means and source.form == "frames")
        finally:
            source.store.close()


@contextmanager
def opened(
    feeds: Sequence[Feed], accelerator: Accelerator, config: TrainerConfig, cuts: Mapping[str, CutSet]
) -> Iterator[list[Served]]:
    """What trainers with these settings can read instead of sound, with all computed that was missing.

    feeds: of one encoder and the same data, each with needs of its own. The encoder runs once for all of them.
    accelerator: its processes share the work, and make the same choices.
    config: of the trainers, which says how much they will read.
    cuts: the rows of each split.
    """
    rank, world = accelerator.process_index, accelerator.num_processes
    feeds = [replace(feed, device=accelerator.device) for feed in feeds]
    splits = {split: _used(rows, feeds[0].data) if split == "train" else rows for split, rows in cuts.items()}
    found: list[Any] = [[feed.choose(list(splits.values())) for feed in feeds] if rank == 0 else None]
    choices: list[Choice] = broadcast_object_list(found)[0]
    sources: dict[Any, FeatureSource] = {}
    served: list[Served] = []
    for feed, choice in zip(feeds, choices, strict=True):
        key = choice.form, feed.task.interface.layers_read
        if rank == 0:
            _log.info("Features: %s (%s).", choice.form, choice.why)
        if choice.form != "off" and key not in sources:
            sources[key] = feed.source(choice.form, world, next(iter(sources.values()), None))
        served.append(Served(choice.form, sources.get(key), cuts, feed.data, feed.means and choice.form == "frames"))
    try:
        if sources:
            _fill(list(sources.values()), splits, feeds[0].data, accelerator, config)
        yield served
    finally:
        for source in sources.values():
            source.store.close()


def _fill(
    sources: Sequence[FeatureSource],
    splits: Mapping[str, CutSet],
    data: LoaderConfig,
    accelerator: Accelerator,
    trainer: TrainerConfig,
) -> None:
    """Compute what is missing, a share in each process."""
    rank, world = accelerator.process_index, accelerator.num_processes
    surveys = {split: joint_survey([source.survey(rows) for source in sources]) for split, rows in splits.items()}
    accelerator.wait_for_everyone()  # nobody adds to the cache while others look at what it holds
    for split, survey in surveys.items():
        # Where training ends before its first epoch does, rows are computed when they are read.
        if survey.missing_rows and not (split == "train" and _num_epochs(survey, data, trainer) < 1):
            if rank == 0:
                _log.info("%s", announcement(split, survey))
            first, *others = sources
            total_s = survey.missing_s / world
            first.extract(
                splits[split], share=(rank, world), num_workers=data.num_workers, total_s=total_s, others=others
            )
    accelerator.wait_for_everyone()
    for source in sources:
        source.store.refresh()


def _used(rows: CutSet, data: LoaderConfig) -> CutSet:
    shortest_s = data.min_duration_s
    return rows.filter(lambda cut: cut.duration >= shortest_s) if shortest_s else rows


def _num_epochs(survey: Survey, data: LoaderConfig, trainer: TrainerConfig) -> float:
    """About how often training reads each row."""
    per_epoch = survey.num_rows / (data.batch_size or survey.num_rows)
    if data.max_duration_s is not None:
        per_epoch = max(per_epoch, survey.audio_s / data.max_duration_s)
    return trainer.steps * trainer.batches_per_step / max(per_epoch, 1)
