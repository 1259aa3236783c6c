"""The recogniser of a run, by its configuration: no weights are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from audiossl.core.config import structured
from audiossl.core.errors import ConfigError
from audiossl.core.registry import DOWNSTREAMS
from audiossl.downstreams.asr.task import Asr, AsrConfig
from audiossl.experiments.config import Experiment


def recogniser_of(config: Experiment, run: Path) -> tuple[type[Asr], AsrConfig]:
    """Which recogniser a run is of, asr or a kind of it, and its settings.

    config: of the run.
    run: its folder, for the error.
    Raises ConfigError for a run of another task.
    """
    kind: Any = DOWNSTREAMS.load(config.downstream)
    if not issubclass(kind, Asr):
        raise ConfigError(f"{run} is a run of {config.downstream}; give one of asr.")
    made: AsrConfig = structured(kind.Config, config.task, where=f"task options of {config.downstream}")
    return kind, made
