"""The feature cache of an experiment: what is chosen, computed before training and read in every epoch."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

from audiossl.core.types import Batch, BatchSource
from audiossl.data.augmenting import CopyChange
from audiossl.data.config import LoaderConfig
from audiossl.data.copies import marked, of_copy
from audiossl.data.draws import as_used
from audiossl.data.loader import augmentations_of
from audiossl.data.stream import StreamPlan
from audiossl.experiments.config import Experiment
from audiossl.experiments.feature_form import FormChoice, choose_form, why_not, why_not_pooled
from audiossl.features.access import announcement, cached_batches, open_states
from audiossl.features.config import CacheConfig, FeaturesSetting, Form
from audiossl.features.contract import StateSource, Survey, joint_survey
from audiossl.training.config import TrainerConfig
from audiossl.training.downstream import Downstream

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SharedFeatures:
    """Hidden states for any number of heads that need the same of the encoder.

    form: in which they are stored, 'off' where each head runs the encoder itself.
    source: what gives them. None where form is 'off'.
    cuts: the rows by split.
    data: how rows become batches.
    means: whether the heads get the mean over time of frames that are stored.
    copies: how many changed copies of each training row come in turn.
    """

    form: Form
    source: StateSource | None
    cuts: Mapping[str, CutSet]
    data: LoaderConfig
    means: bool = False
    copies: int = 0

    @property
    def vectors(self) -> bool:
        """Whether a recording is one vector for each layer, its mean over time."""
        return self.form == "pooled" or self.means

    def batches(self, split: str, seed: int) -> BatchSource | None:
        """Batches of `train` (endless, shuffled) or of another split, for a trainer. None where form is 'off'."""
        source, cuts = self.source, self.cuts[split]
        if source is None:
            return None
        plan = StreamPlan.of(source.upstream, self.data, seed=seed, train=split == "train", copies=self.copies)
        return lambda start, rank, world: cached_batches(source, cuts, plan.at(start, rank, world), means=self.means)


@dataclass(frozen=True)
class FeatureNeeds:
    """What a task needs to read its batches from the cache.

    task: the head on its encoder.
    fingerprint: of the encoder.
    data: how rows become batches.
    cache: where the cache is, how large it may be and in which type it keeps hidden states.
    asked: `features` of the experiment.
    form: of an earlier part of the same run, which stays. None where there is none.
    precision: of autocast.
    device: where the encoder runs.
    change: makes the sound of changed copies. None where no row is one.
    """

    task: Downstream
    fingerprint: str
    data: LoaderConfig
    cache: CacheConfig
    asked: FeaturesSetting
    form: Form | None = None
    precision: str = "fp32"
    device: torch.device | str = "cpu"
    change: CopyChange | None = None

    def check(self) -> None:
        """Raise ConfigError, before anything is computed, for a cache that would change the result."""
        choose_form(self.asked, self.task, self.data, lambda form: True, self.cache.copies)

    def choose_form(self, splits: Sequence[CutSet]) -> FormChoice:
        """The form for the rows of these splits together. Raises ConfigError as `check` does."""
        if self.form:
            return FormChoice(self.form, "as in the run so far")

        def fits(form: Form) -> bool:
            source = self.open_source(form)
            missing = sum(source.survey(rows).missing_bytes for rows in splits)
            source.close()
            return missing <= source.room

        return choose_form(self.asked, self.task, self.data, fits, self.cache.copies)

    def open_source(self, form: Form, world: int = 1, beside: StateSource | None = None) -> StateSource:
        """Hidden states of the layers that the task's interface reads, of an upstream that trains those that stay.

        form: in which they are stored.
        world: processes that share the budget.
        beside: another source of the same run, which shares the budget too.
        """
        return open_states(
            self.task.frozen_part or self.task.upstream,
            self.fingerprint,
            self.cache,
            form,
            layers=self.layers,
            precision=self.precision,
            device=self.device,
            world=world,
            beside=beside,
            change=self.change,
        )

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers that are kept: of the upstream, or of what of it stays."""
        read, part = self.task.interface.layers_read, self.task.frozen_part
        return read if part is None else part.layers_for(read)

    @property
    def means(self) -> bool:
        """Whether the mean over time is all that is needed, also of frames."""
        return not why_not_pooled(self.task)

    @property
    def loading(self) -> LoaderConfig:
        """How rows become batches. Where a recording can be one vector, nothing is padded: batches are random.

        That follows from the task and the data alone, so that batches are the same in every form and with it off.
        """
        one_vector = self.means and not why_not(self.task, self.data, self.cache.copies)
        return replace(self.data, num_buckets=1) if one_vector else self.data

    def evaluation_batches(self, cuts: CutSet) -> Iterator[Batch] | None:
        """Batches of one pass over the rows, from the cache. None where it is off, or too small for them."""
        choice = self.choose_form([cuts])
        if choice.form == "off":
            return None
        source = self.open_source(choice.form)
        survey = source.survey(cuts)
        if survey.missing_bytes > source.room:
            source.close()
            return None
        return self._one_pass(source, cuts, survey)

    def _one_pass(self, source: StateSource, cuts: CutSet, survey: Survey) -> Iterator[Batch]:
        try:
            source.extract(cuts, num_workers=self.data.num_workers, total_s=survey.missing_s)
            plan = StreamPlan.of(source.upstream, self.data)
            yield from cached_batches(source, cuts, plan, means=self.means and source.form == "frames")
        finally:
            source.close()


def needs_of(config: Experiment, task: Downstream, fingerprint: str, form: Form | None) -> FeatureNeeds:
    """What a head needs of the cache in training.

    config: the completed configuration.
    task: the head on its encoder.
    fingerprint: of the encoder.
    form: which an earlier part of the run used. None where there is none.
    """
    return FeatureNeeds(task, fingerprint, config.data, config.cache, config.features, form, config.trainer.precision)


@contextmanager
def open_features(
    needs: Sequence[FeatureNeeds], accelerator: Accelerator, trainer: TrainerConfig, cuts: Mapping[str, CutSet]
) -> Iterator[list[SharedFeatures]]:
    """What trainers can read instead of sound, one for each of `needs`, with all computed that was missing.

    The choices are the same in every process.

    needs: of one encoder and the same data, each of another kind. The encoder runs once for all of them.
    accelerator: which process this is, of how many, and on which device.
    trainer: the settings that say how often each row will be read.
    cuts: the rows of `train` and `dev`.
    Raises ConfigError for a cache that would change the result.
    """
    rank, world = accelerator.process_index, accelerator.num_processes
    data, copies = needs[0].data, needs[0].cache.copies
    change = _copy_change(needs[0], cuts["train"]) if copies else None
    needs = [replace(each, device=accelerator.device, change=change) for each in needs]
    passes = passes_of(cuts, data, copies)
    # One process looks at what is missing and what fits, since the others might see another moment of the disk.
    found: list[Any] = [[each.choose_form([one.rows for one in passes]) for each in needs] if rank == 0 else None]
    choices: list[FormChoice] = broadcast_object_list(found)[0]
    sources: dict[Any, StateSource] = {}
    features: list[SharedFeatures] = []
    for each, choice in zip(needs, choices, strict=True):
        key = choice.form, each.layers
        if rank == 0:
            _log.info("Features: %s (%s).", choice.form, choice.why)
        if choice.form != "off" and key not in sources:
            sources[key] = each.open_source(choice.form, world, next(iter(sources.values()), None))
        means = each.means and choice.form == "frames"
        features.append(SharedFeatures(choice.form, sources.get(key), cuts, each.loading, means, copies))
    # Stores are closed however training ends, so that what was added last is not lost.
    try:
        if sources:
            fill(list(sources.values()), passes, data, accelerator, trainer)
        yield features
    finally:
        for source in sources.values():
            source.close()


class Pass(NamedTuple):
    """Rows that the encoder runs over once.

    what: they are called.
    rows: with ids of which none comes twice.
    epoch: of training, which reads them first. None for rows of evaluations.
    """

    what: str
    rows: CutSet
    epoch: int | None


def passes_of(cuts: Mapping[str, CutSet], data: LoaderConfig, copies: int = 0) -> list[Pass]:
    """What the encoder runs over: the rows of each split, and in their place the copies of those of `train`.

    cuts: the rows by split.
    data: how rows become batches.
    copies: how many changed copies of each training row are kept.
    """
    passes = []
    for split, rows in cuts.items():
        if split != "train":
            passes.append(Pass(split, rows, None))
            continue
        used = rows_used(rows, data)
        passes += [Pass(split, used, 0)] if not copies else []
        for number in range(copies):
            passes.append(Pass(f"{split} (copy {number + 1} of {copies})", _copies(used, data, number), number))
    return passes


def _copies(rows: CutSet, data: LoaderConfig, number: int) -> CutSet:
    """The rows as copies of a number, each made when it is met."""

    def copied(cut: Cut) -> Cut:
        used = as_used(cut, data, of_copy(number))
        return marked(used, number) if data.augment else used

    return rows.map(copied)


def _copy_change(needs: FeatureNeeds, rows: CutSet) -> CopyChange | None:
    """What makes the sound of copies of the training rows. None where it stays."""
    augmentations = augmentations_of(rows, StreamPlan.of(needs.task.upstream, needs.data, train=True))
    if augmentations is None:
        return None
    augmentations.check()
    return CopyChange(augmentations)


def fill(
    sources: Sequence[StateSource],
    passes: Sequence[Pass],
    data: LoaderConfig,
    accelerator: Accelerator,
    trainer: TrainerConfig,
) -> None:
    """Compute what is missing, a share in each process.

    sources: of one encoder, which runs once for all of them.
    passes: the rows that are used.
    data: how rows become batches.
    accelerator: which process this is, of how many.
    trainer: the settings that say how often each row will be read.
    """
    rank, world = accelerator.process_index, accelerator.num_processes
    surveys = [joint_survey([source.survey(each.rows) for source in sources]) for each in passes]
    accelerator.wait_for_everyone()  # nobody adds to the cache while others look at what it holds
    for (what, rows, epoch), survey in zip(passes, surveys, strict=True):
        # Where training ends before their epoch does, rows are computed when they are read.
        if survey.missing_rows and (epoch is None or _num_epochs(survey, data, trainer) >= epoch + 1):
            if rank == 0:
                _log.info("%s", announcement(what, survey))
            first, *others = sources
            total_s = survey.missing_s / world
            first.extract(rows, share=(rank, world), num_workers=data.num_workers, total_s=total_s, others=others)
    accelerator.wait_for_everyone()
    for source in sources:
        source.refresh()


def rows_used(rows: CutSet, data: LoaderConfig) -> CutSet:
    """The rows that are not left out of training for being short."""
    shortest_s = data.min_duration_s
    return rows.filter(lambda cut: cut.duration >= shortest_s) if shortest_s else rows


def _num_epochs(survey: Survey, data: LoaderConfig, trainer: TrainerConfig) -> float:
    """About how often training reads each row."""
    per_epoch = survey.num_rows / (data.batch_size or survey.num_rows)
    if data.max_duration_s is not None:
        per_epoch = max(per_epoch, survey.audio_s / data.max_duration_s)
    return trainer.steps * trainer.batches_per_step / max(per_epoch, 1)
