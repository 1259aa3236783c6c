"""Results folders put together: what is taken, what contradicts, and a merge that is run again."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from toys.suites import ToySuite

from audiossl.core.errors import ConfigError
from audiossl.core.files import read_json, write_json
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


def test_folders_of_other_suites_are_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    first, second = folders
    lock = read_json(second / "suite.json")
    write_json(second / "suite.json", {**lock, "suite": {**lock["suite"], "version": 2}})
    with pytest.raises(ConfigError, match="version 2"):
        merge_results(folders, tmp_path / "merged")
    with pytest.raises(ConfigError, match="has no results"):
        merge_results([first, tmp_path / "nothing"], tmp_path / "merged")
