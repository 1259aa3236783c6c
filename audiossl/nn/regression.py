"""Losses between predicted and true numbers of which some are not known.

Predictions, targets and masks are (B,). What is not known counts for nothing, whatever stands there. The losses are
functions of tensors without a look at their values, so that `torch.func.vmap` computes those of several heads as one.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from audiossl.core.errors import ConfigError, did_you_mean

NumberLoss = Literal["mse", "l1", "huber", "ccc"]
ITEM_LOSSES = ("mse", "l1", "huber")


def item_losses(kind: str, errors: Tensor, delta: float = 1.0) -> Tensor:
    """The loss of each error, of any shape: e^2, |e|, or Huber's (1964), e^2 / 2 up to delta and linear beyond.

    Raises ConfigError for another kind.
    """
    if kind == "mse":
        return errors.square()
    if kind == "l1":
        return errors.abs()
    if kind == "huber":
        return nn.functional.huber_loss(errors, torch.zeros_like(errors), reduction="none", delta=delta)
    raise ConfigError(f"There is no loss named {kind!r} of single numbers. {did_you_mean(kind, ITEM_LOSSES)}")


def known_mean(values: Tensor, known: Tensor) -> Tensor:
    """Mean of (B,) values where `known` (B,) is true. It is 0, without a gradient, where nothing is."""
    return torch.where(known, values, 0.0).sum() / known.sum().clamp(min=1)


def concordance_loss(predicted: Tensor, targets: Tensor, known: Tensor) -> Tensor:
    """1 - CCC of the known items of a batch (Lin, 1989), as Trigeorgis et al. (2016) train emotions by it.

    It is a figure of the batch as a whole and no mean over items. One item, or equal numbers, give 1 with almost no
    gradient.
    """
    x_mean, y_mean = known_mean(predicted, known), known_mean(targets, known)
    x, y = predicted - x_mean, targets - y_mean
    spread = known_mean(x.square() + y.square(), known) + (x_mean - y_mean).square()
    return 1 - 2 * known_mean(x * y, known) / spread.clamp(min=1e-8)


def clipped_squares(errors: Tensor, tau: float) -> Tensor:
    """e^2 where |e| > tau, else 0: what listeners do not agree on is not learnt (Leng et al., MBNet, 2021)."""
    return torch.where(errors.abs() > tau, errors.square(), 0.0)


def contrastive_pairs(predicted: Tensor, targets: Tensor, margin: float) -> Tensor:
    """Mean over all pairs of max(0, |(p_i - p_j) - (s_i - s_j)| - margin) / 2 (UTMOS, Saeki et al., 2022).

    predicted, targets: (B,), all known.
    """
    apart = (predicted[:, None] - predicted) - (targets[:, None] - targets)  # (B, B)
    return (apart.abs() - margin).clamp(min=0).mean() / 2
