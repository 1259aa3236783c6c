"""From a sequence, a domain and a listener to a score of each frame, or of the utterance."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audiossl.downstreams.asr.heads import Bidirectional


class Conditions(nn.Module):
    """Embeddings of a domain and of a listener, one after the other (I, 2 E).

    Each domain has a mean listener, who is what is predicted: number d of the listeners is that of domain d.
    """

    def __init__(self, num_domains: int, num_listeners: int, width: int) -> None:
        super().__init__()
        self.domains = nn.Embedding(num_domains, width)
        self.listeners = nn.Embedding(num_domains + num_listeners, width)

    def forward(self, domains: Tensor, listeners: Tensor) -> Tensor:
        return torch.cat([self.domains(domains), self.listeners(listeners)], dim=-1)


def scorer(width: int, hidden: int, dropout: float) -> nn.Sequential:
    """Linear, ReLU, dropout and Linear to one score."""
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 1))


class FrameScores(nn.Module):
    """The conditions beside each frame, a BLSTM, and a score of each frame (UTMOS' strong learner, section 2.2)."""

    def __init__(self, width: int, conditions: int, lstm_width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.lstm = Bidirectional(width + conditions, lstm_width)
        self.scores = scorer(2 * lstm_width, hidden, dropout)

    def forward(self, x: Tensor, lengths: Tensor, conditions: Tensor) -> Tensor:
        """(I, T, D), (I,) frames, (I, E) -> (I, T)."""
        beside = conditions[:, None].expand(-1, x.shape[1], -1)
        found: Tensor = self.scores(self.lstm(torch.cat([x, beside], dim=-1), lengths))
        return found[..., 0]


class UtteranceScore(nn.Module):
    """The conditions beside the pooled vector, and one score."""

    def __init__(self, width: int, conditions: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.scores = scorer(width + conditions, hidden, dropout)

    def forward(self, pooled: Tensor, conditions: Tensor) -> Tensor:
        """(I, W), (I, E) -> (I,)."""
        found: Tensor = self.scores(torch.cat([pooled, conditions], dim=-1))
        return found[:, 0]
