"""A hundred cells by a pool whose workers and whose command are killed: as if one process had computed them."""

from __future__ import annotations

import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from toys.suite_commands import SuiteCommands, kill, workers_of
from toys.suites import SUITE, TASK, WORDS, ToySuite, make_toy_suite

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="workers are found in /proc"),
]
UPSTREAMS = [f"log_mel,num_features={8 + 2 * number}" for number in range(10)]
POOLINGS = ("mean", "max", "attention", "statistics", "attentive_statistics")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToySuite]:
    """Five tasks with two seeds each."""
    with pytest.MonkeyPatch.context() as patch:
        made = make_toy_suite(tmp_path_factory.mktemp("suite"), patch)
        for pooling in POOLINGS:
            made.write_recipe(pooling, {**WORDS, "task": {"pooling": pooling}})
        tasks = {f"toy/{pooling}": {**TASK, "search": {"seeds": [0, 1]}} for pooling in POOLINGS}
        made.write({**SUITE, "tasks": tasks})
        yield made


@pytest.fixture(scope="module")
def alone(toy: ToySuite) -> SuiteCommands:
    """What one process computes, one cell after another."""
    made = SuiteCommands(toy, "alone")
    made.run(UPSTREAMS, "--executor", "serial")
    assert len(made.figures()) == 100
    assert len({predictions for *_, predictions in made.figures().values()}) > 90  # of few words, some agree
    return made


@pytest.mark.long
def test_a_hundred_cells_with_random_kills(toy: ToySuite, alone: SuiteCommands) -> None:
    """The figures are the same to the last digit, and no cell is computed to its end twice."""
    made, choose = SuiteCommands(toy, "killed"), random.Random(0)
    arguments = ("--executor", "pool", "--jobs", "2", "--retries", "5")
    num_workers = 0
    for number in [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGKILL]:
        process = made.start(UPSTREAMS, *arguments)
        aim = made.num_finished + choose.randint(3, 15)
        while process.poll() is None and made.num_finished < aim:
            time.sleep(choose.uniform(0.1, 3.0))
            if choose.random() < 0.4 and (workers := workers_of(process)):
                kill(choose.choice(workers))
                num_workers += 1
        workers = workers_of(process)
        kill(process.pid, number)
        process.wait(120)
        _wait_for_the_end(workers)
    assert 0 < made.num_finished < 100
    assert num_workers > 3
    # Where all retries of a cell were used up, the same command computes it.
    process = made.start(UPSTREAMS, *arguments)
    while process.poll() is None:
        time.sleep(choose.uniform(2.0, 8.0))
        if num_workers < 30 and (workers := workers_of(process)):
            kill(choose.choice(workers))
            num_workers += 1
    made.run(UPSTREAMS, *arguments)
    assert made.figures() == alone.figures()
    assert max(made.computed().values()) == 1
    assert "All 100 cells are done" in made.run(UPSTREAMS)
    assert not list(made.folder.path.glob("cells/**/*.part"))
    assert len(made.folder.results_path.read_text().splitlines()) == 100


def test_two_shares_at_the_same_time_in_one_folder(toy: ToySuite) -> None:
    made, whole = SuiteCommands(toy, "shares"), SuiteCommands(toy, "whole")
    given = ("--executor", "serial", "--only", "toy/mean", "--only", "toy/max")
    whole.run(UPSTREAMS[:4], *given)
    shares = [made.start(UPSTREAMS[:4], *given, "--shard", f"{number}/2") for number in (1, 2)]
    assert [share.wait(600) for share in shares] == [0, 0], made.log.read_text()[-4000:]
    assert len(made.figures()) == 16
    assert made.figures() == whole.figures()
    assert set(made.computed().values()) == {1}
    assert len(made.folder.results_path.read_text().splitlines()) == 16


def _wait_for_the_end(pids: list[int]) -> None:
    """A command that was killed takes its workers with it."""
    end = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < end, "workers outlive their command"
        time.sleep(0.1)
