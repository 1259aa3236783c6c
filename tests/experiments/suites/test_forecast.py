"""What a plan will cost: what is lacking is counted, and what was measured is used."""

from __future__ import annotations

import pytest
from toys.suites import SUITE, TASK, TERA, WORDS, ToySuite

from audiossl.core.config import as_dict
from audiossl.experiments.suites import forecast as module
from audiossl.experiments.suites import speeds
from audiossl.experiments.suites.extraction import extract_features
from audiossl.experiments.suites.forecast import forecast, is_short_of_disk
from audiossl.experiments.suites.recipes import prepare
from audiossl.experiments.suites.speeds import remember_run


@pytest.fixture(autouse=True)
def speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every encoder needs half a second for a second of sound, and a tenth more for each recording."""
    monkeypatch.setattr(speeds, "encoding_speed", lambda upstream: (0.1, 0.5))


def test_before_anything_is_prepared_the_suite_says_how_much_there_is(toy: ToySuite) -> None:
    plan = toy.plan(toy.asked("log_mel", TERA))
    costs = forecast(plan)
    assert costs.audio_s == pytest.approx(2 * 36.0)
    expected = pytest.approx(18.0 + 3.9)  # of 39 recordings
    assert costs.encode_s == {("log_mel", "toy"): expected, (TERA, "toy"): expected}
    assert costs.other_s > 2 * (18.0 + 3.9) * 32 / 39  # the norms of layers are measured on 32 of them
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


def test_what_training_took_is_used(toy: ToySuite) -> None:
    plan = toy.plan(toy.asked())
    (cell,) = plan.cells
    remember_run(cell.task, cell.config, 12.0, 0.0)
    costs = forecast(plan)
    assert costs.guessed == []
    assert costs.seconds(cell) == 12.0
    assert costs.total_s == pytest.approx(12.0 + sum(costs.encode_s.values()) + costs.other_s)


def test_a_head_reads_more_of_a_larger_encoder(toy: ToySuite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "reading_speed", lambda: 1e-6)
    prepare("toy", toy.suite().tasks, toy.data, toy.results().path)
    small, large = toy.plan(toy.asked("log_mel", TERA)).cells
    remember_run(small.task, small.config, 7.0, 0.0)
    costs = forecast(toy.plan(toy.asked("log_mel", TERA)))
    assert costs.seconds(small) == 7.0
    # The mean of three layers of 8 numbers in half precision, of each row in each of 6 steps of 6 rows, and so on.
    rows = 36 + 3 * 39 / 7 + 39 * 5 / 7
    assert costs.seconds(large) == pytest.approx(7.0 + rows * 48 * 1e-6, abs=0.1)


def test_folds_count_each(toy: ToySuite) -> None:
    plan = toy.plan(toy.asked(only=["toy/folds"]))
    (cell,) = plan.cells
    remember_run(cell.task, cell.config, 7.0, 0.0)
    assert forecast(plan).seconds(cell) == pytest.approx(14.0)


def test_rows_that_two_tasks_read_are_counted_once(toy: ToySuite) -> None:
    toy.write_recipe("again", {**WORDS, "trainer": {**WORDS["trainer"], "lr": 0.01}, "data": {**WORDS["data"]}})
    toy.write({**SUITE, "tasks": {"toy/words": TASK, "toy/again": TASK}})
    prepare("toy", toy.suite().tasks, toy.data, toy.results().path)
    both, one = (forecast(toy.plan(toy.asked(only=only))) for only in ((), ("toy/words",)))
    assert both.audio_s == pytest.approx(one.audio_s)
    assert both.cache_bytes == one.cache_bytes


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
