"""A results folder of made-up predictions, read once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from toys.suite_results import make_results

from audiossl.experiments.suites.results import ResultsFolder
from audiossl.report.suites.reading import SuiteResults, read_results
from audiossl.report.suites.standings import Standings, standings


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> ResultsFolder:
    """Four encoders of known order on five tasks, and one that failed on the first task. Nobody writes here."""
    return make_results(tmp_path_factory.mktemp("suite") / "results", broken="hf:broken")


@pytest.fixture(scope="session")
def found(made: ResultsFolder) -> SuiteResults:
    return read_results(made)


@pytest.fixture(scope="session")
def ranked(found: SuiteResults) -> Standings:
    return standings(found)


@pytest.fixture
def own(made: ResultsFolder, tmp_path: Path) -> ResultsFolder:
    """A copy that a test may change."""
    shutil.copytree(made.path, tmp_path / "own")
    return ResultsFolder(tmp_path / "own")
