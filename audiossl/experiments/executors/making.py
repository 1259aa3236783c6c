"""An executor from its name and its options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from audiossl.core.config import make
from audiossl.core.errors import UnknownNameError, did_you_mean
from audiossl.experiments.executors.contract import EXECUTORS, Executor, Sink


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
