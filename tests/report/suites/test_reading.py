"""What a results folder says, also where parts of it are missing, damaged or of another version."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from toys.suite_results import KINDS, QUALITY

from audiossl.core.errors import AudiosslError
from audiossl.experiments.suites.results import ResultsFolder
from audiossl.report.suites.reading import SuiteResults, read_results, trained_on_test


def test_tasks_are_in_the_order_of_the_suite(found: SuiteResults) -> None:
    assert found.tasks == list(KINDS)
    assert set(found.upstreams) == {*QUALITY, "hf:broken"}
    assert [cell.seed for cell in found.whole("digits/keywords", "spectral")] == [0, 1]
    assert [cell.fold for cell in found.folds("acted/emotion", "spectral")] == list("12345")
    assert {cell.upstream for cell in found.failures} == {"hf:broken"}


def test_predictions_are_found_in_a_folder_that_was_moved(own: ResultsFolder) -> None:
    results = read_results(own)
    (cell,) = results.whole("reading/words", "spectral")
    evaluation = results.evaluation(cell)
    assert evaluation is not None and len(evaluation.predictions) == 60


def test_a_folder_without_results_is_no_results_folder(tmp_path: Path) -> None:
    with pytest.raises(AudiosslError, match="holds no results"):
        read_results(tmp_path)


def test_without_the_lock_file_the_cells_say_what_they_can(own: ResultsFolder) -> None:
    own.lock_path.unlink()
    results = read_results(own)
    assert results.task("voices/verification").mode == "min"
    assert results.task("voices/verification").metric == "eer"
    assert "suite.json" in results.notes[0]


def test_what_another_version_says_of_a_suite_is_passed_over(own: ResultsFolder) -> None:
    stored = json.loads(own.lock_path.read_text())
    stored["suite"]["colour"] = "red"
    stored["suite"]["tasks"]["birds/calls"]["reference"]["sort"] = "new"
    own.lock_path.write_text(json.dumps(stored))
    assert read_results(own).task("birds/calls").reference.low == 0.3
    own.lock_path.write_text("{}")
    with pytest.raises(AudiosslError, match="names no suite"):
        read_results(own)


def test_versions_that_are_mixed_are_said(own: ResultsFolder) -> None:
    path = own.cell("birds/calls", "spectral", 0)
    path.write_text(json.dumps({**json.loads(path.read_text()), "suite_version": 2}))
    assert "1 of version 2" in read_results(own).notes[0]


@pytest.mark.parametrize("predictions", ["../outside.jsonl", "/etc/hostname", "runs/nothing.jsonl", ""])
def test_predictions_are_read_from_within_the_folder_only(own: ResultsFolder, predictions: str) -> None:
    (own.path.parent / "outside.jsonl").write_text("{}\n")
    (own.path.parent / "metrics.json").write_text("{}")
    path = own.cell("birds/calls", "spectral", 0)
    path.write_text(json.dumps({**json.loads(path.read_text()), "predictions": predictions}))
    results = read_results(own)
    assert results.evaluation(results.whole("birds/calls", "spectral")[0]) is None


@pytest.mark.parametrize(
    ("test_sets", "said", "expected"),
    [
        (["ESC-50"], ["trained on esc 50 and AudioSet"], ["ESC-50"]),
        (["ESC-50"], ["ESC-500"], ["ESC-50"]),
        (["FSDD"], ["words that hold xfsddx"], []),
        ([""], ["anything"], []),
    ],
)
def test_names_of_corpora_are_compared_as_words(test_sets: list[str], said: list[str], expected: list[str]) -> None:
    assert trained_on_test(test_sets, said) == expected
