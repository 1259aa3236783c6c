"""Settings of training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from audiossl.core.errors import ConfigError


@dataclass(frozen=True)
class TrainerConfig:
    """batches_per_step: batches in one update, over all processes; clip: largest L2 norm of the gradient (0: any).

    weight_decay spares biases and normalisation. schedule: after `warmup_steps` of linear warm-up; 'tri_stage' holds
    the peak for `hold_share` of all steps and then decays exponentially to `final_share` of it (arXiv:2006.11477, 4.3).
    eval_every: steps between evaluations on dev (0: only at the end). average_best: also write the mean of the weights
    of that many best evaluations (0: none). patience: stop after that many evaluations without a better one (0: never).
    max_nonfinite: consecutive steps with a non-finite loss or gradient, each skipped, before giving up.
    """

    steps: int = 2000
    batches_per_step: int = 1
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    clip: float = 1.0
    schedule: Literal["constant", "linear", "cosine", "inverse_sqrt", "tri_stage"] = "constant"
    warmup_steps: int = 0
    hold_share: float = 0.4
    final_share: float = 0.05
    precision: Literal["fp32", "bf16"] = "fp32"
    device: Literal["auto", "cpu"] = "auto"
    eval_every: int = 200
    save_every: int = 200
    log_every: int = 10
    average_best: int = 0
    patience: int = 0
    max_nonfinite: int = 10

    def __post_init__(self) -> None:
        for name in ("steps", "batches_per_step", "save_every", "log_every", "max_nonfinite"):
            if getattr(self, name) < 1:
                raise ConfigError(f"trainer.{name}={getattr(self, name)} must be at least 1.")
        if not self.lr > 0 or not math.isfinite(self.lr):
            raise ConfigError(f"trainer.lr={self.lr} must be above zero.")
        if not 0 <= self.hold_share <= 1 or not 0 < self.final_share <= 1:
            raise ConfigError(
                f"trainer.hold_share={self.hold_share}, trainer.final_share={self.final_share}: the first must be from "
                f"0 to 1, the second above 0 and at most 1."
            )
