"""What a plan will cost: what is lacking is counted, and what was measured is used."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from toys.suites import SUITE, TASK, TERA, ToySuite

from audiossl.core.config import as_dict
from audiossl.encoders.loading import load_upstream
from audiossl.experiments.suites import forecast as module
from audiossl.experiments.suites.extraction import extract_features
from audiossl.experiments.suites.forecast import (
    Forecast,
    forecast,
    is_short_of_disk,
    remember_speed,
    seconds_per_second,
)
from audiossl.experiments.suites.recipes import prepare


@pytest.fixture(autouse=True)
def speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every encoder needs half a second for a second of sound."""
    monkeypatch.setattr(module, "seconds_per_second", lambda upstream: 0.5)


def test_before_anything_is_prepared_the_suite_says_how_much_there_is(toy: ToySuite) -> None:
    plan = toy.plan(toy.asked("log_mel", TERA))
    costs = forecast(plan)
    assert costs.audio_s == pytest.approx(2 * 36.0)
    assert costs.encode_s == {("log_mel", "toy"): pytest.approx(18.0), (TERA, "toy"): pytest.approx(18.0)}
    assert costs.guessed == [cell.title for cell in plan.cells]
    text = " ".join(costs.lines(plan))
    assert text.startswith("2 cells, 0 of them there already, 2 to compute. About ")
    assert "2 cells are of tasks that were never computed here: their time is a guess." in text
    assert text.endswith("their share of the cache is not counted: toy/words.")


def test_what_the_cache_lacks_is_counted_once_for_all_tasks_of_a_corpus(toy: ToySuite) -> None:
    toy.write({**SUITE, "tasks": {"toy/words": TASK, "toy/folds": TASK}})
    prepare("toy", toy.suite().tasks, toy.data, toy.results().path)
    plan = toy.plan(toy.asked(only=()))
    costs = forecast(plan)
    assert costs.unknown == []
    first = costs.audio_s
    assert 8.0 < first < 18.0  # twice 27 recordings of 0.3 s: folds are of another manifest
    assert costs.cache_bytes > 0
    extract_features({cell.title: as_dict(cell.config) for cell in plan.cells}, (0, 1))
    after = forecast(toy.plan(toy.asked(only=())))
    assert after.audio_s == 0.0
    assert after.cache_bytes == 0


def test_what_training_took_is_used_for_other_numbers_of_steps(toy: ToySuite) -> None:
    plan = toy.plan(toy.asked())
    (cell,) = plan.cells
    for seconds in (8.0, 12.0, 100.0):
        remember_speed(cell.task, cell.config, seconds)
    costs = forecast(plan)
    assert costs.guessed == []
    assert costs.seconds(cell) == pytest.approx(12.0, rel=0.2)  # the median
    (longer,) = toy.plan(toy.asked(over={"trainer": {"steps": 600}})).cells
    assert forecast(toy.plan(toy.asked(over={"trainer": {"steps": 600}}))).seconds(longer) > costs.seconds(cell)


def test_folds_count_each(toy: ToySuite) -> None:
    plan = toy.plan(toy.asked(only=["toy/folds"]))
    (cell,) = plan.cells
    remember_speed(cell.task, cell.config, 7.0)
    assert forecast(plan).seconds(cell) == pytest.approx(14.0)


def test_a_program_can_read_it(toy: ToySuite) -> None:
    plan = toy.plan(toy.asked())
    made = forecast(plan).as_json(plan)
    assert made["audio_s"] == pytest.approx(36.0)
    (cell,) = made["cells"]
    assert (cell["task"], cell["upstream"], cell["seed"], cell["state"]) == ("toy/words", "log_mel", 0, "new")
    assert cell["seconds"] > 0


def test_what_is_done_costs_nothing(toy: ToySuite) -> None:
    toy.run(toy.asked())
    costs = forecast(toy.plan(toy.asked()))
    assert (costs.total_s, costs.audio_s, costs.cache_bytes) == (0, 0.0, 0)


def test_the_disk_is_short_where_states_of_all_encoders_do_not_fit(
    toy: ToySuite, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare("toy", toy.suite().tasks, toy.data, toy.results().path)
    plan = toy.plan(toy.asked("log_mel", TERA))
    assert not is_short_of_disk(plan)
    monkeypatch.setattr(module, "free_bytes", lambda root: 2000)
    assert is_short_of_disk(plan)
    assert not is_short_of_disk(toy.plan(toy.asked("log_mel")))  # one alone has to fit


def test_speed_is_measured_on_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    clock: Any = iter(range(100))
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    assert seconds_per_second(load_upstream("log_mel")) == pytest.approx(1 / 8)  # a second for twice four seconds
    assert Forecast().total_s == 0
