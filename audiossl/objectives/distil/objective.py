"""A small student that predicts layers of a frozen teacher (DistilHuBERT, arXiv:2110.01900, section 3).

A linear head on a layer of the student predicts a layer of the teacher. Of a frame with the prediction p and the state
h, each of D numbers, the loss is

    1 / D sum |p - h| - lambda log sigmoid(cos(p, h)),

averaged over the pairs of layers. The teacher hears what the student hears, or the sound as it was before it was
changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiossl.core.errors import CheckpointError, ConfigError
from audiossl.core.ranges import Count, CountOrZero, NonNegative, Seed, ShareBelowOne, check_ranges
from audiossl.core.types import Batch, Loss
from audiossl.encoders.frame_encoder import FrameEncoder
from audiossl.encoders.upstream import Upstream
from audiossl.nn.augmentations import Augmentation, AugmentationConfig
from audiossl.nn.linear import project
from audiossl.nn.span_masks import draw_span_masks
from audiossl.objectives.distil.targets import TargetMoments, TargetNorm, at_places, counted_frames, frame_places
from audiossl.objectives.distil.teacher import Teacher, TeacherStates, layer_number
from audiossl.training.objective import Objective, Surroundings

_FINGERPRINT = "teacher_fingerprint"
_PARTS = ("local_features", "embed", "contextualize", "mask_embedding")


@dataclass(frozen=True)
class DistilConfig:
    """Defaults: DistilHuBERT's, but for the teacher, which has none."""

    teacher: str = ""
    """The teacher, by a name, a path or any reference of an encoder."""
    teacher_options: dict[str, Any] = field(default_factory=dict)
    """Options of the teacher."""
    pairs: list[Any] = field(default_factory=lambda: [[-1, 4], [-1, 8], [-1, 12]])
    """Which layer of the student predicts which layer of the teacher, as [student, teacher]. Negative numbers count
    from the end."""
    cosine: NonNegative = 1.0
    """Weight lambda of the cosine term beside the L1 term."""
    copy_layers: bool = False
    """Whether the student begins with those weights of the teacher whose names and shapes are its own."""
    states: Literal["auto", "cache", "online"] = "auto"
    """Where the teacher's states come from: computed once for whole rows and kept, or computed in every step. 'auto' is
    'cache' on a CPU where neither sound nor speed is changed."""
    standardize: bool = False
    """Whether each dimension of the targets is brought to mean 0 and variance 1 by training data."""
    num_places: CountOrZero = 0
    """Frames from the start of the teacher's input whose mean is taken from the targets, place by place, with
    standardize. 1500 for Whisper, which knows where in its 30 s a frame is. 0 for one mean."""
    fit_batches: Count = 200
    """Batches from which these statistics are taken."""
    mask_prob: ShareBelowOne = 0.0
    """Share of the student's frames that masked spans would cover if none overlapped. 0 for none."""
    mask_span: Count = 10
    """Frames of such a span."""
    augment: AugmentationConfig = field(default_factory=AugmentationConfig)
    """How the sound is changed in training."""
    teacher_hears: Literal["same", "clean"] = "same"
    """Whether the teacher hears the changed sound, or the sound as it was."""
    seed: Seed = 0
    """Seed of all draws."""

    def __post_init__(self) -> None:
        check_ranges(self)
        whole = all(isinstance(pair, list | tuple) and [type(n) for n in pair] == [int, int] for pair in self.pairs)
        if not self.pairs or not whole:
            raise ConfigError(f"pairs={self.pairs} must list [student layer, teacher layer], for instance [[-1, 12]].")
        if self.num_places and not self.standardize:
            raise ConfigError(
                "num_places takes the mean of each place from standardised targets; set standardize=true."
            )
        if self.states == "cache" and self.augment.changes and self.teacher_hears == "same":
            raise ConfigError("The cache has no states of changed sound; set states=online or teacher_hears=clean.")


class DistilObjective(Objective):
    """A student under linear heads, one for each pair of layers."""

    Config = DistilConfig

    def __init__(self, upstream: Upstream, config: DistilConfig | None = None) -> None:
        super().__init__(upstream)
        self.config = config = config or DistilConfig()
        self.teacher = Teacher(config.teacher, config.teacher_options, [pair[1] for pair in config.pairs])
        self.pairs = [
            (
                layer_number(student, upstream.num_layers, "student"),
                layer_number(teacher, self.teacher.encoder.num_layers, "teacher"),
            )
            for student, teacher in config.pairs
        ]
        self.heads = nn.ModuleList(
            nn.Linear(upstream.widths[student], self.teacher.width(teacher)) for student, teacher in self.pairs
        )
        if config.standardize:
            norms = {str(n): TargetNorm(self.teacher.width(n), config.num_places) for n in self.teacher.layers}
            self.norms = nn.ModuleDict(norms)
        self.augmentation = Augmentation(config.augment, upstream.sample_rate_hz)
        if config.mask_prob and (missing := [part for part in _PARTS if not hasattr(upstream, part)]):
            raise ConfigError(
                f"mask_prob needs a student with {', '.join(_PARTS)}, and {upstream.display_name} has no "
                f"{', '.join(missing)}; set mask_prob=0."
            )
        if config.copy_layers:
            copy_weights(self.teacher.encoder, upstream)

    @property
    def item_wise(self) -> bool:
        return self.augmentation.item_wise or not self.training

    @property
    def may_skip_parameters(self) -> bool:
        """Layers above the last that predicts have no gradient, nor has a mask embedding where nothing is masked."""
        unused = bool(self.upstream.training_only) and not self.config.mask_prob
        return super().may_skip_parameters or unused or self.up_to_layer < self.upstream.num_layers - 1

    @property
    def up_to_layer(self) -> int:
        return max(student for student, _ in self.pairs)

    @property
    def frame_ratio(self) -> float:
        """Teacher frames in a student frame."""
        return self.teacher.encoder.frame_rate_hz / self.upstream.frame_rate_hz

    def prepare(self, surroundings: Surroundings) -> None:
        """Let the teacher's states be computed once, where that is asked for or changes nothing on a CPU."""
        config = self.config
        clean = not config.augment.changes or config.teacher_hears == "clean"
        unchanged = clean and not surroundings.data.changed_sound
        auto = config.states == "auto" and unchanged and surroundings.device.type == "cpu"
        if auto or config.states == "cache":
            self.teacher.keep(surroundings)

    def loss(self, batch: Batch) -> Loss:
        """The mean over real frames that teacher and student have both."""
        heard = self._changed(batch)
        states = self.teacher.states(heard if self.config.teacher_hears == "same" else batch, self._rate)
        layers, frames = self._student(heard)
        size = layers[-1].shape[1]
        places, of_teacher = frame_places(states, self.frame_ratio, size)
        counted = counted_frames(frames, size, of_teacher)
        count = counted.sum()
        totals = torch.zeros(2, device=batch.wavs.device)
        for (student, teacher), head in zip(self.pairs, self.heads, strict=True):
            target = self._target(states, teacher, places)
            parts = frame_losses(project(head, layers[student]), target)  # (2, B, T)
            totals = totals + torch.where(counted, parts, 0.0).sum((1, 2)) / count.clamp(min=1)
        distance, angle = totals / len(self.pairs)
        logs = {"distance": distance.detach(), "angle": angle.detach()}
        return Loss(distance + self.config.cosine * angle, count.to(distance.dtype), logs)

    @property
    def _rate(self) -> int:
        return self.upstream.sample_rate_hz

    def _changed(self, batch: Batch) -> Batch:
        if not (self.training and self.config.augment.changes):
            return batch
        draws = self.draws(batch, self.config.seed, "sound")
        return replace(batch, wavs=self.augmentation(batch.wavs, batch.lengths, draws))

    def _student(self, batch: Batch) -> tuple[list[Tensor], Tensor]:
        """Layers (B, T, D) of the student up to the last that predicts, and how many frames are real (B,)."""
        last = self.up_to_layer
        if not self.config.mask_prob:
            features = self.upstream(batch.wavs, batch.lengths, up_to_layer=last)
            return list(features.layers), features.lengths
        encoder, frames = cast(FrameEncoder, self.upstream), self.upstream.num_frames(batch.lengths)
        x = encoder.embed(encoder.local_features(batch.wavs, batch.lengths))
        draws = self.draws(batch, self.config.seed, "mask")
        masked = draw_span_masks(frames.tolist(), x.shape[1], self.config.mask_prob, self.config.mask_span, draws)
        x = torch.where(masked.to(x.device)[..., None], encoder.mask_embedding.to(x.dtype), x)
        return encoder.contextualize(x, frames, last), frames

    def _target(self, states: TeacherStates, layer: int, places: Tensor) -> Tensor:
        target = at_places(states.layers[layer], places, self.frame_ratio)
        return self.norms[str(layer)](target, places) if self.config.standardize else target

    @property
    def needs_fit(self) -> bool:
        unfitted = self.config.standardize and not all(bool(norm.fitted) for norm in self.norms.values())
        return super().needs_fit or unfitted

    def fit(self, batches: Iterable[Batch]) -> None:
        """Statistics of the student's input, and of the targets where they are standardised."""
        if super().needs_fit:
            super().fit(batches)
        if not self.config.standardize:
            return
        moments = {int(name): TargetMoments(cast(TargetNorm, norm)) for name, norm in self.norms.items()}
        for batch in islice(batches, self.config.fit_batches):
            states = self.teacher.states(batch, self._rate)
            frames = self.upstream.num_frames(batch.lengths)
            size = self.upstream.num_frames(batch.wavs.shape[1])
            places, of_teacher = frame_places(states, self.frame_ratio, size)
            for layer, sums in moments.items():
                target = at_places(states.layers[layer], places, self.frame_ratio)
                sums.add(target, places, counted_frames(frames, size, of_teacher))
        for sums in moments.values():
            sums.finish()

    def trainable_state(self) -> dict[str, Tensor]:
        """Student, heads and statistics. Of the teacher there is the fingerprint alone."""
        return {**super().trainable_state(), _FINGERPRINT: as_tensor(self.teacher.fingerprint)}

    def load_trainable_state(self, state: dict[str, Tensor]) -> None:
        """Inverse of `trainable_state`. Raises CheckpointError also where the teacher was another one."""
        if _FINGERPRINT not in state:
            raise CheckpointError(
                "The checkpoint does not say by which teacher it was trained: it is of no distillation."
            )
        self.teacher.require_same(bytes(state[_FINGERPRINT].tolist()).decode("ascii"))
        super().load_trainable_state(state)


def frame_losses(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference, and -log sigmoid of the cosine, of each frame (B, T, D) -> (2, B, T), float32."""
    with torch.autocast(predicted.device.type, enabled=False):
        predicted, target = predicted.float(), target.float()
        distance = (predicted - target).abs().mean(-1)
        angle = -F.logsigmoid(F.cosine_similarity(predicted, target, dim=-1))
        return torch.stack([distance, angle])


def copy_weights(teacher: Upstream, student: Upstream) -> list[str]:
    """Give a student the teacher's tensors of the same names and shapes. Returns the names.

    Raises ConfigError where there are none.
    """
    theirs = teacher.state_dict()
    shared = {
        name: theirs[name]
        for name, value in student.state_dict().items()
        if name in theirs and theirs[name].shape == value.shape
    }
    if not shared:
        raise ConfigError(
            f"No weights of the teacher {teacher.display_name} fit the student {student.display_name}: they are of "
            f"different families; set copy_layers=false."
        )
    student.load_state_dict(shared, strict=False)
    return sorted(shared)


def as_tensor(text: str) -> Tensor:
    """ASCII as bytes, for a file of tensors."""
    return torch.tensor(list(text.encode("ascii")), dtype=torch.uint8)
