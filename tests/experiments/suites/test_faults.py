"""What goes wrong around a suite: one clear sentence each, and nothing lost."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from toys.suite_commands import SuiteCommands, kill, workers_of
from toys.suites import SUITE, TASK, WORDS, ToySuite

from audiossl.core.errors import AudiosslError, TrainingError

BOTH = ("toy/words", "toy/folds")
needs_proc = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="workers are found in /proc")


@pytest.fixture
def small_disk(toy: ToySuite) -> Iterator[Callable[[str], None]]:
    """The results folder on a disk of a size that can be changed."""
    folder = toy.results().path
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip("a file system cannot be mounted here")

    def resize(size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)

    yield resize
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize(
    "size", ["40k", "300k", *(pytest.param(size, marks=pytest.mark.slow) for size in ("4k", "150k"))]
)
def test_a_full_disk(toy: ToySuite, small_disk: Callable[[str], None], size: str) -> None:
    """Wherever it is full. With more room the same command goes on, and computes what is lacking."""
    asked = toy.asked("log_mel", "log_mel,num_features=20", only=BOTH)
    small_disk(size)
    said: list[str] = []
    try:
        toy.run(asked)
    except AudiosslError as error:
        said.append(str(error))
    said += [line for line in toy.lines if "full" in line or "space" in line]
    assert said
    assert all("No space left" in line or "disk is full" in line for line in said)
    whole = [result for result in toy.results().results() if result.state == "finished"]
    small_disk("64m")
    after, given = toy.run(asked)
    assert after.is_done
    assert not {result.title for result in whole} & set(given)
    assert [result for result in toy.results().results() if result.key in {each.key for each in whole}] == whole


def test_a_manifest_that_was_edited_computes_its_task_again_and_no_other(toy: ToySuite) -> None:
    asked = toy.asked(only=BOTH)
    toy.run(asked)
    folds = toy.cell("toy/folds")
    manifests = toy.results().data("toy")
    shutil.copy(manifests / "dev.jsonl.gz", manifests / "train.jsonl.gz")
    _, given = toy.run(asked)
    assert "toy/words with log_mel, seed 0: computed again, because of the rows of train." in toy.lines
    assert [name for name in given if not name.startswith("encode")] == ["toy/words with log_mel, seed 0"]
    assert toy.cell("toy/folds") == folds


def test_a_share_says_that_it_waits_for_a_run_of_all_cells(toy: ToySuite) -> None:
    toy.results().path.mkdir()
    program = (
        "import sys, time\n"
        "from audiossl.core.locks import lock_file\n"
        "file = open(sys.argv[1], 'a')\n"
        "print(lock_file(file), flush=True)\n"
        "time.sleep(3)"
    )
    command = [sys.executable, "-c", program, str(toy.results().path / ".lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline()
        after, _ = toy.run(toy.asked(), share=(0, 2))
    assert after.is_done
    assert toy.lines[0].endswith("this share begins when it has ended.")


def test_a_suite_with_an_unknown_task(audiossl: Callable[..., Any], toy: ToySuite) -> None:
    toy.write({**SUITE, "tasks": {"toy/wrds": TASK}})
    done = audiossl("suite", "run", toy.file, "--upstream", "log_mel", "--data", toy.data, "--out", toy.path / "out")
    assert done.code == 2
    assert "there is no task 'toy/wrds'. Did you mean toy/words" in done.err
    assert done.err.count("\n") == 1
    assert not (toy.path / "out").exists()


def test_results_that_are_damaged_are_named(toy: ToySuite) -> None:
    toy.run(toy.asked(only=BOTH))
    path = toy.results().cell("toy/words", "log_mel", 0)
    path.write_text(path.read_text()[:100])
    with pytest.raises(
        AudiosslError, match=r"seed0\.json is not readable JSON .*; remove it, so that its cell is computed"
    ):
        toy.run(toy.asked(only=BOTH))
    path.unlink()
    after, given = toy.run(toy.asked(only=BOTH))
    assert after.is_done
    assert [name for name in given if not name.startswith("encode")] == ["toy/words with log_mel, seed 0"]


@pytest.fixture
def long(toy: ToySuite) -> SuiteCommands:
    """Commands on four cells of many steps each."""
    toy.write_recipe("words", {**WORDS, "trainer": {"steps": 100, "eval_every": 25, "lr": 0.001}})
    toy.write({**SUITE, "tasks": {"toy/words": {**TASK, "search": {"seeds": [0, 1, 2, 3]}}}})
    return SuiteCommands(toy, "results")


def until(condition: Callable[[], Any], process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
def test_two_runs_on_one_folder_at_once(toy: ToySuite, long: SuiteCommands) -> None:
    first = long.start(["log_mel"], "--executor", "serial")
    until(lambda: long.results(), first)
    with pytest.raises(TrainingError, match=r"^Another `suite run` works in .*; wait for it, .*--shard 1/2"):
        toy.run(toy.asked(only=()))
    assert first.wait(120) == 0
    assert len(long.figures()) == 4


@pytest.mark.slow
@needs_proc
def test_a_worker_that_is_killed_costs_a_retry(long: SuiteCommands) -> None:
    process = long.start(["log_mel"], "--executor", "pool", "--jobs", "2")
    until(lambda: long.results(), process)
    kill(workers_of(process)[0])
    assert process.wait(120) == 0
    assert "its worker ended without a result, and another one computes it." in long.log.read_text()
    assert len(long.figures()) == 4
    assert max(long.computed().values()) == 1


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("executor", ["serial", "pool"])
def test_ctrl_c_and_the_same_command_again(long: SuiteCommands, executor: str) -> None:
    arguments = ("--executor", executor, *(["--jobs", "2"] if executor == "pool" else []))
    process = long.start(["log_mel"], *arguments)
    until(lambda: any(result.state == "begun" for result in long.results().values()), process)
    kill(process.pid, signal.SIGINT)
    assert process.wait(120) == 130
    assert "Interrupted. The same command goes on." in long.log.read_text()
    assert "Traceback" not in long.log.read_text()
    assert long.num_finished < 4
    long.run(["log_mel"], *arguments)
    assert len(long.figures()) == 4
    assert max(long.computed().values()) == 1
