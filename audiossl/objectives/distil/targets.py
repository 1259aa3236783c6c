"""What of a teacher's states a student is to predict: at the student's frames, normalised where asked.

A teacher that always reads 30 s, such as Whisper, puts into its states where in the window a frame is: 12 to 40 % of
the variance of the middle layers of Whisper tiny. The mean of each place is therefore taken away. A student that sees
crops could not know it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audiossl.core.errors import TrainingError
from audiossl.nn.masking import valid_frames
from audiossl.objectives.distil.teacher import TeacherStates

# A place that few frames were at has a mean that is mostly that of all places.
_PRIOR_FRAMES = 5
_RATIO_TOLERANCE = 1e-6


def frame_places(states: TeacherStates, ratio: float, size: int) -> tuple[Tensor, Tensor]:
    """Where in the teacher's frames a student's frames lie, and which of them the teacher has.

    states: of the teacher.
    ratio: teacher frames in a student frame.
    size: T, student frames of the batch.
    Returns places (B, T), float, whole where the ratio is 1, and valid (B, T) bool.
    """
    first = states.first.round() if is_whole(ratio) else states.first
    places = first[:, None] + ratio * torch.arange(size, device=first.device)
    last = (states.frames - 1)[:, None]
    return places.minimum(last.to(places)), places <= last + 0.5


def is_whole(ratio: float) -> bool:
    """Whether student and teacher have as many frames a second."""
    return abs(ratio - 1) < _RATIO_TOLERANCE


def at_places(layer: Tensor, places: Tensor, ratio: float) -> Tensor:
    """States at places, between two frames the mix of both.

    layer: (B, T', D).
    places: (B, T) among the T' frames.
    ratio: teacher frames in a student frame.
    Returns (B, T, D), float32.
    """
    low = places.floor()
    found = _take(layer, low.long()).float()
    if is_whole(ratio):
        return found
    share = (places - low)[..., None]
    above = _take(layer, (low.long() + 1).clamp(max=layer.shape[1] - 1)).float()
    return torch.lerp(found, above, share)


def _take(x: Tensor, frames: Tensor) -> Tensor:
    return x.gather(1, frames[..., None].expand(-1, -1, x.shape[-1]))


class TargetNorm(nn.Module):
    """(x - mean of its place) / deviation, dimension by dimension, of a layer of the teacher.

    width: D.
    num_places: P, places from the first frame on that have a mean of their own. All later ones share one.
    """

    place_mean: Tensor
    deviation: Tensor
    fitted: Tensor

    def __init__(self, width: int, num_places: int) -> None:
        super().__init__()
        self.register_buffer("place_mean", torch.zeros(num_places + 1, width))
        self.register_buffer("deviation", torch.ones(width))
        self.register_buffer("fitted", torch.tensor(False))
        self._is_fitted = False  # as `fitted`, without asking the device again

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        """(B, T, D) at places (B, T) -> (B, T, D)."""
        self._is_fitted = self._is_fitted or bool(self.fitted)
        if not self._is_fitted:
            raise TrainingError("The targets' statistics have not been fitted; call `fit` on training batches first.")
        return (x - self.place_mean[self._row_of(places)]) / self.deviation

    def _row_of(self, places: Tensor) -> Tensor:
        return places.round().long().clamp(0, len(self.place_mean) - 1)


class TargetMoments:
    """Sums for a `TargetNorm`, in float64, over frames that arrive in batches. norm: what they are for."""

    def __init__(self, norm: TargetNorm) -> None:
        self.norm = norm
        rows, width = norm.place_mean.shape
        where: dict[str, torch.device | torch.dtype] = {"device": norm.place_mean.device, "dtype": torch.float64}
        self.count = torch.zeros(rows, **where)  # type: ignore[call-overload]
        self.sum, self.square = torch.zeros(rows, width, **where), torch.zeros(width, **where)  # type: ignore[call-overload]

    def add(self, x: Tensor, places: Tensor, valid: Tensor) -> None:
        """x (B, T, D) at places (B, T), of which valid (B, T) counts."""
        frames, rows = x[valid].double(), self.norm._row_of(places[valid])
        self.count.index_add_(0, rows, torch.ones_like(rows, dtype=torch.float64))
        self.sum.index_add_(0, rows, frames)
        self.square += frames.square().sum(0)

    def finish(self) -> None:
        """Set the norm's statistics. Raises TrainingError where there were no frames or they do not vary."""
        total = self.count.sum()
        if not total:
            raise TrainingError("The training data have no frames to take the teacher's statistics of.")
        overall = self.sum.sum(0) / total
        mean = (self.sum + _PRIOR_FRAMES * overall) / (self.count + _PRIOR_FRAMES)[:, None]
        # E (x - m)^2 = E x^2 - 2 E x m + E m^2, the mean m being that of the frame's place.
        crossed = (self.sum * mean).sum(0) / total
        squared = (self.count[:, None] * mean.square()).sum(0) / total
        variance = self.square / total - 2 * crossed + squared
        if bool((variance <= 1e-12).all()):
            raise TrainingError("The teacher gives the same states for all frames; check it and the training data.")
        self.norm.place_mean.copy_(mean)
        self.norm.deviation.copy_(variance.clamp(min=1e-8).sqrt())
        self.norm.fitted.fill_(True)


def counted_frames(frames: Tensor, size: int, of_teacher: Tensor) -> Tensor:
    """(B, T) bool: real frames of the student, (B,) of them, that the teacher has as well, (B, T)."""
    return valid_frames(frames, size) & of_teacher
