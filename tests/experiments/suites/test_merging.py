"""Results folders put together: what is taken, what contradicts, and a merge that is run again."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toys.suites import ToySuite

from audiossl.core.errors import ConfigError
from audiossl.core.files import read_json, write_json
from audiossl.experiments.suites import merging
from audiossl.experiments.suites.merging import merge_results
from audiossl.experiments.suites.results import ResultsFolder, failed

OTHER = "log_mel,num_features=20"


@pytest.fixture
def folders(toy: ToySuite) -> tuple[Path, Path]:
    """Two folders with the results of an upstream each."""
    made = (toy.path / "a", toy.path / "b")
    for path, upstream in zip(made, ("log_mel", OTHER), strict=True):
        toy.run(toy.asked(upstream, only=["toy/words"]))
        (toy.path / "results").rename(path)
    return made


def test_upstreams_of_both_are_in_one_folder(folders: tuple[Path, Path], tmp_path: Path) -> None:
    to = tmp_path / "merged"
    lines = merge_results(folders, to)
    assert [line.split(": ")[1] for line in lines] == ["1 results taken.", "1 results taken."]
    found = {result.upstream: result for result in ResultsFolder(to).results()}
    assert set(found) == {"log_mel", OTHER}
    for result in found.values():
        assert (to / result.predictions).is_file()
        assert (to / result.run / "config.yaml").is_file()
    assert set(read_json(to / "suite.json")["encoders"]) == {"log_mel", OTHER}
    assert len((to / "results.jsonl").read_text().splitlines()) == 2
    before = {path: path.stat().st_mtime_ns for path in to.rglob("*.safetensors")}
    merge_results(folders, to)  # as after a kill
    assert before == {path: path.stat().st_mtime_ns for path in to.rglob("*.safetensors")}
    assert list(ResultsFolder(to).results()) == list(found.values())


def test_a_finished_result_goes_before_a_failed_one(folders: tuple[Path, Path], tmp_path: Path) -> None:
    first, _ = folders
    copy = tmp_path / "copy"
    shutil.copytree(first, copy)
    (result,) = ResultsFolder(copy).results()
    ResultsFolder(copy).write(failed(result, "It failed."))
    for order in ([copy, first], [first, copy]):
        to = tmp_path / order[0].name / "merged"
        merge_results(order, to)
        assert [each.state for each in ResultsFolder(to).results()] == ["finished"]


def test_results_that_contradict_each_other_are_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    first, _ = folders
    copy = tmp_path / "copy"
    shutil.copytree(first, copy)
    (result,) = ResultsFolder(copy).results()
    identity = replace(result.identity, code={**result.identity.code, "loop": "another"})
    ResultsFolder(copy).write(replace(result, key="another", identity=identity))
    to = tmp_path / "merged"
    with pytest.raises(ConfigError, match=r"different results of toy/words with log_mel, seed 0 \(the code of loop\)"):
        merge_results([first, copy], to)
    assert not to.exists()


def changed(folder: Path, created: str) -> None:
    """As if another version had computed the one cell of a folder at another time."""
    (result,) = ResultsFolder(folder).results()
    identity = replace(result.identity, code={**result.identity.code, "loop": "another"})
    ResultsFolder(folder).write(replace(result, key="another", identity=identity, created=created))
    (folder / result.run / "note.txt").write_text("another")


@pytest.mark.parametrize(
    ("created", "key"), [("2000-01-01T00:00:00+00:00", ""), ("2100-01-01T00:00:00+00:00", "another")]
)
def test_the_newer_of_two_is_taken_where_the_user_says_so(
    folders: tuple[Path, Path], tmp_path: Path, created: str, key: str
) -> None:
    """With its run and nothing of the other's, also in the folder that has the older one."""
    first, _ = folders
    copy = tmp_path / "copy"
    shutil.copytree(first, copy)
    changed(copy, created)
    (first_result,) = ResultsFolder(first).results()
    (first / first_result.run / "only_here.txt").touch()
    for to in (tmp_path / "merged", first):
        merge_results([first, copy], to, newest=True)
        (found,) = ResultsFolder(to).results()
        assert found.key == (key or first_result.key)
        assert (to / found.run / "note.txt").is_file() == bool(key)
        assert (to / found.run / "only_here.txt").is_file() == (not key)
        assert (to / found.predictions).is_file()
        assert not list(to.rglob("*.part"))


def test_folds_of_two_experiments_are_not_mixed(toy: ToySuite, tmp_path: Path) -> None:
    toy.run(toy.asked(only=["toy/folds"]), "a")
    shutil.copytree(toy.path / "a", toy.path / "b")
    old = ResultsFolder(toy.path / "b")
    for result in list(old.results()):
        identity = replace(result.identity, settings={**result.identity.settings, "seed": 7})
        newer = result.fold == "1"
        made = replace(result, key=f"old{result.fold}", identity=identity, created="2100" if newer else "2000")
        old.write(made)
    merge_results([toy.path / "b", toy.path / "a"], tmp_path / "merged", newest=True)
    found = list(ResultsFolder(tmp_path / "merged").results())
    assert [result.fold for result in found] == ["1", "2", ""]
    assert found == list(ResultsFolder(toy.path / "a").results())


def test_what_was_begun_here_gives_way_to_what_was_finished_there(folders: tuple[Path, Path], tmp_path: Path) -> None:
    first, _ = folders
    copy = tmp_path / "copy"
    shutil.copytree(first, copy)
    (result,) = ResultsFolder(copy).results()
    ResultsFolder(copy).write(replace(result, state="begun"))
    (copy / result.run / "half.txt").touch()
    merge_results([first], copy)
    assert list(ResultsFolder(copy).results()) == [result]
    assert not (copy / result.run / "half.txt").exists()


def test_a_merge_that_was_killed_goes_on(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After every number of files."""
    whole = tmp_path / "whole"
    merge_results(folders, whole)
    expected = contents(whole)
    original = merging.shutil.copy2
    for stop in range(0, len(expected), 3):
        to, left = tmp_path / f"merged{stop}", [stop]

        def copied(*given: Any, left: list[int] = left) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return original(*given)

        monkeypatch.setattr(merging.shutil, "copy2", copied)
        with suppress(KeyboardInterrupt):
            merge_results(folders, to)
        monkeypatch.setattr(merging.shutil, "copy2", original)
        merge_results(folders, to)
        assert contents(to) == expected


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".part"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_results_on_other_recordings_are_said(folders: tuple[Path, Path], tmp_path: Path) -> None:
    _, second = folders
    (result,) = ResultsFolder(second).results()
    identity = replace(result.identity, manifests={**result.identity.manifests, "test": "others"})
    ResultsFolder(second).write(replace(result, identity=identity))
    lines = merge_results(folders, tmp_path / "merged")
    assert lines[-1].startswith("toy/words: the manifests of its results differ")


def test_folders_of_other_suites_are_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    first, second = folders
    lock = read_json(second / "suite.json")
    write_json(second / "suite.json", {**lock, "suite": {**lock["suite"], "version": 2}})
    with pytest.raises(ConfigError, match="version 2"):
        merge_results(folders, tmp_path / "merged")
    with pytest.raises(ConfigError, match="has no results"):
        merge_results([first, tmp_path / "nothing"], tmp_path / "merged")
