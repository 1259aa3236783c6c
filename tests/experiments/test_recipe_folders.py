"""Recipes of the package, copied."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from audiossl.core.errors import OutputError, UnknownNameError
from audiossl.experiments.recipe_folders import copy_recipe, recipe_folders, recipe_readme


def test_there_is_a_title_and_a_task_of_each() -> None:
    found = {recipe.name: recipe for recipe in recipe_folders()}
    assert "keyword_spotting" in found["fsdd"].tasks
    assert found["fsdd"].title == "Free Spoken Digit Dataset"
    assert all(recipe.title for recipe in found.values())
    assert [name for name, recipe in found.items() if not recipe.tasks] == ["noises"]  # there is nothing to train
    assert recipe_readme("fsdd").startswith("# Free Spoken Digit Dataset")


def test_a_copy_runs_beside_another(tmp_path: Path) -> None:
    for name in ("fsdd", "wakewords"):
        script = copy_recipe(name, tmp_path / "mine")
        done = subprocess.run([script, "--help"], capture_output=True, text=True, check=True)
        assert done.stdout.startswith(f"Usage: {tmp_path / 'mine' / name}/run.sh")


def test_a_recipe_comes_with_what_its_scripts_read(tmp_path: Path) -> None:
    copy_recipe("quickstart", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["common.sh", "fsdd", "quickstart"]
    assert len(list(tmp_path.glob("quickstart/corpus/audio/*/*.ogg"))) == 480
    (tmp_path / "fsdd" / "mine.txt").touch()
    copy_recipe("pretrain", tmp_path)
    assert (tmp_path / "asterisk" / "run.sh").is_file()
    assert (tmp_path / "fsdd" / "mine.txt").is_file()


def test_nothing_of_the_users_own_is_replaced(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="There is no recipe 'fsd'. Did you mean fsdd"):
        copy_recipe("fsd", tmp_path)
    (tmp_path / "common.sh").write_text("mine")
    with pytest.raises(OutputError, match="is not this version's"):
        copy_recipe("fsdd", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["common.sh"]
    copy_recipe("fsdd", tmp_path / "new")
    with pytest.raises(OutputError, match="is there already"):
        copy_recipe("fsdd", tmp_path / "new")
