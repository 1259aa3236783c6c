"""What a suite takes from a recipe: the experiment of a task, and the manifests that the recipe's first stage makes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from audiossl.core.config import merged_layers, read_yaml, with_long_forms
from audiossl.core.errors import AudiosslError, ManifestError
from audiossl.experiments.config import Experiment, experiment_of
from audiossl.experiments.suites.definition import EVERY_LAYER, RECIPES, SuiteTask, recipe_yaml
from audiossl.experiments.suites.encoders import KnownEncoder


def task_experiment(name: str, task: SuiteTask, seed: int, out: Path, over: Mapping[str, Any]) -> Experiment:
    """The experiment of a task, with whatever encoder the recipe has. Raises ConfigError.

    name: of the task, RECIPE/YAML.
    task: what the suite says of it.
    seed: of the experiment.
    out: the results folder, which has the manifests.
    over: settings that go before all others.
    """
    merged: dict[str, Any] = {}
    for layer in (read_yaml(recipe_yaml(name)), _with_seed(task.settings, seed), over):
        merged = merged_layers(merged, with_long_forms(Experiment, layer))
    return experiment_of([_in_folder({**merged, "seed": seed}, out)], f"task {name} of the suite")


def with_encoder(config: Experiment, task: SuiteTask, encoder: KnownEncoder, budget: float = 0.0) -> Experiment:
    """The experiment of a task with an encoder, and with what is tried for it.

    config: of the task.
    task: what the suite says of it.
    encoder: which one.
    budget: full trainings that the search may cost. 0 for all that is tried.
    """
    search = task.search
    interfaces = [each for choice in search.interface for each in _interfaces(choice, encoder.facts.num_layers)]
    sweep = replace(
        config.sweep,
        lr=search.lr or config.sweep.lr,
        interface=interfaces or config.sweep.interface,
        task=search.task or config.sweep.task,
    )
    choice = encoder.choice
    made = replace(config, upstream=choice.name, upstream_options=dict(choice.options), sweep=sweep)
    return within_budget(made, budget)


def within_budget(config: Experiment, budget: float) -> Experiment:
    """An experiment whose search costs so many full trainings at most. 0 leaves it as it is."""
    if not budget or config.sweep.num_members <= budget:
        return config
    return replace(config, sweep=replace(config.sweep, budget=budget))


def is_prepared(config: Experiment) -> bool:
    """Whether the manifests of an experiment are there."""
    return all(path.is_file() for path in config.manifests.values())


def prepare(recipe: str, tasks: Mapping[str, SuiteTask], data: Path | None, out: Path) -> None:
    """Make the manifests of tasks by the first stage of their recipe, in the results folder.

    recipe: which one.
    tasks: those of its tasks that are wanted, by RECIPE/YAML.
    data: the folder of all corpora, None where nobody has said.
    out: the results folder.
    Raises ManifestError where the recordings are not there, AudiosslError where the recipe fails.
    """
    for name, task in tasks.items():
        if why := why_no_recordings(task, data):
            raise ManifestError(f"{name} cannot be prepared: {why}.")
    shell = shutil.which("bash")
    if shell is None:
        raise AudiosslError(f"There is no bash to prepare recordings with; run recipes/{recipe}/prepare.py by hand.")
    command = [shell, str(RECIPES / recipe / "run.sh"), "--stage", "1", "--stop-stage", "1"]
    command += [part for name in tasks for part in ("--task", name.partition("/")[2])]
    out.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [*command, "--data", str(Path(str(data)).absolute())],
        cwd=out,
        env={**os.environ, "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "it says nothing").splitlines()[-1]
        raise AudiosslError(f"The recordings of {recipe} cannot be prepared: {said.removeprefix('error: ')}")


def why_no_recordings(task: SuiteTask, data: Path | None) -> str:
    """Why the recordings of a task cannot be used, with what to do. '' where they are there."""
    if data is None:
        return "nobody has said where the recordings are; name the folder of the corpora with --data or AUDIOSSL_DATA"
    if not (data / task.corpus).is_dir():
        return f"there is no folder {task.corpus} in {data}; get it: {task.get or 'see the README of the recipe'}"
    return ""


def _interfaces(choice: Any, num_layers: int) -> list[Any]:
    return [{"name": "layer", "index": index} for index in range(num_layers)] if choice == EVERY_LAYER else [choice]


def _with_seed(value: Any, seed: int) -> Any:
    if isinstance(value, str):
        return value.replace("{seed}", str(seed))
    if isinstance(value, Mapping):
        return {key: _with_seed(each, seed) for key, each in value.items()}
    return [_with_seed(each, seed) for each in value] if isinstance(value, list) else value


def _in_folder(value: Any, out: Path) -> Any:
    """`data/RECIPE/...`, as recipes name what their first stage makes, below the results folder."""
    if isinstance(value, str) and value.startswith("data/"):
        return str(out.absolute() / value)
    if isinstance(value, Mapping):
        return {key: _in_folder(each, out) for key, each in value.items()}
    return [_in_folder(each, out) for each in value] if isinstance(value, list) else value
