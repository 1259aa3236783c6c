"""An executor from its name: what is wrong is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiossl.core.errors import ConfigError, UnknownNameError
from audiossl.experiments.executors.local.pool import Pool
from audiossl.experiments.executors.making import make_executor


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
