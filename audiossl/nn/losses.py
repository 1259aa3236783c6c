"""Losses that tell classes apart by angles: softmax, AM-softmax and AAM-softmax, for embeddings.

The score of a class is the cosine between an embedding and the class's direction. A margin makes the right class harder
in training: cos(t) - m (AM, Wang et al., 2018, arXiv:1801.05599) or cos(t + m) (AAM, Deng et al., 2019,
arXiv:1801.07698). Scores are then scaled and go into cross entropy.

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
    """

    def __init__(
        self, width: int, num_classes: int, kind: str = "aam", margin: float = 0.2, scale: float = 30.0
    ) -> None:
        super().__init__()
        if kind not in LOSSES:
            raise ConfigError(f"There is no loss named {kind!r}. {did_you_mean(kind, LOSSES)}")
        if not (0 <= margin < (math.pi if kind == "aam" else 2.0) and scale > 0):
            raise ConfigError(f"margin={margin:g} must be from 0 to below 2 (pi for aam), and scale={scale:g} above 0.")
        self.kind, self.margin, self.scale = kind, margin, scale
        self.weight = nn.Parameter(torch.empty(num_classes, width))
        nn.init.xavier_uniform_(self.weight)
        self.bias = nn.Parameter(torch.zeros(num_classes)) if kind == "softmax" else None

    def scores(self, embeddings: Tensor) -> Tensor:
        """(B, C) what the classes are ranked by: logits, or cosines."""
        with torch.autocast(embeddings.device.type, enabled=False):
            x, weight = embeddings.float(), self.weight.float()
            if self.bias is not None:
                return functional.linear(x, weight, self.bias.float())
            return functional.linear(functional.normalize(x), functional.normalize(weight))

    def forward(self, embeddings: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of each item (B,), and the scores (B, C) without the margin."""
        scores = self.scores(embeddings)
        if self.kind == "softmax":
            return functional.cross_entropy(scores, targets, reduction="none"), scores
        right = scores.gather(1, targets[:, None])
        harder = right - self.margin if self.kind == "am" else widened(right, self.margin)
        logits = self.scale * scores.scatter(1, targets[:, None], harder)
        return functional.cross_entropy(logits, targets, reduction="none"), scores


def widened(cosines: Tensor, margin: float) -> Tensor:
    """cos(t + m) of cosines cos(t) where t + m is at most pi, else cos(t) - m sin(m): it goes on falling with t.

    The sine is at least 1e-4, so that its gradient stays finite where an embedding meets its class's direction.
    """
    sines = (1 - cosines.square()).clamp(min=1e-8).sqrt()
    turned = cosines * math.cos(margin) - sines * math.sin(margin)
    return torch.where(cosines > -math.cos(margin), turned, cosines - margin * math.sin(margin))
