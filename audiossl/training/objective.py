"""The contract of an objective: an upstream under a loss on unlabelled sound."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from audiossl.core.config import make
from audiossl.core.errors import ConfigError, TrainingError, did_you_mean
from audiossl.core.registry import OBJECTIVES, UPSTREAMS
from audiossl.core.types import Batch, Features, Metric
from audiossl.data.config import LoaderConfig
from audiossl.encoders.upstream import Upstream
from audiossl.nn.draws import keyed_generator
from audiossl.training.feature_statistics import fit_features, needs_statistics
from audiossl.training.task import Monitor, Prediction, Task

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut

_STATISTICS_BATCHES = 500  # more do not move a mean over frames
_GUARD_STEPS = 20  # on end, so that no single batch stops a run


class Guard(NamedTuple):
    """A figure of training that tells when an encoder collapses.

    figure: its name among the logs of the loss.
    least: below this value all is lost.
    first_step: from which it is watched.
    advice: what to change.
    """

    figure: str
    least: float
    first_step: int
    advice: str


RowStates = Callable[[Sequence["Cut"]], Features]
"""From whole rows to their hidden states. Of the layers below the last that is kept, others have no frames."""


@dataclass(frozen=True)
class Surroundings:
    """What pre-training runs in, for objectives that look beyond a batch.

    rows: the rows of train and dev, whole. A batch may have a crop of a row, under its id.
    data: how rows become batches.
    device: where it trains.
    keep_states: (encoder, layers) -> the hidden states of rows, computed once and kept in the cache of the experiment.
    """

    rows: Mapping[str, CutSet]
    data: LoaderConfig
    device: torch.device
    keep_states: Callable[[Upstream, Sequence[int]], RowStates]


class Objective(Task):
    """Trains all of `upstream`, plus whatever heads the loss needs.

    A subclass has a `Config` dataclass, takes `(upstream, config)` and writes `loss`. Validation is the loss on
    held-out sound.
    needs: what it asks of an encoder beyond the contract of `Upstream`, names such as `contextualize`. An encoder
    answers by having attributes or methods of these names. None are asked for by default: any encoder will do.
    The contract, checked by `audiossl.check_objective`: the loss of a batch is that of its items, averaged by weight.
    Padding never changes it. (`item_wise` may say otherwise.) What is random in an item comes from `draws`.
    Gradients reach every trainable parameter. Saving and loading is the identity.
    Figures named `masked_accuracy`, `majority` (the share of the most frequent target), `perplexity`, `usage`,
    `target_entropy` and `target_std` in the logs of a loss are drawn as curves.
    guards: figures by which a run is stopped when the encoder collapses.
    """

    Config: ClassVar[type]
    needs: ClassVar[tuple[str, ...]] = ()
    guards: tuple[Guard, ...] = ()
    monitor = Monitor("loss", "min")

    def __init__(self, upstream: Upstream) -> None:
        super().__init__()
        self.upstream = upstream.requires_grad_(True)
        self._below: dict[str, int] = {}  # steps on end in which a guard's figure was too small
        self._frozen: tuple[str, ...] = ()  # modules of the encoder

    @property
    def shortest_s(self) -> float:
        """Seconds of the shortest crop that it can learn from."""
        return self.upstream.min_samples / self.upstream.sample_rate_hz

    @property
    def up_to_layer(self) -> int | None:
        """The last layer of the encoder that the loss reads. None for the last there is."""
        return None

    def prepare(self, surroundings: Surroundings) -> None:
        """Called once before a training that begins or goes on, before `fit`, with what it runs in."""

    def take_heads(self, heads: Mapping[str, Tensor]) -> Sequence[str]:
        """Take what fits of what lay beside a published encoder, where training goes on from that.

        heads: under fairseq's names, such as final_proj.weight, label_embs_concat or quantizer.vars
        (`audiossl.encoders.waveform.heads`).
        Returns the names of the objective's own tensors that have their values now. None by default.
        """
        return ()

    def freeze(self, names: Sequence[str]) -> None:
        """Let parts of the encoder stay as they are, in evaluation mode. Raises ConfigError for one that it has not.

        names: of its modules, for instance `stem` or `blocks.0`.
        """
        for name in names:
            part = dict(self.upstream.named_modules()).get(name) if name else None
            if part is None:
                raise ConfigError(
                    f"freeze={list(names)}: {self.upstream.display_name} has no part {name!r}. "
                    f"{did_you_mean(name, [key for key, _ in self.upstream.named_children()])}"
                )
            part.requires_grad_(False)
        self._frozen = tuple(names)
        if not any(parameter.requires_grad for parameter in self.upstream.parameters()):
            raise ConfigError(f"freeze={list(names)} leaves nothing of {self.upstream.display_name} to train.")

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for name in self._frozen if mode else ():
            self.upstream.get_submodule(name).eval()
        return self

    @property
    def needs_fit(self) -> bool:
        return needs_statistics(self.upstream)

    def fit(self, batches: Iterable[Batch]) -> None:
        fit_features(self.upstream, islice(batches, _STATISTICS_BATCHES))

    def watch(self, step: int, figures: Mapping[str, float]) -> None:
        """Raises TrainingError where a guarded figure was too small in 20 steps on end."""
        for guard in self.guards:
            value = figures.get(guard.figure)
            low = value is not None and step >= guard.first_step and value < guard.least
            self._below[guard.figure] = self._below.get(guard.figure, 0) + 1 if low else 0
            if self._below[guard.figure] >= _GUARD_STEPS:
                raise TrainingError(
                    f"The encoder collapsed: {guard.figure} is {value:.3g} at step {step}, and was below "
                    f"{guard.least:g} in {_GUARD_STEPS} steps on end; {guard.advice}."
                )

    @property
    def item_wise(self) -> bool:
        """False where an item's loss depends on the batch that it is in.

        The loss may compare the items of a batch, or draw something once for all of them.
        """
        return True

    def draws(self, batch: Batch, seed: int, *key: object) -> list[torch.Generator]:
        """A source of random numbers for each item of the batch, for its masks, noise and crops.

        It depends on the seed, the epoch, the item's id and the key, so not on the rest of the batch. Validation draws
        the same in each epoch.
        """
        epoch = (batch.position.epoch if batch.position else 0) if self.training else -1
        names = [cut.id for cut in batch.cuts] or [str(number) for number in range(len(batch))]
        return [keyed_generator(seed, epoch, name, *key) for name in names]

    @property
    def drops_blocks(self) -> bool:
        """Whether blocks of the encoder are skipped at random in training."""
        return float(getattr(getattr(self.upstream, "config", None), "layer_drop", 0.0)) > 0

    @property
    def may_skip_parameters(self) -> bool:
        return self.drops_blocks

    def sharded_modules(self) -> list[nn.Module]:
        """The Transformer blocks of its encoders, of averaged teachers too, and before them what is a part of some.

        Raises ConfigError for layer drop.
        """
        if self.drops_blocks:
            raise ConfigError(
                "trainer.sharding=full needs the same blocks in all processes, and layer drop skips others in each; "
                "set upstream_options.layer_drop=0, or trainer.sharding=none."
            )
        encoders = [module for module in self.modules() if isinstance(module, Upstream)]
        parts = [part for encoder in encoders for part in encoder.reused_parts]
        blocks = [block for encoder in encoders for block in getattr(encoder, "blocks", ())]
        return list(dict.fromkeys([*parts, *blocks]))

    def gradient_parts(self) -> dict[str, list[nn.Parameter]]:
        """The Transformer blocks, what lies before them, and the heads of the loss."""
        blocks = {id(p) for module in getattr(self.upstream, "blocks", ()) for p in module.parameters()}
        parts: dict[str, list[nn.Parameter]] = {"front": [], "blocks": [], "heads": []}
        own = {id(p) for p in self.upstream.parameters()}
        for parameter in self.parameters():
            if parameter.requires_grad:
                name = "blocks" if id(parameter) in blocks else "front" if id(parameter) in own else "heads"
                parts[name].append(parameter)
        return {name: part for name, part in parts.items() if part}

    def predict(self, batch: Batch) -> list[Prediction]:
        loss = self.loss(batch)
        figures = {name: float(value) for name, value in loss.logs.items()}
        shared = {"loss": float(loss.total), "weight": float(loss.weight) / max(len(batch.cuts), 1), "logs": figures}
        return [{"id": cut.id, **shared} for cut in batch.cuts]

    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        """The loss and what it logs, averaged by weight."""
        figures = [{"loss": row["loss"], **row.get("logs", {})} for row in predictions]
        weights = np.array([row["weight"] for row in predictions])
        total = max(weights.sum(), 1e-12)
        names = dict.fromkeys(name for each in figures for name in each)
        values = {name: np.array([each.get(name, 0.0) for each in figures]) for name in names}
        return {name: Metric(float((value * weights).sum() / total)) for name, value in values.items()}


def load_objective(name: str, upstream: Upstream, /, **options: Any) -> Objective:
    """An objective by name on an encoder, which it will train.

    Raises UnknownNameError, and ConfigError for an unknown option or an encoder that lacks what the objective needs.
    """
    kind = OBJECTIVES.load(name)
    _check_needs(name, getattr(kind, "needs", ()), upstream)
    merged = {**OBJECTIVES.card(name).options, **options}
    objective = make(kind, merged, upstream, where=f"options of objective {name}")
    if not isinstance(objective, Objective):
        raise TypeError(f"{name} made a {type(objective).__name__}, not an Objective.")
    return objective


def _check_needs(name: str, needs: Sequence[str], upstream: Upstream) -> None:
    missing = [need for need in needs if not hasattr(upstream, need)]
    if missing:
        known = [other for other in UPSTREAMS.names() if getattr(UPSTREAMS.card(other), "objective", "") == name]
        fix = f"pre-train {' or '.join(known[:3])}" if known else "choose another encoder or another objective"
        lacks = "none of them" if len(missing) == len(needs) else f"no {', '.join(missing)}"
        raise ConfigError(
            f"Objective {name!r} needs an encoder with {', '.join(needs)}, and "
            f"{upstream.name or type(upstream).__name__!r} has {lacks}; {fix}."
        )
