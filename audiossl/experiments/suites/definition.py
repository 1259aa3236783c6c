"""What a suite is: tasks, what is searched over, the figure that is read, and what data each needs. All of it is YAML.

`audiossl suite list` finds the files beside this module, those that installed packages name by an entry point of the
group `audiossl.suites` (its value is a module, in whose folder NAME.yaml lies), and a user's own by its path.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from audiossl.core.config import read_yaml, structured
from audiossl.core.errors import ConfigError, UnknownNameError, did_you_mean
from audiossl.core.ranges import Count, Positive, Seed
from audiossl.core.registry import DOWNSTREAMS

GROUP = "audiossl.suites"
EVERY_LAYER = "every_layer"
RECIPES = Path(__file__).parents[2] / "recipes"


@dataclass(frozen=True)
class SearchConfig:
    """What is tried for each encoder, and chosen on dev."""

    lr: list[Positive] = field(default_factory=list)
    """Learning rates. Empty for the one of the recipe."""
    interface: list[Any] = field(default_factory=list)
    """Interfaces, as in `sweep.interface`. 'every_layer' stands for each layer by itself."""
    task: list[dict[str, Any]] = field(default_factory=list)
    """Options of the head, as in `sweep.task`."""
    seeds: list[Seed] = field(default_factory=lambda: [0])
    """Seeds, each a cell of its own. Nothing is chosen among them."""


@dataclass(frozen=True)
class Size:
    """How large a corpus is, for the forecast of cost before it is there."""

    rows: int = 0
    """Recordings, all splits together."""
    hours: float = 0.0
    """Hours of sound, all splits together."""


@dataclass(frozen=True)
class Reference:
    """Two points by which figures of different tasks become one scale: 0 at `low` and 1000 at `high`."""

    low: float | None = None
    """The figure that counts as 0, in shares and not in percent. None for a task that is not in the score."""
    high: float | None = None
    """The figure that counts as 1000."""
    source: str = ""
    """Where both come from."""


@dataclass(frozen=True)
class SuiteTask:
    """A task of a suite. Its name is RECIPE/YAML: the folder of the recipe and the file in it."""

    title: str = ""
    """What it asks, in a few words."""
    corpus: str = ""
    """The folder of the recordings below --data."""
    get: str = ""
    """How one gets them, as a sentence."""
    test_sets: list[str] = field(default_factory=list)
    """Names of the corpora that the test rows are of. An encoder that was trained on one of them is marked."""
    downstream: str = ""
    """The downstream that it needs, where the recipe does not exist yet."""
    metric: str = ""
    """The figure that is read on test."""
    mode: Literal["max", "min"] = "max"
    """Which of its values is the best."""
    reference: Reference = field(default_factory=Reference)
    """What its figures are put on one scale by."""
    protocol: str = ""
    """How splits, choice and figure are made, and what is unsound in that."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings over those of the recipe's YAML. {seed} in a text stands for the seed."""
    search: SearchConfig = field(default_factory=SearchConfig)
    """What is tried."""
    size: Size = field(default_factory=Size)
    """How much sound there is."""


@dataclass(frozen=True)
class Suite:
    """Tasks under one name. Changing what a number means changes the version."""

    name: str = ""
    """What it is called: the name of the file."""
    version: Count = 1
    """Of the definition. Figures of different versions are not comparable."""
    title: str = ""
    """One line."""
    summary: str = ""
    """What it is for, and how long it takes."""
    tasks: dict[str, SuiteTask] = field(default_factory=dict)
    """By RECIPE/YAML, in the order of the table."""

    def only(self, names: list[str]) -> Suite:
        """The suite with some of its tasks. Raises UnknownNameError for one that it does not have."""
        for name in names:
            if name not in self.tasks:
                raise UnknownNameError(
                    f"The suite {self.name!r} has no task {name!r}. {did_you_mean(name, self.tasks)}"
                )
        return replace(self, tasks={name: task for name, task in self.tasks.items() if not names or name in names})


def recipe_yaml(task: str) -> Path:
    """The YAML of a task RECIPE/YAML."""
    return RECIPES / f"{task}.yaml"


def why_missing(name: str, task: SuiteTask) -> str:
    """Why a task cannot be run by this version. '' where it can."""
    if task.downstream and task.downstream not in DOWNSTREAMS:
        return f"the task {task.downstream!r} does not exist in this version"
    if not recipe_yaml(name).is_file():
        return f"the recipe {name}.yaml does not exist in this version"
    return ""


def suite_files() -> dict[str, Path]:
    """The files of all suites by name. Raises ConfigError for a name that two have."""
    found = {path.stem: path for path in sorted((Path(__file__).parent).glob("*.yaml"))}
    for name, path in _of_packages():
        if name in found:
            raise ConfigError(f"Two packages claim the suite {name!r} ({found[name]} and {path}); uninstall one.")
        found[name] = path
    return found


def _of_packages() -> Iterator[tuple[str, Path]]:
    for point in importlib.metadata.entry_points(group=GROUP):
        spec = importlib.util.find_spec(point.value)
        folders = list(spec.submodule_search_locations or []) if spec else []
        file = Path(folders[0]) / f"{point.name}.yaml" if folders else Path(f"{point.name}.yaml")
        if not file.is_file():
            raise ConfigError(f"The entry point {point.name} = {point.value} has no {file}; uninstall or mend it.")
        yield point.name, file


def read_suite(name: str) -> Suite:
    """A suite by its name, or by the path of a YAML file. Raises UnknownNameError, ConfigError."""
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        known = suite_files()
        if name not in known:
            raise UnknownNameError(
                f"There is no suite named {name!r}. {did_you_mean(name, known)} Or give the path of a YAML file."
            )
        path = known[name]
    return suite_of(read_yaml(path), path.stem, f"suite {path}")


def suite_of(layer: Mapping[str, Any], name: str, where: str) -> Suite:
    """A suite from what its YAML says. Raises ConfigError.

    layer: the mapping.
    name: what the suite is called, unless the mapping says so.
    where: what an error calls it.
    """
    made = structured(Suite, {"name": name, **layer}, where=where)
    for task in made.tasks:
        if task.count("/") != 1 or not all(task.split("/")):
            raise ConfigError(f"In the {where}: {task!r} is no task; write RECIPE/YAML, for instance esc10/sounds.")
    if not made.tasks:
        raise ConfigError(f"In the {where}: there is no task; write at least one under `tasks`.")
    _check_tasks(made, where)
    return made


def _check_tasks(suite: Suite, where: str) -> None:
    for name, task in suite.tasks.items():
        if not task.metric:
            raise ConfigError(f"In the {where}: {name} has no metric; name the figure that is read, such as accuracy.")
        if not task.downstream and why_missing(name, task):
            known = sorted(f"{path.parent.name}/{path.stem}" for path in RECIPES.glob("*/*.yaml"))
            raise ConfigError(f"In the {where}: there is no task {name!r}. {did_you_mean(name, known)}")
        if not task.search.seeds:
            raise ConfigError(f"In the {where}: {name} has no seed; leave search.seeds out for seed 0.")
