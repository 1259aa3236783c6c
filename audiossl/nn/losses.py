"""Losses that tell classes apart by angles: softmax, AM-softmax and AAM-softmax, for embeddings.

The score of a class is the cosine between an embedding and the class's direction. A margin makes the right class harder
in training: cos(t) - m (AM, Wang et al., 2018, arXiv:1801.05599) or cos(t + m) (AAM, Deng et al., 2019,
arXiv:1801.07698). Scores are then scaled and go into cross entropy.

A class may have several directions, its sub-centres, of which the nearest counts (Deng et al., Sub-center ArcFace, ECCV
2020), so that a noisy recording need not be near all others. And the wrong classes that are nearest to an item may be
brought nearer still, cos(t) + m' or cos(t - m') (inter-top-k penalty, Zhao et al., 2021, arXiv:2110.05042).

speechbrain has both margins. Here only the right class is touched, so that no matrix of (B, C) one-hot targets is made,
and importing them does not take seconds. The tests compare.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiossl.core.errors import ConfigError, did_you_mean

LOSSES = ("softmax", "am", "aam")


class MarginSoftmax(nn.Module):
    """Cross entropy of embeddings (B, D) for `num_classes`, in float32 also under autocast.

    width: D of the embeddings.
    num_classes: C.
    kind: 'softmax' (a linear layer with a bias, no cosine, no margin, no scale), 'am' or 'aam'.
    margin: in cosine (am) or radians (aam). It may be set between steps.
    scale: of the cosines.
    sub_centers: directions of each class. Those of class c are rows c K to c K + K - 1 of the weight.
    top_k: how many of the nearest wrong classes are brought nearer. 0 for none.
    top_k_margin: by how much, in cosine or radians.
    Raises ConfigError for what is out of range, and for sub-centres and nearest classes of plain softmax.
    """

    def __init__(
        self,
        width: int,
        num_classes: int,
        kind: str = "aam",
        margin: float = 0.2,
        scale: float = 30.0,
        *,
        sub_centers: int = 1,
        top_k: int = 0,
        top_k_margin: float = 0.06,
    ) -> None:
        super().__init__()
        if kind not in LOSSES:
            raise ConfigError(f"There is no loss named {kind!r}. {did_you_mean(kind, LOSSES)}")
        if not (0 <= margin < (math.pi if kind == "aam" else 2.0) and scale > 0):
            raise ConfigError(f"margin={margin:g} must be from 0 to below 2 (pi for aam), and scale={scale:g} above 0.")
        if kind == "softmax" and (sub_centers > 1 or top_k):
            raise ConfigError(
                "softmax has no angles, so neither sub-centres nor an inter-top-k penalty; take loss=aam."
            )
        if not 0 <= top_k < num_classes:
            raise ConfigError(
                f"top_k={top_k}: there are {num_classes} classes, {num_classes - 1} of them wrong; set at most that."
            )
        if not (sub_centers >= 1 and 0 <= top_k_margin < math.pi):
            raise ConfigError(
                f"sub_centers={sub_centers} must be at least 1, and top_k_margin={top_k_margin:g} from 0 to below pi."
            )
        self.kind, self.margin, self.scale = kind, margin, scale
        self.sub_centers, self.top_k, self.top_k_margin = sub_centers, top_k, top_k_margin
        self.weight = nn.Parameter(torch.empty(num_classes * sub_centers, width))
        nn.init.xavier_uniform_(self.weight)
        self.bias = nn.Parameter(torch.zeros(num_classes)) if kind == "softmax" else None

    def scores(self, embeddings: Tensor) -> Tensor:
        """(B, C) what the classes are ranked by: logits, or cosines, of sub-centres the largest."""
        with torch.autocast(embeddings.device.type, enabled=False):
            x, weight = embeddings.float(), self.weight.float()
            if self.bias is not None:
                return functional.linear(x, weight, self.bias.float())
            cosines = functional.linear(functional.normalize(x), functional.normalize(weight))  # (B, C K)
            return cosines if self.sub_centers == 1 else cosines.unflatten(1, (-1, self.sub_centers)).amax(dim=2)

    def forward(self, embeddings: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of each item (B,), and the scores (B, C) without the margin."""
        scores = self.scores(embeddings)
        if self.kind == "softmax":
            return functional.cross_entropy(scores, targets, reduction="none"), scores
        right = scores.gather(1, targets[:, None])
        harder = right - self.margin if self.kind == "am" else widened(right, self.margin)
        moved = scores.scatter(1, targets[:, None], harder)
        if self.top_k:
            wrong = scores.detach().scatter(1, targets[:, None], -torch.inf)
            nearest = wrong.topk(self.top_k, dim=1).indices
            moved = moved.scatter(1, nearest, self._nearer(scores.gather(1, nearest)))
        return functional.cross_entropy(self.scale * moved, targets, reduction="none"), scores

    def _nearer(self, cosines: Tensor) -> Tensor:
        return cosines + self.top_k_margin if self.kind == "am" else turned(cosines, -self.top_k_margin)


def turned(cosines: Tensor, angle: float) -> Tensor:
    """cos(t + angle) of cosines cos(t).

    The sine is at least 1e-4, so that its gradient stays finite where an embedding meets its class's direction.
    """
    sines = (1 - cosines.square()).clamp(min=1e-8).sqrt()
    return cosines * math.cos(angle) - sines * math.sin(angle)


def widened(cosines: Tensor, margin: float) -> Tensor:
    """cos(t + m) of cosines cos(t) where t + m is at most pi, else cos(t) - m sin(m): it goes on falling with t."""
    fallen = cosines - margin * math.sin(margin)
    return torch.where(cosines > -math.cos(margin), turned(cosines, margin), fallen)
