"""Units as tasks of Ray: on a Ray of our own, and on a cluster of three nodes of which one is killed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from toys.core import ROOT
from toys.units import is_alive, marks, squares, unit, until

from audiossl.core.errors import ConfigError
from audiossl.experiments.executors.contract import Outcome
from audiossl.experiments.executors.local.serial import Serial
from audiossl.experiments.executors.making import make_executor

STORE_BYTES = 80 * 2**20  # the least that Ray takes, nearly


def by_name(outcomes: list[Outcome]) -> dict[str, Outcome]:
    assert len({outcome.unit for outcome in outcomes}) == len(outcomes)
    return {outcome.unit: outcome for outcome in outcomes}


def test_without_ray_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match="needs the package ray.*`pip install audiossl-toolkit.ray.`"):
        make_executor("ray", tmp_path, print, {})


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What processes of Ray begin with."""
    pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "tests")]))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")


@pytest.mark.slow
@pytest.mark.usefixtures("environment")
class TestOwnRay:
    """A Ray that is started for the run and ends with it."""

    def test_what_it_gives_is_what_one_process_gives(self, tmp_path: Path) -> None:
        import ray

        for name in ("one", "many"):
            (tmp_path / name).mkdir()
        serial = Serial(tmp_path / "one", print).run(squares(tmp_path / "one", 6))
        made = make_executor("ray", tmp_path / "many", print, {})
        units = [*squares(tmp_path / "many", 6), unit("stumble", "a", tmp_path), unit("environment", "b", tmp_path)]
        outcomes = by_name(list(made.run(units)))
        failed, found = outcomes.pop("a"), outcomes.pop("b").value or {}
        assert {each.unit: each.value for each in serial} == {name: each.value for name, each in outcomes.items()}
        assert set(marks(tmp_path / "many", "done").values()) == {1}
        assert failed.error == "a failed: ZeroDivisionError: integer division or modulo by zero"
        assert failed.log is not None
        assert "Traceback" in failed.log.read_text(encoding="utf-8")
        assert (found["threads"], found["torch"]) == ("1", False)
        assert not ray.is_initialized()

    def test_a_worker_that_is_killed_costs_its_unit_a_retry(self, tmp_path: Path) -> None:
        units = [
            unit("die", "a", tmp_path, times=1),
            unit("die", "b", tmp_path, times=9),
            unit("interrupt", "c", tmp_path),
        ]
        outcomes = by_name(list(make_executor("ray", tmp_path, print, {}).run([*units, *squares(tmp_path, 3)])))
        assert (outcomes["a"].value, outcomes["a"].attempts) == ({"attempt": 2}, 2)
        assert (outcomes["b"].value, outcomes["b"].attempts) == (None, 2)
        assert "b: all 2 of its workers ended without a result" in outcomes["b"].error
        assert (outcomes["c"].value, outcomes["c"].attempts) == ({"attempt": 2}, 2)
        assert marks(tmp_path, "begun") == {"a": 2, "b": 2, "c": 2, "square 0": 1, "square 1": 1, "square 2": 1}

    def test_closing_lets_training_save(self, tmp_path: Path) -> None:
        outcomes = make_executor("ray", tmp_path, print, {}).run([*squares(tmp_path, 1), unit("train", "a", tmp_path)])
        next(outcomes)
        until(lambda: marks(tmp_path, "pids"))
        (pid,) = marks(tmp_path, "pids")
        outcomes.close()  # type: ignore[attr-defined]
        assert marks(tmp_path, "saved") == {"a": 1}
        until(lambda: not is_alive(int(pid)))

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ({"num_cpus": 1000}, "No node of Ray has 1000 processors and 0 GPUs.*; lower num_cpus or num_gpus."),
            ({"address": "auto"}, "Ray does not answer at auto: .*ray start --head"),
        ],
    )
    def test_what_cannot_be_had_is_a_sentence(self, tmp_path: Path, options: dict[str, Any], sentence: str) -> None:
        with pytest.raises(ConfigError, match=sentence):
            list(make_executor("ray", tmp_path, print, options).run(squares(tmp_path, 1)))


@pytest.fixture
def cluster(environment: None) -> Iterator[Any]:
    """Two nodes of one processor each, as processes of this machine."""
    import ray
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": STORE_BYTES})
    made.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.mark.slow
@pytest.mark.long
def test_a_node_of_three_that_is_killed_costs_what_it_had_and_nothing_else(tmp_path: Path, cluster: Any) -> None:
    for name in ("one", "many"):
        (tmp_path / name).mkdir()
    expected = [(each.unit, each.value) for each in Serial(tmp_path / "one", print).run(squares(tmp_path / "one", 24))]
    folder = tmp_path / "many"
    node = cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
    (raylet,) = (each.process.pid for each in node.all_processes["raylet"])
    outcomes: list[Outcome] = []
    for outcome in make_executor("ray", folder, print, {"address": cluster.address}).run(squares(folder, 24, 1.0)):
        outcomes.append(outcome)
        if len(outcomes) == 6:
            until(lambda: marks(folder, f"by {raylet}") - marks(folder, "done"))  # it has a unit, and is in it
            cluster.remove_node(node, allow_graceful=False)
    assert sorted((each.unit, each.value) for each in outcomes) == sorted(expected)
    begun, done = marks(folder, "begun"), marks(folder, "done")
    # The node had one unit, which was begun again. No other was.
    assert sorted(begun.values())[-2:] == [1, 2]
    assert set(done.values()) == {1}
    assert {each.unit: each.attempts for each in outcomes} == begun
