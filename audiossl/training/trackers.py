"""Runs of trackers (Weights & Biases, MLflow, Trackio, ...) that follow the log of a run, through accelerate.

log.jsonl stays the truth. A tracker gets what is written there, and one that fails in between is left behind with a
warning.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import math
import re
from collections.abc import Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker
from accelerate.utils import LoggerType

from audiossl.core.errors import ConfigError, TrainingError, did_you_mean, first_line
from audiossl.core.files import read_json, write_json
from audiossl.training.config import TRACKERS_NAME, TrainerConfig

_log = logging.getLogger(__name__)


class _Naming(NamedTuple):
    """How a tracker is told of a run.

    name: the option for the name of a new one.
    known: the option for one to go on with.
    beside: what goes with `known`.
    place: where the tracker's own object has what `known` takes.
    """

    name: str
    known: str
    beside: Mapping[str, Any]
    place: str


_NAMINGS = {
    "wandb": _Naming("name", "id", {"resume": "allow"}, "id"),
    "mlflow": _Naming("run_name", "run_id", {}, "info.run_id"),
    "trackio": _Naming("name", "name", {"resume": "allow"}, "name"),
}


def check_trackers(names: Sequence[str]) -> None:
    """Raise ConfigError for a tracker that accelerate does not know, or whose package is not installed."""
    known = [name for name in LOGGER_TYPE_TO_CLASS if name != "tensorboard"]
    for name in names:
        if name == "tensorboard":
            raise ConfigError("trainer.trackers names tensorboard, which every run writes; leave it out.")
        if name not in known:
            raise ConfigError(f"trainer.trackers names {name!r}, which is no tracker. {did_you_mean(name, known)}")
        if names.count(name) > 1:
            raise ConfigError(f"trainer.trackers names {name} twice; leave one of them out.")
        # Trackers of accelerate's own are called as their packages are.
        if name in LoggerType.list() and importlib.util.find_spec(name) is None:
            raise ConfigError(
                f"trainer.trackers needs the package {name}, which is not installed; run `pip install {name}`, or "
                f"leave it out."
            )


class Trackers:
    """The runs of a run folder in trackers. RUN/trackers.json has their identities, so that a resume goes on in them.

    config: of the trainer, which names the trackers and the project.
    folder: of the run, whose path is the name of its runs.
    settings: of the whole experiment.
    live: False where other runs train in the same process at the same time. Most trackers know but one run in a
        process, and get it when it ends.
    """

    def __init__(self, config: TrainerConfig, folder: Path, settings: Mapping[str, Any], *, live: bool = True) -> None:
        self.names, self.project, self.live = config.trackers, config.tracker_project, live
        self._folder, self._settings = folder, settings
        self._running: dict[str, GeneralTracker] = {}

    def begin(self, *, resume: bool) -> None:
        """Begin a run in each tracker, or go on in that of the earlier part.

        Raises TrainingError for a tracker that cannot.
        """
        path = self._folder / TRACKERS_NAME
        known: dict[str, Any] = read_json(path) if resume and path.is_file() else {}
        for name in self.names:
            try:
                tracker = self._begun(name, known.get(name))
            except Exception as error:  # each tracker has errors of its own
                self.close()
                raise TrainingError(
                    f"The tracker {name} cannot begin a run ({first_line(error)}); log in to it, see whether it can be "
                    f"reached, or leave it out of trainer.trackers."
                ) from error
            self._running[name] = tracker
            if naming := _NAMINGS.get(name):
                known[name] = attrgetter(naming.place)(tracker.tracker)
            elif resume:
                _log.info("The tracker %s begins another run, since only %s go on.", name, ", ".join(_NAMINGS))
        if self.names:
            write_json(path, known)

    def write(self, step: int, split: str, figures: Mapping[str, Any]) -> None:
        """The finite numbers among the figures of a step, as `train/loss` and the like."""
        values = {
            re.sub(r"[^\w./ -]", "_", f"{split}/{name}"): value  # what MLflow takes
            for name, value in figures.items()
            if isinstance(value, float) and math.isfinite(value)
        }
        for name, tracker in list(self._running.items()):
            try:
                tracker.log(values, step=step)
            except Exception as error:  # noqa: BLE001  likewise, and training goes on
                del self._running[name]
                _log.warning("The tracker %s gets no more of this run (%s); the log has it.", name, first_line(error))

    def close(self) -> None:
        """End the runs in the trackers, which may send what they hold back."""
        while self._running:
            name, tracker = self._running.popitem()
            try:
                tracker.finish()
            except Exception as error:  # noqa: BLE001  likewise
                _log.warning("The tracker %s did not end its run (%s); the log has it.", name, first_line(error))

    def _begun(self, name: str, known: str | None) -> GeneralTracker:
        kind, naming = LOGGER_TYPE_TO_CLASS[name], _NAMINGS.get(name)
        options: dict[str, Any] = {}
        if naming is not None:
            options = {naming.known: known, **naming.beside} if known else {naming.name: _called(self._folder)}
        where = [str(self._folder)] if kind.requires_logging_directory else []
        tracker: GeneralTracker = kind(self.project, *where, **options)
        if hasattr(tracker, "start"):  # older releases of accelerate start it at once
            tracker.start()
        if known is None:  # MLflow refuses settings that changed
            tracker.store_init_configuration(_flat(self._settings))
        return tracker


def _called(folder: Path) -> str:
    """The path of a run folder from here on, or its last two parts where it lies elsewhere."""
    path, here = folder.absolute(), Path.cwd()
    return (path.relative_to(here) if path.is_relative_to(here) else Path(*path.parts[-2:])).as_posix()


def _flat(settings: Mapping[str, Any], within: str = "") -> dict[str, Any]:
    """Nested settings by dotted names, with lists as JSON.

    >>> _flat({"a": {"b": 1}, "c": [2]})
    {'a.b': 1, 'c': '[2]'}
    """
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{within}{key}.")
        else:
            flat[f"{within}{key}"] = value if isinstance(value, bool | int | float | str) else json.dumps(value)
    return flat
