"""The settings of a training in stages, each of which goes on from the weights of the one before.

    data: {max_crop_s: 3, speeds: [0.9, 1.0, 1.1]}
    task: {margin: 0.2, speeds_as_speakers: true}
    stages:
      large_margin:
        data: {max_crop_s: 6, speeds: []}
        task: {margin: 0.5, speeds_as_speakers: false}
        trainer: {steps: 2000, lr: 1.0e-4}

The configuration itself is the first stage. What a later one says lies over the settings of the one before.
"""

from __future__ import annotations

from dataclasses import replace

from audiossl.core.config import as_dict, structured
from audiossl.core.errors import ConfigError
from audiossl.experiments.config import Experiment

# What is one for all stages: the weights would not fit, or the folder would not.
_SHARED = ("downstream", "setting", "upstream", "upstream_options", "folds", "sweep", "stages")


def stage_configs(config: Experiment) -> list[Experiment]:
    """The configuration of each stage, in turn. One that has no later stages is the only one.

    Raises ConfigError for a key that a stage has and no experiment, or that is one for all stages, and beside folds.
    """
    if config.stages and (config.folds.by or config.sweep.axes):
        raise ConfigError("stages cannot be had in a sweep or in folds yet; leave out stages, or sweep and folds.")
    found = [replace(config, stages={}) if config.stages else config]
    for name, changes in config.stages.items():
        for key in _SHARED:
            if key in changes:
                raise ConfigError(f"stages.{name} sets {key}, which all stages share; set it beside stages.")
        found.append(structured(Experiment, as_dict(found[-1]), changes, where=f"stage {name!r}"))
    return found


def with_task(config: Experiment, task: dict[str, object]) -> Experiment:
    """The configuration of a training whose last stage has these options of the task."""
    last = next(reversed(config.stages))
    return replace(config, stages={**config.stages, last: {**config.stages[last], "task": task}})
