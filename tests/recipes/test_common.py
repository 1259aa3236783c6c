"""recipes/common.sh: what fails stops the script with its code, and only a complete download becomes the corpus."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

RECIPES = Path(__file__).parents[2] / "recipes"


def run_recipe(folder: Path, body: str, *flags: str) -> subprocess.CompletedProcess[str]:
    """A recipe in a folder of its own, whose audiossl is `true`: only the shell is tried here."""
    recipe = folder / "recipe"
    recipe.mkdir(exist_ok=True)
    (recipe / "task.yaml").touch()
    lines = [
        "set -euo pipefail",
        f"recipe={recipe} corpus=made_up upstreams=(log_mel) tasks=(task)",
        f"source {RECIPES / 'common.sh'}",
        body,
        'run_stages "$@"',
    ]
    (recipe / "run.sh").write_text("\n".join(lines) + "\n")
    environment = {name: value for name, value in os.environ.items() if name != "AUDIOSSL_DATA"}
    return subprocess.run(
        ["bash", str(recipe / "run.sh"), *flags],
        env={**environment, "PYTHON": "true"},
        cwd=folder,
        capture_output=True,
        text=True,
    )


def test_a_complete_download_becomes_the_corpus_and_is_not_fetched_again(tmp_path: Path) -> None:
    body = 'download() { mkdir -p "$1" && touch "$1/a.wav"; }\nprepare() { echo "prepare $data $manifests"; }'
    first = run_recipe(tmp_path, body, "--stop-stage", "1")
    assert first.returncode == 0, first.stderr
    assert "prepare data/downloads/made_up data/recipe" in first.stdout
    assert (tmp_path / "data/downloads/made_up/a.wav").is_file()
    second = run_recipe(tmp_path, "download() { exit 9; }", "--stop-stage", "0")
    assert (second.returncode, "The recordings are in data/downloads/made_up." in second.stdout) == (0, True)


@pytest.mark.parametrize("fails", ["false", "(exit 7)", "fail 'no network; fetch it elsewhere.'"])
def test_a_failed_download_stops_and_leaves_no_corpus(tmp_path: Path, fails: str) -> None:
    body = f'download() {{ mkdir -p "$1"; {fails}; echo "went on"; }}'
    done = run_recipe(tmp_path, body)
    assert done.returncode == (7 if "7" in fails else 1)
    assert "went on" not in done.stdout
    assert not (tmp_path / "data/downloads/made_up").exists()
    assert ("error: no network; fetch it elsewhere." in done.stderr) == ("network" in fails)


@pytest.mark.parametrize("stage", ["prepare", "train_run", "evaluate_run"])
def test_a_stage_that_fails_stops_the_script(tmp_path: Path, stage: str) -> None:
    body = f'download() {{ mkdir -p "$1"; }}\n{stage}() {{ false; echo "went on"; }}\nreport_all() {{ echo reported; }}'
    done = run_recipe(tmp_path, body)
    assert done.returncode == 1
    assert "went on" not in done.stdout and "reported" not in done.stdout


def test_without_recordings_and_without_a_download_it_says_where_to_look(tmp_path: Path) -> None:
    done = run_recipe(tmp_path, "")
    assert done.returncode == 1
    assert done.stderr.startswith("error: there are no recordings; run stage 0, name their folder with --data")
    assert done.stderr.count("\n") == 1
