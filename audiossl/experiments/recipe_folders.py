"""The recipes that come with the package: what there is, and a copy to run and to change."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import NamedTuple

from audiossl.core.errors import OutputError, UnknownNameError, did_you_mean
from audiossl.core.files import unwritable
from audiossl.experiments.suites.definition import RECIPES

_SHARED = "common.sh"  # what every run.sh reads, one folder above it
_BESIDE = re.compile(r"\$recipe/\.\./(\w+)/")  # a recipe that another one's script reads


class RecipeFolder(NamedTuple):
    """A recipe.

    title: the first line of its README.
    tasks: its YAMLs without their endings, as `--task` takes them.
    """

    name: str
    title: str
    tasks: list[str]


def recipe_folders() -> list[RecipeFolder]:
    """All recipes, by name."""
    return [_described(path.parent) for path in sorted(RECIPES.glob("*/run.sh"))]


def recipe_readme(name: str) -> str:
    """A recipe's README, in Markdown. Raises UnknownNameError."""
    return (_folder(name) / "README.md").read_text(encoding="utf-8")


def copy_recipe(name: str, to: Path) -> Path:
    """Copy a recipe, and what its scripts read beside it, into a folder. Other recipes that are there stay as they are.

    name: of the recipe.
    to: the folder that is to hold it, made where it is not there.
    Returns the run.sh of the copy. Raises UnknownNameError, and OutputError where something is there already.
    """
    source, made, shared = _folder(name), to / name, to / _SHARED
    if made.exists():
        raise OutputError(f"{made} is there already; name another folder, or move it away.")
    theirs = (RECIPES / _SHARED).read_bytes()
    if shared.exists() and shared.read_bytes() != theirs:
        raise OutputError(f"{shared} is there and is not this version's; name another folder, or move it away.")
    try:
        for each in [source, *(_folder(beside) for beside in _read_beside(source) if not (to / beside).exists())]:
            shutil.copytree(each, to / each.name, ignore=shutil.ignore_patterns("__pycache__"))
            (to / each.name / "run.sh").chmod(0o755)  # a wheel may have lost it
        shared.write_bytes(theirs)
    except OSError as error:
        raise unwritable(made, error) from error
    return made / "run.sh"


def _folder(name: str) -> Path:
    known = [path.parent.name for path in RECIPES.glob("*/run.sh")]
    if name not in known:
        raise UnknownNameError(f"There is no recipe {name!r}. {did_you_mean(name, sorted(known))}")
    return RECIPES / name


def _read_beside(folder: Path) -> list[str]:
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.sh"))]
    return sorted({name for text in texts for name in _BESIDE.findall(text)})


def _described(folder: Path) -> RecipeFolder:
    title = (folder / "README.md").read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
    return RecipeFolder(folder.name, title, sorted(path.stem for path in folder.glob("*.yaml")))
