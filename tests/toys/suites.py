"""A suite of two small tasks on made-up sounds, its recipe, and an executor that takes down what it is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from audiossl.experiments.executors.contract import Outcome, Unit
from audiossl.experiments.executors.local.serial import Serial
from audiossl.experiments.suites import definition, recipes
from audiossl.experiments.suites.definition import Suite, read_suite
from audiossl.experiments.suites.encoders import known_encoder, parse_encoder
from audiossl.experiments.suites.plan import Asked, Plan, make_plan
from audiossl.experiments.suites.results import CellResult, ResultsFolder
from audiossl.experiments.suites.run import run_suite
from audiossl.experiments.suites.runner import RunOptions
from toys.core import write_corpus

# The first stage alone: what `prepare.py` of a real recipe makes is there already, and is copied.
SCRIPT = """#!/usr/bin/env bash
set -eu
while (($#)); do [[ $1 != --data ]] || data=$2; shift; done
[[ ! -f $data/toy/broken ]] || { echo "error: the list of files is damaged." >&2; exit 1; }
mkdir -p data/toy
for file in "$data"/toy/manifests/*.gz; do
    cp "$file" data/toy/.part
    mv data/toy/.part "data/toy/${file##*/}"
done
echo prepared >>prepared.txt
"""
WORDS: dict[str, Any] = {
    "downstream": "utterance_classification",
    "interface": "weighted_sum",
    "data": {"dir": "data/toy", "batch_size": 6},
    "trainer": {"steps": 6, "eval_every": 3, "lr": 0.02},
}
FOLDS = {**WORDS, "folds": {"by": "k:2", "group": ""}}
REFERENCE = {"low": 0.3, "high": 1.0, "source": "chance and no error"}
TASK = {"title": "a tone or noise", "corpus": "toy", "metric": "accuracy", "size": {"rows": 39, "hours": 0.01}}
SUITE: dict[str, Any] = {
    "version": 1,
    "title": "Two toy tasks",
    "tasks": {
        "toy/words": {
            **TASK,
            "get": "make it",
            "reference": {"low": 0.3, "high": 1.0, "source": "chance and no error"},
        },
        "toy/folds": dict(TASK),
    },
}
TERA = "tera:random,width=8,num_layers=2,num_heads=2,ffn_width=16"


class CountingExecutor(Serial):
    """This process, with the names of all units that it was given."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, print)
        self.given: list[str] = []

    def run(self, units: Sequence[Unit], *, retries: int = 1) -> Iterator[Outcome]:
        self.given += [unit.name for unit in units]
        yield from super().run(units, retries=retries)


class ToySuite:
    """The corpus, the recipe and the suite in a folder, and runs of it."""

    def __init__(self, path: Path) -> None:
        self.path, self.data, self.recipes = path, path / "corpora", path / "recipes"
        self.file, self.lines = path / "toy.yaml", list[str]()
        made = write_corpus(self.data / "toy", {"train": 4, "dev": 2, "test": 3})
        parts = [(made / f"{split}.jsonl.gz").read_bytes() for split in ("train", "dev", "test")]
        (made / "all.jsonl.gz").write_bytes(b"".join(parts))
        (self.recipes / "toy").mkdir(parents=True)
        (self.recipes / "toy" / "run.sh").write_text(SCRIPT)
        self.write_recipe("words", WORDS)
        self.write_recipe("folds", FOLDS)
        self.write(SUITE)

    def write(self, suite: Mapping[str, Any]) -> None:
        """Another definition."""
        self.file.write_text(yaml.safe_dump(dict(suite), sort_keys=False))

    def write_recipe(self, name: str, settings: Mapping[str, Any]) -> None:
        (self.recipes / "toy" / f"{name}.yaml").write_text(yaml.safe_dump(dict(settings)))

    def results(self, name: str = "results") -> ResultsFolder:
        return ResultsFolder(self.path / name)

    def suite(self, *only: str) -> Suite:
        return read_suite(str(self.file)).only(list(only))

    def asked(self, *upstreams: str, only: Sequence[str] = ("toy/words",), **more: Any) -> Asked:
        known = [known_encoder(parse_encoder(text)) for text in upstreams or ("log_mel",)]
        return Asked(self.suite(*only), known, **{"data": self.data, **more})

    def plan(self, asked: Asked, name: str = "results") -> Plan:
        return make_plan(asked, self.results(name))

    def run(self, asked: Asked, name: str = "results", **options: Any) -> tuple[Plan, list[str]]:
        """The plan at the end, and the names of all units that were computed."""
        executor = CountingExecutor(self.path / "executor")
        self.lines.clear()
        after = run_suite(asked, self.results(name), executor, RunOptions(**options), self.lines.append)
        return after, executor.given

    def cell(self, task: str = "toy/words", upstream: str = "log_mel", name: str = "results") -> CellResult:
        folder = self.results(name)
        return folder.read(folder.cell(task, upstream, 0))


def make_toy_suite(path: Path, monkeypatch: pytest.MonkeyPatch) -> ToySuite:
    """A toy suite whose recipe is the only one, with a cache of its own."""
    made = ToySuite(path)
    monkeypatch.setenv("AUDIOSSL_CACHE", str(path / "cache"))
    monkeypatch.delenv("AUDIOSSL_DATA", raising=False)
    for module in (definition, recipes):
        monkeypatch.setattr(module, "RECIPES", made.recipes)
    return made
