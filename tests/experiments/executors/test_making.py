"""An executor from its name: what is wrong is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from audiossl.core.errors import ConfigError, UnknownNameError
from audiossl.experiments.executors.local.pool import Pool
from audiossl.experiments.executors.making import executor_here, make_executor


def test_options_are_those_of_the_config(tmp_path: Path) -> None:
    made = make_executor("pool", tmp_path, print, {"jobs": 3})
    assert isinstance(made, Pool)
    assert made.config == Pool.Config(jobs=3)
    assert (made.folder, made.say) == (tmp_path, print)


@pytest.mark.parametrize(
    ("name", "options", "error", "sentence"),
    [
        ("poll", {}, UnknownNameError, "There is no executor named 'poll'. Did you mean pool?"),
        ("pool", {"job": 3}, ConfigError, "In the options of the executor pool: .*'job'.*jobs"),
        ("pool", {"jobs": 0}, ConfigError, "In the options of the executor pool: jobs=0 must be at least 1."),
        ("pool", {"jobs": "many"}, ConfigError, "In the options of the executor pool: .*'many'"),
        ("serial", {"jobs": 2}, ConfigError, "In the options of the executor serial: .*'jobs'"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    tmp_path: Path, name: str, options: dict[str, object], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence) as found:
        make_executor(name, tmp_path, print, options)
    assert "\n" not in str(found.value)


def test_without_a_name_it_is_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert executor_here("", {}, 1) == ("serial", {})
    assert executor_here("", {}, 3) == ("pool", {"jobs": 3})
    assert executor_here("pool", {"jobs": 2})[1]["jobs"] == 2
    assert executor_here("slurm", {"partition": "gpu"}) == ("slurm", {"partition": "gpu"})
    monkeypatch.setattr("audiossl.experiments.executors.making.best_device", lambda: torch.device("cuda"))
    assert executor_here("", {}) == ("serial", {})
    with pytest.raises(ConfigError, match="leave it out with --executor ray"):
        executor_here("ray", {}, 2)
    with pytest.raises(ConfigError, match="--jobs -1: choose a number"):
        executor_here("", {}, -1)
