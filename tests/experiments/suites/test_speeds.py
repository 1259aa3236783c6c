"""What was measured and remembered, and what is made of it for another encoder or number of steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from audiossl.encoders.loading import load_upstream
from audiossl.experiments.building import build_downstream
from audiossl.experiments.config import Experiment
from audiossl.experiments.suites import speeds as module
from audiossl.experiments.suites.speeds import (
    START_S,
    EncoderSpeed,
    Reading,
    bytes_per_row,
    encoding_speed,
    expected_seconds,
    mean_seconds,
    num_steps,
    past_runs,
    reading_speed,
    remember_run,
    rows_read,
)


@pytest.fixture
def config(experiment: Callable[..., Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    """40 steps of 6 rows, an evaluation each 20 steps."""
    monkeypatch.setenv("AUDIOSSL_CACHE", str(tmp_path / "cache"))
    return experiment()


def test_an_encoder_takes_time_for_a_recording_and_for_each_second(monkeypatch: pytest.MonkeyPatch) -> None:
    took = {8000: 0.3, 64000: 1.0}  # samples: seconds
    monkeypatch.setattr(module, "_seconds_of_batch", lambda upstream, device, size, s: took[round(s * 16000)])
    row_s, second_s = encoding_speed(load_upstream("log_mel"))
    assert second_s == pytest.approx(0.2)
    assert row_s == pytest.approx(0.2, abs=0.01)
    assert EncoderSpeed(1.0, 0.1, row_s, second_s).seconds(10, 30.0) == pytest.approx(8.0, rel=0.01)


def test_speeds_are_those_of_this_machine() -> None:
    row_s, second_s = encoding_speed(load_upstream("log_mel"))
    assert 0 < row_s < 1
    assert 0 <= second_s < 1
    assert 1e-12 < reading_speed() < 1e-6


def test_without_a_past_it_is_a_guess(config: Experiment) -> None:
    seconds, is_guess = expected_seconds("toy/words", config)
    assert is_guess
    assert START_S < seconds < START_S + 5
    longer, _ = expected_seconds("toy/words", config, Reading(num_rows=100, encode_s=0.1, mark_s=2.0))
    assert longer == pytest.approx(seconds + 14)


def test_what_a_run_took_is_used_for_other_numbers_of_steps(config: Experiment) -> None:
    for seconds in (8.0, 12.0, 100.0):
        remember_run("toy/words", config, seconds, 1000.0)
    assert expected_seconds("toy/words", config) == (12.0, False)  # the median
    twice = replace(config, trainer=replace(config.trainer, steps=80))
    assert expected_seconds("toy/words", twice)[0] == pytest.approx(START_S + 2 * (12.0 - START_S))
    assert expected_seconds("toy/others", config)[1]


def test_hidden_states_of_another_encoder_take_longer_to_read(config: Experiment) -> None:
    remember_run("toy/words", config, 8.0, 1000.0)
    other = replace(config, upstream="fbank")
    reading = Reading(num_rows=500, row_bytes=5000.0, byte_s=1e-6, mark_s=0.5)
    assert expected_seconds("toy/words", other, reading) == (pytest.approx(8.0 + 1.0 + 500 * 4000 * 1e-6), False)
    # The encoder itself has been there: nothing is reckoned.
    assert expected_seconds("toy/words", config, reading) == (8.0, False)
    remember_run("toy/words", other, 20.0, 5000.0)
    assert expected_seconds("toy/words", other, reading) == (20.0, False)
    assert expected_seconds("toy/words", other, replace_encode(reading)) == (20.0, False)


def replace_encode(reading: Reading) -> Reading:
    return reading._replace(encode_s=1.0)


def test_nine_runs_are_kept(config: Experiment) -> None:
    for seconds in range(12):
        remember_run("toy/words", config, float(seconds), 0.0)
    assert [run.seconds for run in past_runs("toy/words", config)] == [float(each) for each in range(3, 12)]


def test_steps_of_all_members_count(experiment: Callable[..., Experiment]) -> None:
    assert num_steps(experiment()) == 40
    assert num_steps(experiment("sweep.lr=[0.1,0.01,0.001,1e-4]")) == 160
    assert num_steps(experiment("sweep.lr=[0.1,0.01,0.001,1e-4]", "sweep.budget=2.5")) == 100


def test_rows_are_read_in_steps_and_evaluations(config: Experiment) -> None:
    assert rows_read(config, 70, 1.0) == pytest.approx(40 * 6 + 3 * 10 + 50)
    assert rows_read(config, 70, 1.0, num_folds=5) == pytest.approx(40 * 6 + 3 * 14 + 42)
    short = replace(config, data=replace(config.data, batch_size=None, max_duration_s=4.0))
    assert rows_read(short, 70, 2.0) == pytest.approx(40 * 2 + 3 * 10 + 50)


def test_bytes_depend_on_the_form(config: Experiment) -> None:
    upstream = load_upstream("log_mel")
    task = build_downstream(replace(config, task={"labels": ["a", "b"]}), upstream)
    frames = upstream.num_frames(8000)
    assert bytes_per_row(task, "frames", 0.5) == 2 * 80 * frames
    assert bytes_per_row(task, "pooled", 0.5) == 2 * 80
    assert bytes_per_row(task, "statistics", 0.5) == 4 * 80
    assert bytes_per_row(task, "off", 0.5) == 0


def test_rows_last_as_long_as_they_do(config: Experiment) -> None:
    assert mean_seconds(config) == pytest.approx(0.3, abs=0.2)
