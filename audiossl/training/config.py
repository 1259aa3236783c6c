"""Settings of training."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Count, CountOrZero, NonNegative, Positive, Range, Share, ShareBelowOne, check_ranges

TRACKERS_NAME = "trackers.json"  # in a run folder: its runs in trackers


@dataclass(frozen=True)
class TrainerConfig:
    """The optimizer, its schedule, and what is evaluated and saved when."""

    steps: Count = 2000
    """Updates of the parameters in all."""
    batches_per_step: Count = 1
    """Batches in one update, over all processes."""
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    """What makes an update of the gradients."""
    lr: Positive = 1e-3
    """Peak learning rate."""
    betas: tuple[ShareBelowOne, ShareBelowOne] = (0.9, 0.999)
    """Decay rates of the two moments of adam and adamw, the first of which is the momentum of sgd."""
    weight_decay: NonNegative = 0.0
    """Weight decay of matrices, which spares biases and normalisation. 0 for none."""
    clip: NonNegative = 1.0
    """Largest L2 norm of the gradient. 0 for any."""
    schedule: Literal["constant", "linear", "cosine", "inverse_sqrt", "tri_stage", "stable_decay"] = "constant"
    """Course of the learning rate after the warm-up. 'tri_stage' holds the peak for `hold_share` of all steps and then
    decays exponentially to `final_share` of it (arXiv:2006.11477, 4.3). 'stable_decay' decays linearly to 0 instead."""
    warmup_steps: CountOrZero = 0
    """First steps, in which the learning rate grows linearly to its peak. 0 for none."""
    hold_share: Share = 0.4
    """Share of all steps in which tri_stage and stable_decay hold the peak."""
    final_share: Annotated[float, Range(above=0, most=1)] = 0.05
    """Share of the peak to which tri_stage decays."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Numbers of the forward and backward pass. The parameters themselves stay fp32."""
    device: Literal["auto", "cpu"] = "auto"
    """Where it is computed: 'auto' for a GPU (CUDA, ROCm, Apple's or Intel's) where there is one, or 'cpu'."""
    sharding: Literal["none", "full"] = "none"
    """What several processes share beside the batches: 'none' for nothing, or 'full' for parameters, gradients and the
    optimizer's state, of which each holds a part (FSDP, for pre-training)."""
    eval_every: CountOrZero = 200
    """Steps between evaluations on dev. 0 for one at the end only."""
    save_every: Count = 200
    """Steps between checkpoints that a run can go on from."""
    log_every: Count = 10
    """Steps between lines of the log."""
    trackers: list[str] = field(default_factory=list)
    """Trackers that follow the log, by accelerate's names: wandb, mlflow, trackio, and others. Empty for none."""
    tracker_project: str = "audiossl"
    """The project of the trackers, which MLflow calls an experiment."""
    average_best: CountOrZero = 0
    """Also write the mean of the weights of that many best evaluations. 0 for none."""
    patience: CountOrZero = 0
    """Stop after that many evaluations without a better one. 0 for never."""
    max_nonfinite: Count = 10
    """Consecutive steps with a non-finite loss or gradient, each skipped, before giving up."""

    def __post_init__(self) -> None:
        check_ranges(self, "trainer")


@dataclass(frozen=True)
class DistillConfig:
    """Distillation in the steps of fine-tuning (OS-KDFT). `distill: hubert_base` is short for `teacher: hubert_base`.

    Each batch of the task has a batch of unlabelled sound beside it, of which the encoder under the head, the student,
    predicts the hidden states of a frozen teacher.
    """

    SHORT: ClassVar[str] = "teacher"

    teacher: str = ""
    """The teacher, by a name, a path or any reference of an encoder. Empty for no distillation."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of the objective, which `audiossl config objective:distil` lists: pairs of layers, copy_layers to begin
    with the teacher's weights, cosine, states, and others."""
    weight: NonNegative = 1.0
    """What the loss of distillation is multiplied by. With 0 nothing is distilled, and copy_layers alone remains."""
    data: str = ""
    """Folder whose train.jsonl.gz has the unlabelled sound, or such a manifest. Empty for the task's training rows."""
    curriculum: bool = False
    """Whether rows of `data` give way to the task's, each with a probability that grows over the steps from 0 to 1."""

    def __post_init__(self) -> None:
        check_ranges(self, "distill")
        if "teacher" in self.options:
            raise ConfigError("distill.options names a teacher; give it by distill.teacher.")
        if self.curriculum and not self.data:
            raise ConfigError("distill.curriculum=true goes from distill.data to the task's rows; name such data.")

    @property
    def manifest(self) -> Path:
        """The manifest of the unlabelled sound, where `data` names one."""
        path = Path(self.data)
        return path if path.name.endswith((".jsonl", ".jsonl.gz")) else path / "train.jsonl.gz"


@dataclass(frozen=True)
class AdversaryConfig:
    """An adversary that tells a column from the head's vectors, and whose gradient is reversed.

    `adversary: speaker` is short for `field: speaker`. Ganin and Lempitsky, 2015, arXiv:1409.7495. Against speakers in
    emotion recognition: Gat et al., 2022, arXiv:2202.01252.
    """

    SHORT: ClassVar[str] = "field"

    field: str = ""
    """What the head's vectors are not to tell: 'speaker' or another column of the training rows. Empty for no
    adversary. Evaluations then say how well a fresh probe tells it."""
    weight: NonNegative = 1.0
    """What the reversed gradient is multiplied by. With 0 the run is that without an adversary, and is probed."""
    schedule: Literal["constant", "linear", "sigmoid"] = "constant"
    """Course of the weight over the steps: 'constant', 'linear' from 0, or 'sigmoid', which is 2 / (1 + exp(-10 p)) - 1
    after the share p of all steps."""
    reaches: Literal["head", "encoder"] = "head"
    """What the reversed gradient reaches: 'head' with its interface, or 'encoder' for that and what of the encoder
    trains."""
    hidden: list[Count] = dataclasses.field(default_factory=list)  # `field` is the setting here
    """Widths of hidden layers of the adversary. Empty for a linear one."""

    def __post_init__(self) -> None:
        check_ranges(self, "adversary")

    @property
    def trains(self) -> bool:
        """Whether there is an adversary in training."""
        return bool(self.field) and self.weight > 0

    def weight_at(self, share: float) -> float:
        """The weight after a share of all steps."""
        courses = {"constant": 1.0, "linear": share, "sigmoid": 2 / (1 + math.exp(-10 * share)) - 1}
        return self.weight * courses[self.schedule]
