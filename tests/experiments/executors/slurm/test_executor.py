"""Units as jobs: with submitit's own processes always, and with a real Slurm where there is one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from toys.core import ROOT
from toys.units import is_alive, marks, squares, unit, until

from audiossl.core.errors import ConfigError
from audiossl.experiments.executors.contract import Outcome, Unit
from audiossl.experiments.executors.local.serial import Serial
from audiossl.experiments.executors.making import make_executor
from audiossl.experiments.executors.slurm import executor as module
from audiossl.experiments.executors.slurm import queue
from audiossl.experiments.executors.slurm.executor import Slurm

CONFIG = Slurm.Config(cpus=1, mem_gb=0.5)


def by_name(outcomes: list[Outcome]) -> dict[str, Outcome]:
    assert len({outcome.unit for outcome in outcomes}) == len(outcomes)
    return {outcome.unit: outcome for outcome in outcomes}


def test_without_submitit_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "submitit"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ConfigError, match="needs the package submitit.*`pip install audiossl-toolkit.slurm.`"):
        make_executor("slurm", tmp_path, print, {})


def test_without_sbatch_the_error_says_where_to_run_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="needs the command sbatch, which this machine does not have"):
        make_executor("slurm", tmp_path, print, {"partition": "gpu"})


@pytest.mark.parametrize(("expected_s", "minutes"), [(0, 60), (600, 60), (3601, 241)])
def test_the_time_limit_is_four_times_what_is_expected(expected_s: float, minutes: int) -> None:
    assert module._minutes([Unit("a", "b:c", {}, 1.0), Unit("d", "b:c", {}, expected_s)]) == minutes


class TestLocal:
    """submitit's 'local' and 'debug', which need no cluster."""

    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        core = pytest.importorskip("submitit.core.core")
        monkeypatch.setattr(core.Job, "_results_timeout_s", 0)  # it waits so long for slow file systems
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))

    def test_in_this_process(self, tmp_path: Path) -> None:
        made = make_executor("slurm", tmp_path, print, {"cluster": "debug"})
        outcomes = by_name(list(made.run([*squares(tmp_path, 2), unit("refuse", "a", tmp_path)])))
        assert outcomes["square 1"].value == {"square": 1}
        assert outcomes["a"].error == "lr=-1 must be above 0."

    def test_what_it_gives_is_what_one_process_gives(self, tmp_path: Path) -> None:
        for name in ("one", "many"):
            (tmp_path / name).mkdir()
        serial = Serial(tmp_path / "one", print).run(squares(tmp_path / "one", 3))
        made = make_executor("slurm", tmp_path / "many", print, {"cluster": "local"})
        outcomes = by_name(list(made.run(squares(tmp_path / "many", 3))))
        assert {each.unit: each.value for each in serial} == {name: each.value for name, each in outcomes.items()}
        assert set(marks(tmp_path / "many", "done").values()) == {1}
        log = outcomes["square 2"].log
        assert log is not None
        assert "the square of 2" in log.read_text(encoding="utf-8")

    def test_a_job_that_is_killed_costs_its_unit_a_retry(self, tmp_path: Path) -> None:
        said: list[str] = []
        units = [unit("die", "a", tmp_path, times=1), unit("die", "b", tmp_path, times=9), *squares(tmp_path, 1)]
        outcomes = by_name(list(make_executor("slurm", tmp_path, said.append, {"cluster": "local"}).run(units)))
        assert (outcomes["a"].value, outcomes["a"].attempts) == ({"attempt": 2}, 2)
        assert "b: all 2 of its workers ended without a result" in outcomes["b"].error
        assert marks(tmp_path, "begun") == {"a": 2, "b": 2, "square 0": 1}
        assert {line.split(":")[0] for line in said if line.endswith("and is submitted again.")} == {"a", "b"}

    def test_one_that_is_preempted_is_queued_again(self, tmp_path: Path) -> None:
        made = make_executor("slurm", tmp_path, print, {"cluster": "local"})
        (outcome,) = made.run([unit("preempt", "a", tmp_path)], retries=0)
        assert (outcome.value, outcome.attempts) == ({"attempt": 2}, 2)

    def test_closing_cancels_the_jobs(self, tmp_path: Path) -> None:
        made = make_executor("slurm", tmp_path, print, {"cluster": "local"})
        outcomes = made.run([*squares(tmp_path, 1), unit("sleep", "a", tmp_path)])
        next(outcomes)
        until(lambda: marks(tmp_path, "pids"))
        (pid,) = marks(tmp_path, "pids")
        outcomes.close()  # type: ignore[attr-defined]
        until(lambda: not is_alive(int(pid)))

    def test_what_is_missing_on_a_node_is_a_sentence(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "audiossl").mkdir()
        (tmp_path / "audiossl" / "__init__.py").write_text("raise ImportError('no audiossl here')", encoding="utf-8")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        monkeypatch.chdir(tmp_path)
        (outcome,) = make_executor("slurm", tmp_path, print, {"cluster": "local"}).run(squares(tmp_path, 1))
        assert outcome.error == "square 0 could not be computed: ImportError: no audiossl here"
        assert outcome.log is not None


@pytest.mark.slow
@pytest.mark.usefixtures("slurm")
class TestSlurm:
    """On one machine, from the distribution's packages, without accounts."""

    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("submitit")
        monkeypatch.setattr(queue, "EVERY_S", 2.0)

    def test_an_array_gives_what_one_process_gives(self, tmp_path: Path) -> None:
        for name in ("one", "many"):
            (tmp_path / name).mkdir()
        serial = Serial(tmp_path / "one", print).run(squares(tmp_path / "one", 6))
        outcomes = by_name(list(Slurm(tmp_path / "many", print, CONFIG).run(squares(tmp_path / "many", 6))))
        assert {each.unit: each.value for each in serial} == {name: each.value for name, each in outcomes.items()}
        assert set(marks(tmp_path / "many", "done").values()) == {1}

    def test_a_job_that_is_killed_costs_its_unit_a_retry(self, tmp_path: Path) -> None:
        units = [unit("die", "a", tmp_path, times=1), unit("die", "b", tmp_path, times=9), *squares(tmp_path, 2)]
        outcomes = by_name(list(Slurm(tmp_path, print, CONFIG).run(units)))
        assert (outcomes["a"].value, outcomes["a"].attempts) == ({"attempt": 2}, 2)
        assert "b: all 2 of its workers ended without a result" in outcomes["b"].error
        assert outcomes["square 1"].value == {"square": 1}
        assert marks(tmp_path, "begun") == {"a": 2, "b": 2, "square 0": 1, "square 1": 1}

    def test_one_that_is_preempted_is_queued_again_without_a_retry(self, tmp_path: Path) -> None:
        (outcome,) = Slurm(tmp_path, print, CONFIG).run([unit("preempt", "a", tmp_path)], retries=0)
        assert (outcome.value, outcome.attempts) == ({"attempt": 2}, 2)

    def test_training_saves_before_it_is_queued_again(self, tmp_path: Path) -> None:
        outcomes = Slurm(tmp_path, print, CONFIG).run([*squares(tmp_path, 1), unit("train", "a", tmp_path)], retries=0)
        next(outcomes)
        until(lambda: marks(tmp_path, "pids"))
        jobs = subprocess.run(["squeue", "-h", "-r", "-o", "%F_%K"], capture_output=True, text=True, check=True).stdout
        for number in ("TERM", "USR2"):
            subprocess.run(["scancel", "--signal", number, *jobs.split()], check=False)  # one of the two may be over
            until(lambda: marks(tmp_path, "saved"))
        assert next(outcomes).value == {"resumed": True}

    def test_closing_cancels_the_jobs(self, tmp_path: Path) -> None:
        outcomes = Slurm(tmp_path, print, CONFIG).run([*squares(tmp_path, 1), unit("train", "a", tmp_path)])
        next(outcomes)
        until(lambda: marks(tmp_path, "pids"))
        outcomes.close()
        until(lambda: not subprocess.run(["squeue", "-h"], capture_output=True, check=True).stdout)
        assert marks(tmp_path, "saved") == {"a": 1}

    @pytest.mark.parametrize(
        ("options", "said"), [({"partition": "gpux"}, "partition"), ({"sbatch": {"nonsense": "1"}}, "nonsense")]
    )
    def test_what_the_cluster_does_not_take_is_a_sentence(
        self, tmp_path: Path, options: dict[str, Any], said: str
    ) -> None:
        made = make_executor("slurm", tmp_path, print, {"cpus": 1, "mem_gb": 0.5, **options})
        with pytest.raises(ConfigError, match=f"Slurm did not take the jobs: .*{said}.*--executor-option"):
            list(made.run(squares(tmp_path, 2)))
