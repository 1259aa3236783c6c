"""Scores, ranks and tests of a suite against what its made-up encoders are known to be."""

from __future__ import annotations

import json

import numpy as np
import pytest
from toys.suite_results import QUALITY

from audiossl.experiments.suites.results import ResultsFolder
from audiossl.report.suites.reading import SuiteResults, read_results
from audiossl.report.suites.standings import Standings, standings


def test_the_order_is_the_true_one(ranked: Standings, found: SuiteResults) -> None:
    assert ranked.ranked == list(QUALITY)
    assert ranked.order(found.upstreams) == [*QUALITY, "hf:broken"]
    scores = [ranked.scores[name].value for name in QUALITY]
    assert scores == sorted(scores, reverse=True)


def test_an_encoder_that_lacks_a_task_has_no_rank_and_a_partial_score(ranked: Standings) -> None:
    assert ranked.rank("hf:broken") is None and ranked.win("hf:broken", "spectral") is None
    assert ranked.missing["hf:broken"] == ["digits/keywords"]
    assert ranked.missing["spectral"] == []
    assert ranked.scores["hf:broken"].num_clusters == 4


def test_the_figure_of_one_seed_is_that_of_its_cell(ranked: Standings, found: SuiteResults) -> None:
    (cell,) = found.whole("birds/calls", "spectral")
    assert ranked.tasks["birds/calls"].figures["spectral"].metric == cell.metrics["map"]


def test_seeds_are_averaged_with_the_interval_of_the_test_set(ranked: Standings, found: SuiteResults) -> None:
    figure = ranked.tasks["digits/keywords"].figures["spectral"]
    cells = found.whole("digits/keywords", "spectral")
    values = [cell.metrics["accuracy"].value for cell in cells]
    assert figure.metric.value == pytest.approx(np.mean(values)) and figure.seeds == values
    assert figure.deviation == pytest.approx(np.std(values, ddof=1))
    assert figure.metric.cluster == "speaker" and figure.metric.num_clusters == 20
    lows = [cell.metrics["accuracy"].low for cell in cells]
    assert figure.metric.low == pytest.approx(np.mean([low for low in lows if low is not None]), abs=0.03)


def test_the_score_is_the_mean_over_tasks(ranked: Standings) -> None:
    parts = []
    for task in ranked.tasks.values():
        low, high = task.definition.reference.low, task.definition.reference.high
        assert low is not None and high is not None
        parts.append(1000 * (task.figures["spectral"].metric.value - low) / (high - low))
    assert ranked.scores["spectral"].value == pytest.approx(np.mean(parts))


def test_pairs_are_corrected_over_all_tasks(ranked: Standings) -> None:
    pairs = [pair for task in ranked.tasks.values() for pair in task.pairs]
    assert len(pairs) == 4 * 10 + 6
    for pair in pairs:
        assert pair.difference.p_value is not None and pair.corrected is not None
        assert pair.corrected >= pair.difference.p_value
    far = next(p for p in pairs if {p.first, p.second} == {"wave_large", "spectral:random"})
    assert far.is_real


def test_a_warning_names_the_test_set_that_an_encoder_was_trained_on(ranked: Standings) -> None:
    assert ranked.warnings == {"wave_large": {"digits/keywords": ["Toy Commands"]}}


def test_without_predictions_ranks_rest_on_intervals(own: ResultsFolder) -> None:
    for path in own.path.glob("runs/birds/calls/spectral/*/test/predictions.jsonl"):
        path.unlink()
    made = standings(read_results(own))
    task = made.tasks["birds/calls"]
    assert task.pairs == [] and "nothing is paired" in task.notes[0]
    assert made.ranked == list(QUALITY)


def test_other_items_are_not_paired(own: ResultsFolder) -> None:
    (path,) = own.path.glob("runs/birds/calls/spectral/*/test/predictions.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({**row, "id": "other" + row["id"]}) + "\n" for row in rows))
    task = standings(read_results(own)).tasks["birds/calls"]
    assert task.pairs == [] and "different items" in task.notes[0]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[3:]))
    task = standings(read_results(own)).tasks["birds/calls"]
    assert len(task.pairs) == 10 and "157 items" in task.notes[0]


def test_one_encoder_has_a_score_and_no_rank(found: SuiteResults) -> None:
    alone = SuiteResults(found.folder, found.suite, [cell for cell in found.cells if cell.upstream == "spectral"])
    made = standings(alone)
    assert made.ranks is None and made.rank("spectral") is None
    assert made.order(alone.upstreams) == ["spectral"] and made.scores["spectral"].value > 0
