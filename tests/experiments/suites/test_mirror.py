"""Results behind a URL: all of them arrive, whole and in order, whoever else works there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from toys.buckets import forget_s3, s3_bucket
from toys.suites import WORDS, CountingExecutor, ToySuite

from audiossl.core.errors import ConfigError, OutputError
from audiossl.core.locks import try_lock_file
from audiossl.experiments.suites import mirror as mirror_module
from audiossl.experiments.suites.merging import merge_results
from audiossl.experiments.suites.mirror import Mirror, results_at, working_folder
from audiossl.experiments.suites.results import ResultsFolder
from audiossl.experiments.suites.run import run_suite
from audiossl.experiments.suites.runner import RunOptions

CELL = "cells/toy/words/log_mel/seed0.json"
OTHER = "log_mel,num_features=20"


@pytest.fixture(params=["memory", "file", pytest.param("s3", marks=[pytest.mark.slow, pytest.mark.long])])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of a place that nobody has written to."""
    if request.param == "s3":
        yield f"{s3_bucket(monkeypatch)}/results"
        forget_s3()
        return
    MemoryFileSystem.store.clear()
    yield "memory://bucket/results" if request.param == "memory" else f"file://{tmp_path}/shared/results"
    MemoryFileSystem.store.clear()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Another machine: it has a cache folder of its own."""
    return lambda name: monkeypatch.setenv("AUDIOSSL_CACHE", str(tmp_path / name))


def behind(url: str) -> dict[str, bytes]:
    """All that is there, by name."""
    fs, root = fsspec.core.url_to_fs(url)
    return {str(path)[len(root) + 1 :]: fs.cat_file(path) for path in (fs.find(root) if fs.exists(root) else [])}


def here(path: Path) -> dict[str, bytes]:
    files = (each for each in path.rglob("*") if each.is_file() and not each.name.startswith("."))
    return {each.relative_to(path).as_posix(): each.read_bytes() for each in files}


def run(toy: ToySuite, url: str, *upstreams: str) -> list[str]:
    """The units that were computed."""
    with working_folder(url, toy.lines.append) as place:
        executor = CountingExecutor(toy.path / "executor")
        asked = toy.asked(*upstreams)
        run_suite(asked, ResultsFolder(place.path), place.through(executor), RunOptions(), toy.lines.append)
    return executor.given


def test_what_is_computed_is_behind_the_url_and_goes_on_from_there(toy: ToySuite, url: str, machine: Any) -> None:
    assert len(run(toy, url)) == 2
    found = behind(url)
    assert found == here(results_at(url))
    assert {"suite.json", "results.jsonl", CELL, "data/toy/train.jsonl.gz"} <= set(found)
    assert run(toy, url) == []
    found = behind(url)
    machine("another")
    assert here(results_at(url)) == found
    assert run(toy, url) == []
    (result,) = ResultsFolder(results_at(url)).results()
    assert (results_at(url) / result.predictions).is_file()
    assert results_at(f"{url}/suite.json").read_bytes() == behind(url)["suite.json"]


def test_two_machines_work_at_one_place(toy: ToySuite, url: str, machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each begins before the other one has sent anything."""
    monkeypatch.setattr(mirror_module, "_AT_ONCE", 1000)
    machine("second")
    with working_folder(url, toy.lines.append) as second:
        machine("first")
        run(toy, url)
        machine("second")
        asked, executor = toy.asked(OTHER), CountingExecutor(toy.path / "executor")
        run_suite(asked, ResultsFolder(second.path), second.through(executor), RunOptions(), toy.lines.append)
    found = behind(url)
    assert [json.loads(line)["upstream"] for line in found["results.jsonl"].splitlines()] == ["log_mel", OTHER]
    assert set(json.loads(found["suite.json"])["encoders"]) == {"log_mel", OTHER}
    machine("first")
    assert run(toy, url, "log_mel", OTHER) == []


def test_nothing_is_fetched_or_sent_twice(toy: ToySuite, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run(toy, url)
    mirror = Mirror(url)
    moved: list[str] = []
    monkeypatch.setattr(mirror.fs, "get_file", lambda source, *_: moved.append(source))
    monkeypatch.setattr(mirror.fs, "pipe_file", lambda target, *_: moved.append(target))
    assert not mirror.pull()
    mirror.finish()
    assert moved == []


def test_a_result_is_sent_after_its_run(toy: ToySuite, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    original = Mirror._send
    monkeypatch.setattr(
        Mirror, "_send", lambda self, name, content: (order.append(name), original(self, name, content))
    )
    run(toy, url)
    cell = order.index(CELL)
    runs = [place for place, name in enumerate(order) if name.startswith("runs/")]
    assert runs and max(runs) < cell < order.index("results.jsonl")


def test_no_half_file_is_seen(toy: ToySuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where files grow, each has its name when it is whole."""
    url = f"file://{tmp_path}/shared"
    mirror = Mirror(url)
    mirror.path.mkdir(parents=True)
    (mirror.path / "suite.json").write_text("{}")

    def cut(path: str, content: bytes) -> None:
        Path(path).write_bytes(content[:1])
        raise OSError("the line is down")

    monkeypatch.setattr(mirror.fs, "pipe_file", cut)
    with pytest.raises(OutputError, match=r"^file://.* cannot be written \(the line is down\); what was computed is"):
        mirror.finish()
    assert "suite.json" not in behind(url)
    monkeypatch.undo()
    assert results_at(url) != tmp_path / "shared"


def test_s3_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No bucket is made of a misspelt name, and what is refused is said before anything is computed."""
    monkeypatch.setenv("AUDIOSSL_CACHE", str(tmp_path))
    url = f"{s3_bucket(monkeypatch)}/results"
    with working_folder(url, print) as place:
        place.path.mkdir()
        (place.path / "suite.json").write_text("{}")
    assert behind(url) == {"suite.json": b"{}"}
    mirror = Mirror("s3://misspelt/results")
    assert not mirror.pull()
    mirror.path.mkdir()
    (mirror.path / "suite.json").write_text("{}")
    with pytest.raises(OutputError, match=r"^s3://misspelt/results cannot be written \(.*bucket does not exist"):
        mirror.finish()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    forget_s3()
    with pytest.raises(OutputError, match=r"cannot be read \(.*\); give the credentials that its package looks for"):
        results_at(url)
    forget_s3()


def test_what_could_not_be_sent_goes_with_the_next_command(
    toy: ToySuite, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Mirror(url).fs  # the one of all, which fsspec keeps

    def refused(*given: Any, **more: Any) -> None:
        raise PermissionError("no such key")

    with monkeypatch.context() as patched:
        patched.setattr(kept, "pipe_file", refused)
        with pytest.raises(OutputError, match=r"cannot be written \(no such key\); give the credentials .* What was"):
            run(toy, url)
    assert len([line for line in toy.lines if "cannot be written" in line]) == 1
    assert behind(url) == {}
    assert run(toy, url) == []
    assert behind(url) == here(results_at(url))


def test_what_was_computed_again_replaces_its_run(toy: ToySuite, url: str, machine: Any) -> None:
    run(toy, url)
    machine("second")
    folder = ResultsFolder(results_at(url))
    (result,) = folder.results()
    extra = f"{result.run}/extra.txt"
    (folder.path / extra).touch()
    Mirror(url).finish()
    assert extra in behind(url)
    toy.write_recipe("words", {**WORDS, "trainer": {"steps": 3, "eval_every": 3}})
    (folder.path / extra).unlink()
    assert len(run(toy, url)) == 2
    assert extra not in behind(url)
    machine("cache")
    assert run(toy, url) == []
    (now,) = ResultsFolder(results_at(url)).results()
    assert now.key != result.key
    assert json.loads(behind(url)[CELL]) == now.as_json()


def test_nothing_is_fetched_into_a_folder_that_is_worked_in(toy: ToySuite, url: str) -> None:
    run(toy, url)
    mirror = Mirror(url)
    shutil.rmtree(mirror.path / "cells")
    mirror._state_path.unlink()
    with open(mirror.path / ".lock", "a") as file:
        assert try_lock_file(file)
        # A lock of this process does not keep this process out everywhere, so that only another file handle tells.
        assert not mirror.pull()
    assert mirror.pull()
    assert (mirror.path / "cells").is_dir()


def test_folders_behind_urls_are_merged(toy: ToySuite, url: str) -> None:
    run(toy, url)
    run(toy, f"{url}_b", OTHER)
    with working_folder(f"{url}_all", toy.lines.append) as place:
        merge_results([results_at(url), results_at(f"{url}_b")], place.path)
    assert len(behind(f"{url}_all")["results.jsonl"].splitlines()) == 2


def test_names_that_lead_out_of_the_folder_are_not_fetched(url: str) -> None:
    fs, root = fsspec.core.url_to_fs("memory://bucket/results")
    for name in ("cells/../../out.json", ".hidden", "suite.json"):
        MemoryFileSystem.store[f"{root}/{name}"] = None
        del MemoryFileSystem.store[f"{root}/{name}"]
        fs.pipe_file(f"{root}/{name}", b"{}")
    mirror = Mirror("memory://bucket/results")
    mirror.pull()
    assert set(here(mirror.path)) == {"suite.json"}


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://bucket/results", r"^s3://bucket/results needs a package that is not installed \(Install s3fs"),
        ("nowhere://x", r"^nowhere://x is no place for results \(Protocol not known: nowhere\); name a folder\.$"),
    ],
)
def test_a_place_that_nothing_can_read_is_one_sentence(url: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(ConfigError, match=message):
        results_at(url)
    assert results_at("results/here") == Path("results/here")
