"""Settings of training that make no sense."""

from __future__ import annotations

import pytest

from audiossl.core.errors import ConfigError
from audiossl.training.config import TrainerConfig


@pytest.mark.parametrize("field", ["steps", "batches_per_step", "save_every", "log_every", "max_nonfinite", "lr"])
def test_settings_that_make_no_sense_are_refused(field: str) -> None:
    with pytest.raises(ConfigError, match=rf"trainer\.{field}=0"):
        TrainerConfig(**{field: 0})
