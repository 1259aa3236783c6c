"""An executor from its name and its options."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audiossl.core.config import make
from audiossl.core.errors import ConfigError, UnknownNameError, did_you_mean
from audiossl.encoders.devices import best_device
from audiossl.experiments.executors.contract import EXECUTORS, Executor, Sink


def executor_here(name: str, options: Mapping[str, Any], jobs: int = 0) -> tuple[str, dict[str, Any]]:
    """The name and the options of an executor. Without a name it is this machine, with one process or several.

    name: of its card, or ''.
    options: of its Config.
    jobs: processes of this machine. 0 for what suits it.
    Raises ConfigError for jobs of an executor that has none.
    """
    if name and name != "pool":
        if jobs:
            raise ConfigError(f"--jobs is for processes of this machine; leave it out with --executor {name}.")
        return name, dict(options)
    if jobs < 0:
        raise ConfigError(f"--jobs {jobs}: choose a number of processes, or 0 for what suits this machine.")
    # A GPU is not faster for being shared.
    num = jobs or (1 if best_device().type != "cpu" else min(os.cpu_count() or 1, 8))
    return ("pool", {"jobs": num, **options}) if num > 1 or name else ("serial", dict(options))


def make_executor(name: str, folder: Path, say: Sink, options: Mapping[str, Any]) -> Executor:
    """What runs units.

    name: of its card.
    folder: for logs, and for what it has to keep. All workers see it.
    say: gets a line when there is something to say.
    options: of its Config, for instance {"jobs": 4}.
    Raises UnknownNameError for another name, ConfigError for an option that it does not have or cannot be so.
    """
    if name not in EXECUTORS:
        raise UnknownNameError(f"There is no executor named {name!r}. {did_you_mean(name, EXECUTORS.names())}")
    given = {**EXECUTORS.card(name).options, **options}
    made: Executor = make(EXECUTORS.load(name), given, folder, say, where=f"options of the executor {name}")
    return made
