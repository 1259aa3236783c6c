"""The contract of a downstream: upstream, interface and head, with a loss and a metric."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, ClassVar, Self

import torch
from lhotse.cut import Cut
from torch import Tensor

from audiossl.core.errors import AudiosslError, ConfigError
from audiossl.core.tensors import load_strict
from audiossl.core.types import Batch, Features
from audiossl.data.config import LoaderConfig
from audiossl.encoders.devices import device_of
from audiossl.encoders.finetuning import FinetuneConfig, make_trainable, set_training_mode, without_adapters
from audiossl.encoders.frozen_part import FrozenPart, JoinedFrozenPart, frozen_part, gone_on
from audiossl.encoders.joined import JoinedUpstream
from audiossl.encoders.layers import last_layer
from audiossl.encoders.long_audio import longest_whole_s
from audiossl.encoders.long_states import long_moments
from audiossl.encoders.upstream import EncodesBatches, Upstream
from audiossl.nn.pooling import MeanPooling
from audiossl.nn.standardization import Standardization, Unit
from audiossl.training.adversary import Adversary
from audiossl.training.finite import StandardizedBatches, finite
from audiossl.training.fusion import Fused, FusionWeights, RunToFuse
from audiossl.training.interface import Interface
from audiossl.training.joined_interface import JoinedInterface
from audiossl.training.long_rows import all_frames
from audiossl.training.objective import Objective
from audiossl.training.task import ParameterGroup, Prediction, RowsOf, Task

_ADVERSARY = "adversary."  # what the names of the tensors of an adversary begin with
_DISTILLATION = "distillation."  # what the names of the tensors of a distillation in the same step begin with


class Downstream(Task):
    """A head on the sequence that an interface makes of an upstream's layers.

    `finetune` lets the upstream train too.
    A subclass has a `Config` dataclass, builds its head in the constructor and reads `self.sequence(batch)`. It writes
    `complete`, for what only the training data can say, such as the list of labels.
    keeps_embeddings: predictions of items have an `embedding`, which an evaluation keeps in the run's folder.
    keeps_emissions: they have `log_probs` (T, C), which an evaluation keeps likewise, after `keep_emissions`.
    reads_waveforms: it also reads `batch.wavs`, as a target for instance, which a feature cache does not have.
    stores_upstream: checkpoints hold all of the upstream, for more than what trains is not as it was loaded.
    """

    Config: ClassVar[type]
    keeps_embeddings: ClassVar[bool] = False
    keeps_emissions = False
    reads_waveforms: ClassVar[bool] = False

    def __init__(self, upstream: Upstream, interface: Interface) -> None:
        super().__init__()
        self.upstream = upstream.requires_grad_(False).eval()
        self.interface = interface
        self.finetuning = FinetuneConfig()
        self.stores_upstream = False
        self.distillation: Objective | None = None
        self.distil_weight = 0.0
        self.adversary: Adversary | None = None
        self._asleep = self._tells = False
        self._encoder: EncodesBatches | None = None

    def finetune(self, config: FinetuneConfig) -> None:
        """Train (a part of) the upstream as well.

        It is to be called once, before an optimizer is built.
        Raises ConfigError for an upstream that lacks what the mode needs.
        """
        if isinstance(self.upstream, JoinedUpstream) and isinstance(self.interface, JoinedInterface):
            self.upstream.read_to(self.interface.depths)
        make_trainable(self.upstream, config, self.interface.up_to_layer)
        self.finetuning = config
        self.train(self.training)

    def distil(self, objective: Objective, weight: float) -> None:
        """Train the upstream by an objective in the same step (OS-KDFT, arXiv:2305.17394).

        It reads what a batch has `beside` it, and passes over adapters. It is to be called after `finetune`, before an
        optimizer is built.

        objective: on the same upstream.
        weight: what its loss is multiplied by.
        Raises ConfigError where it reads layers above those that train.
        """
        num_layers = self.upstream.num_layers
        reads, trains = (last_layer(each.up_to_layer, num_layers) for each in (objective, self.interface))
        if reads > trains:
            raise ConfigError(
                f"The distillation reads layer {reads} of the student, and the interface none above layer {trains}, so "
                f"that nothing above it trains; choose pairs of lower layers, or an interface that reads all."
            )
        self.distillation, self.distil_weight = objective, weight
        self.train(self.training)

    def oppose(self, adversary: Adversary | None) -> None:
        """Let an adversary read the vectors of the head in training (None: nobody). It trains with the head.

        It is to be called before an optimizer is built.
        """
        self.adversary = adversary
        self.train(self.training)

    def represent(self, sequence: Tensor, lengths: Tensor) -> Tensor:
        """The vector by which the head knows an item, which an adversary reads, and a probe of it.

        sequence, lengths: as `sequence` gives them, (B, T, D) and (B,) frames.
        Returns (B, represented_width). By default the mean over time of what the head reads.
        """
        mean: Tensor = MeanPooling(sequence.shape[-1])(sequence, lengths)
        return mean

    @property
    def represented_width(self) -> int:
        """The width of what `represent` gives."""
        return self.interface.width

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The loss of a training step: with what an adversary and a distillation add, where there are any."""
        return self._taught(batch) if self.adversary is None else self.adversary.beside(self, batch, self._taught)

    def _taught(self, batch: Batch) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The loss of the task, with what a distillation adds, where there is one and the upstream trains."""
        total, weight, logs = super().forward(batch)
        if self.distillation is None or batch.beside is None or self._asleep:
            return total, weight, logs
        with without_adapters(self.upstream):
            taught = self.distillation.loss(batch.beside)
        logs = {**logs, "task_loss": total.detach(), "distil_loss": taught.total.detach()}
        logs |= {f"distil_{name}": value for name, value in taught.logs.items()}
        return total + self.distil_weight * taught.total, weight, logs

    def standardize(self) -> None:
        """Let the interface read layers that are standardised by training rows, which `fit` then estimates.

        It is to be called once. Where the head needs no more than means over time, their deviations are what it sees.
        Else those of frames are. An encoder that trains starts from them, and they stay.
        """
        interface = self.interface
        unit: Unit = "recordings" if self.commutes_with_mean and interface.commutes_with_mean else "frames"
        interface.standardization = Standardization(interface.widths, interface.layers_read, unit)

    @property
    def upstream_is_frozen(self) -> bool:
        """True where it never trains, so that its hidden states may be kept (`freeze_steps` does not make it so)."""
        return self.finetuning.mode == "none"

    @property
    def frozen_part(self) -> FrozenPart | JoinedFrozenPart | None:
        """What of an upstream that trains stays as it was loaded. None for nothing, and where it is frozen."""
        return None if self.upstream_is_frozen else frozen_part(self.upstream)

    @property
    def encoder(self) -> EncodesBatches:
        """What is asked for hidden states: the upstream, or what was given to `encode_by`."""
        return self._encoder or self.upstream

    def encode_by(self, encoder: EncodesBatches | None) -> None:
        """Let `encoder` answer for the frozen upstream, as that would, or let the upstream answer again (None).

        Heads that share an upstream may so share its answers (`audiossl.training.shared_pass`).
        """
        self._encoder = encoder

    @property
    def commutes_with_mean(self) -> bool:
        """True where loss and predictions need no more of the sequence than its masked mean over time.

        The feature cache may then keep one mean for each recording: T = 1, with a length of 1.
        """
        return False

    @property
    def stackable(self) -> bool:
        """True where the loss is a function of parameters and batch and nothing else: no dropout, no drawn mask.

        Heads that differ in their learning rates alone may then be computed as one, by `torch.func.vmap`.
        """
        return False

    @property
    def longest_s(self) -> float | None:
        """Rows that last longer are given to `predict_long`, one by one. None: every row is predicted whole."""
        return None if self.reads_waveforms else longest_whole_s(self.upstream)

    def predict_long(self, cut: Cut) -> Prediction:
        """What `predict` gives, for a row longer than `longest_s`, encoded chunk by chunk.

        Where the mean over time is enough, that is all that is held. Raises AudioError where every frame is needed, and
        there are too many of them.
        """
        upstream, layers = self.upstream, self.interface.layers_read
        means = self.commutes_with_mean and self.interface.commutes_with_mean
        features = (long_moments if means else all_frames)(upstream, cut, layers)
        length = torch.tensor([round(cut.duration * upstream.sample_rate_hz)])
        batch = Batch(torch.zeros(1, 0), length, (cut,), features=features)
        with torch.no_grad():
            (prediction,) = self.predict(batch.to(device_of(upstream)))
        return prediction

    def ensemble(self, predictions: Sequence[Prediction]) -> Prediction:
        """One prediction of an item from those of several heads, such as the folds of a cross-validation."""
        raise AudiosslError(
            f"{type(self).__name__} has no way to unite the predictions of several folds; predict with one of them, a "
            f"folder below RUN/folds."
        )

    @classmethod
    def fuse(cls, runs: Sequence[RunToFuse], weights: FusionWeights) -> Fused:
        """Several runs of this task as one.

        weights: 'dev' for those that fit the predictions of dev best, 'equal' for the mean.
        Raises AudiosslError for a task without such a way.
        """
        raise AudiosslError(f"{cls.__name__} has no way to fuse the predictions of several runs.")

    @property
    def may_skip_parameters(self) -> bool:
        """Layer drop, masks that are not drawn and the first frozen steps leave parameters without a gradient."""
        return not self.upstream_is_frozen

    def begin_step(self, step: int) -> None:
        """In the first `freeze_steps` steps the upstream is as a frozen one: eval, no graph, no update."""
        asleep = step < self.finetuning.freeze_steps
        if asleep != self._asleep:
            self._asleep = asleep
            self.train(self.training)
        if self.adversary is not None:
            self.adversary.begin_step(step)

    @classmethod
    def complete_by_data(cls, config: Any, data: LoaderConfig) -> Any:
        """The configuration with what follows from how rows become batches. By default as it is. It comes first."""
        return config

    @classmethod
    @abstractmethod
    def complete(cls, config: Any, cuts: Iterable[Cut]) -> Any:
        """The configuration with everything filled in that the training data determine."""

    @abstractmethod
    def check_cuts(self, cuts: Iterable[Cut], where: str) -> None:
        """Raise LabelError, ... for rows that this task cannot use. It is called before training and evaluation."""

    def check_split(self, cuts: Iterable[Cut], split: str) -> None:
        """Like `check_cuts`, for what a task expects of train, dev or test, such as the items of a list of trials."""

    def prepare(self, rows_of: RowsOf) -> None:
        """Called before an evaluation `assemble`s a split: fit what other splits, by `rows_of`, decide."""

    def keep_emissions(self) -> None:
        """Let an evaluation keep the scores of all steps, by which it can be decoded again without the encoder.

        Raises ConfigError for a task that has none.
        """
        raise ConfigError(f"{type(self).__name__} has no scores of steps to keep; runs of asr have.")

    def train(self, mode: bool = True) -> Self:
        self.training = mode
        for child in self.children():
            if child is not self.upstream:
                child.train(mode)
        # Frozen, its dropout and running statistics stay off. It has hundreds of modules to tell so, or not to.
        training = mode and self._upstream_trains
        if training or self._tells:
            set_training_mode(self.upstream, training)
        self._tells = training
        return self

    def features(self, batch: Batch) -> Features:
        """Hidden states of the upstream in its own dtype, up to the last that the interface reads.

        Without a graph where it is frozen. Those that the batch brings are taken as they are, or gone on from.
        """
        if batch.features is not None and not batch.features.begun:
            return batch.features
        with nullcontext() if self._upstream_trains else torch.no_grad():
            if batch.features is not None:
                return gone_on(self.upstream, batch.features, self.interface.up_to_layer, batch.lengths)
            return self.encoder.of_batch(batch, up_to_layer=self.interface.up_to_layer)

    def sequence(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What the head reads: (B, T, interface.width) and its (B,) lengths in frames."""
        features = self.features(batch)
        sequence: Tensor = self.interface(features)
        if batch.features is not None:  # kept in half precision, and passed on so by an interface that only chooses
            sequence = sequence.float()
        return sequence, features.lengths

    def layer_weights(self) -> dict[str, list[float]]:
        """What each layer weighs in what the head reads, by group. By default as the interface has learnt it."""
        return self.interface.layer_weights()

    @property
    def min_frames(self) -> int:
        """The fewest frames that the head can use."""
        return 1

    def outputs(self, sequence: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """What predictions are made of, by name: what `audiossl export` gives a graph of the task as outputs.

        sequence: (B, T, interface.width).
        lengths: (B,) frames.
        Tensors (B, ...), computed of these and of the parameters alone, and nothing of them is read back.
        Raises ConfigError for a task that has none.
        """
        raise ConfigError(
            f"The predictions of {type(self).__name__} are no outputs of one graph, so that it cannot be exported; use "
            f"`audiossl predict`, or export the encoder with --encoder-only."
        )

    def output_facts(self) -> dict[str, Any]:
        """What a reader of `outputs` must know, as JSON: `labels` in the order of the last dimension, for instance."""
        return {}

    @property
    def needs_fit(self) -> bool:
        standardization = self.interface.standardization
        if self.distillation is not None and self.distillation.needs_fit:
            return True
        return self.interface.needs_fit or (standardization is not None and standardization.needs_fit)

    def fit(self, batches: Iterable[Batch]) -> None:
        """Estimate what a distillation needs, the standardisation of layers, and what the interface has to estimate.

        Raises TrainingError for hidden states that are not finite.
        """
        interface = self.interface
        if self.distillation is not None and self.distillation.needs_fit:
            self.distillation.fit(batch.beside for batch in batches if batch.beside is not None)
        if interface.standardization is not None and interface.standardization.needs_fit:
            layers = interface.layers_read
            interface.standardization.fit(finite(self.features(batch), batch, layers) for batch in batches)
        if interface.needs_fit:
            interface.fit(StandardizedBatches(self.features, interface.standardized, batches))

    def parameter_groups(self) -> list[ParameterGroup]:
        """The head (with the interface) and the upstream."""
        upstream = [p for p in self.upstream.parameters() if p.requires_grad]
        inside = {id(parameter) for parameter in upstream}
        head = [p for p in self.parameters() if p.requires_grad and id(p) not in inside]
        return [ParameterGroup("", head), ParameterGroup("upstream", upstream, self.finetuning.lr)]

    def carried(self, state: Mapping[str, Tensor], before: Any) -> Mapping[str, Tensor]:
        """What was trained in the stage before, as this one begins with it where names and shapes agree.

        state: as its `trainable_state` gave it.
        before: its completed Config, which may have other classes.
        """
        return state

    def trainable_state(self) -> dict[str, Tensor]:
        """Head and interface, those parameters of the upstream that train, and the heads of a distillation."""
        state = self._own_state()
        if self.distillation is not None:
            taught = self.distillation.trainable_state()
            state |= {f"{_DISTILLATION}{name}": value for name, value in taught.items() if not _is_of_upstream(name)}
        return state

    def load_trainable_state(self, state: dict[str, Tensor]) -> None:
        """Inverse of `trainable_state`. Heads of a distillation, and an adversary, are left where it has ended."""
        over = (_DISTILLATION,) if self.adversary is not None else (_DISTILLATION, _ADVERSARY)
        own = {name: value for name, value in state.items() if not name.startswith(over)}
        load_strict(self, own, expected=self._own_state(), what=type(self).__name__)
        if self.distillation is not None:
            taught = {name: value for name, value in self.distillation.state_dict().items() if _is_of_upstream(name)}
            prefix = _DISTILLATION
            taught |= {name.removeprefix(prefix): state[name] for name in state if name.startswith(prefix)}
            self.distillation.load_trainable_state(taught)

    def _own_state(self) -> dict[str, Tensor]:
        trained = {f"upstream.{name}" for name, p in self.upstream.named_parameters() if p.requires_grad}
        return {
            name: value
            for name, value in self.state_dict().items()
            if not name.startswith(_DISTILLATION)
            and (self.stores_upstream or not _is_of_upstream(name) or name in trained)
        }

    @property
    def _upstream_trains(self) -> bool:
        """Now, that is: not in the first `freeze_steps` steps."""
        return not (self.upstream_is_frozen or self._asleep)


def _is_of_upstream(name: str) -> bool:
    return name.startswith("upstream.")
