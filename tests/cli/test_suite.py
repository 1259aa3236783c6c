"""`audiossl suite` on a toy suite: what it prints, what it leaves, and what is wrong in a sentence."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toys.suites import SUITE, TASK, ToySuite, make_toy_suite

from audiossl.downstreams.utterance_classification.task import UtteranceClassification

Command = Callable[..., Any]


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ToySuite:
    monkeypatch.setattr(UtteranceClassification, "figures", lambda *_: {})
    monkeypatch.chdir(tmp_path)
    made = make_toy_suite(tmp_path, monkeypatch)
    made.write({**SUITE, "tasks": {"toy/words": SUITE["tasks"]["toy/words"]}})
    return made


def run(audiossl: Command, toy: ToySuite, *more: object, verb: str = "run") -> Any:
    given = ("--upstream", "log_mel", "--data", toy.data, "--out", "results")
    jobs = ("--jobs", 1) if verb == "run" and "--executor" not in more else ()
    return audiossl("suite", verb, toy.file, *given, *jobs, *more)


def test_suites_are_listed_with_what_they_need(audiossl: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    done = audiossl("suite", "list")
    assert done.code == 0
    for name in ("bio", "emotion", "layers", "mini", "speaker", "superb"):
        assert f"{name}, version 1: " in done.out
    assert (
        "  esc10/sounds: ten environmental sounds (accuracy)\n      folder esc10_16k below --data, recipes/" in done.out
    )
    assert "missing:" not in done.out
    one = audiossl("suite", "list", "emotion", "--json")
    (found,) = json.loads(one.out)
    assert list(found["tasks"]) == ["nemo/emotion", "iemocap/emotion"]


def test_from_a_plan_to_the_table(audiossl: Command, toy: ToySuite) -> None:
    before = run(audiossl, toy, verb="plan")
    assert before.code == 0, before.err
    assert "1 cells, 0 of them there already, 1 to compute." in before.out
    assert not (toy.path / "results").exists()
    done = run(audiossl, toy)
    assert done.code == 0, done.err
    assert "toy/words" in done.out
    assert "Results: results" in done.out
    assert "1/1 toy/words with log_mel, seed 0: accuracy (%) " in done.err
    again = run(audiossl, toy)
    assert again.out == "All 1 cells are done; see `audiossl suite report results`.\n"
    status = audiossl("suite", "status", "results")
    assert "finished" in status.out
    (toy.path / "results" / "results.jsonl").unlink()  # as where the end of a run was killed
    assert run(audiossl, toy).out == again.out
    assert len((toy.path / "results" / "results.jsonl").read_text().splitlines()) == 1
    (cell,) = json.loads(audiossl("suite", "status", "results", "--json").out)
    assert cell["state"] == "finished"
    planned = json.loads(run(audiossl, toy, "--json", verb="plan").out)
    assert [found["state"] for found in planned["cells"]] == ["done"]
    assert planned["cells"][0]["key"] == cell["key"]
    table = audiossl("suite", "export", "results", "--format", "csv")
    assert "toy,1,log_mel,toy/words,accuracy,max," in table.out
    assert audiossl("suite", "export", "results", "--out", "table.md").code == 0
    assert "log_mel" in (toy.path / "table.md").read_text()


def test_a_search_with_a_budget_and_settings_of_every_experiment(audiossl: Command, toy: ToySuite) -> None:
    toy.write({**SUITE, "tasks": {"toy/words": {**TASK, "search": {"lr": [0.1, 0.01, 0.001]}}}})
    done = run(audiossl, toy, "--budget", "2", "trainer.steps=8", "trainer.eval_every=2")
    assert done.code == 0, done.err
    cell = toy.cell()
    assert len(cell.trials) == 3
    assert cell.identity.settings["sweep"]["budget"] == 2.0
    assert cell.identity.settings["trainer"]["steps"] == 8


def test_minutes_become_trainings_once(audiossl: Command, toy: ToySuite) -> None:
    toy.write({**SUITE, "tasks": {"toy/words": {**TASK, "search": {"lr": [0.1, 0.01, 0.001]}}}})
    folder = toy.results()
    folder.path.mkdir()
    folder.lock_path.write_text(json.dumps({"budgets": {"1m": 2.5}}))
    planned = run(audiossl, toy, "--budget", "1m", "--json", verb="plan")
    assert planned.code == 0, planned.err
    done = run(audiossl, toy, "--budget", "1m", "trainer.steps=8", "trainer.eval_every=2")
    assert done.code == 0, done.err
    assert toy.cell().identity.settings["sweep"]["budget"] == 2.5
    assert json.loads(folder.lock_path.read_text())["budgets"] == {"1m": 2.5}
    assert json.loads(folder.lock_path.read_text())["budget"] == 2.5
    wrong = run(audiossl, toy, "--budget", "soon")
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)
    assert "--budget soon: give the full trainings that each search may cost" in wrong.err


def test_a_cell_that_fails_is_said_and_is_an_error(audiossl: Command, toy: ToySuite) -> None:
    done = run(audiossl, toy, "interface=layer", "interface_options.index=7")
    assert done.code == 1
    assert "toy/words with log_mel, seed 0: failed. " in done.err
    assert "1 of 1 cells failed; see `audiossl suite status results`." in done.err
    assert "Traceback" not in done.err
    assert "failed: " in audiossl("suite", "status", "results").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mine", "--upstream", "log_mel"], "There is no suite named 'mine'."),
        (["toy.yaml", "--upstream", "log_mell"], "log_mell"),
        (
            ["toy.yaml", "--upstream", "log_mel", "--only", "toy/wrds"],
            "The suite 'toy' has no task 'toy/wrds'. Did you",
        ),
        (["toy.yaml", "--upstream", "log_mel", "--data", "nowhere"], "nowhere is no folder; name the folder of the"),
        (
            ["toy.yaml", "--upstream", "log_mel", "--executor", "slrm"],
            "There is no executor named 'slrm'. Did you mean",
        ),
        (["toy.yaml", "--upstream", "log_mel", "--executor", "ray", "--jobs", "2"], "leave it out with --executor ray"),
        (["toy.yaml", "--upstream", "log_mel", "--jobs", "-1"], "--jobs -1: choose a number of processes"),
        (["toy.yaml", "--upstream", "log_mel", "--shard", "3/2"], "3/2"),
        (["toy.yaml", "--upstream", "log_mel", "trainer.stepz=1"], "stepz"),
    ],
)
def test_what_is_wrong_is_one_sentence(audiossl: Command, toy: ToySuite, arguments: list[str], message: str) -> None:
    done = audiossl("suite", "run", *arguments, "--out", "results")
    assert done.code != 0
    assert message in done.err
    assert "Traceback" not in done.err
    assert not list(toy.path.glob("results/cells/*"))


def test_a_corpus_that_is_missing_is_named_with_the_way_to_get_it(audiossl: Command, toy: ToySuite) -> None:
    (toy.data / "toy").rename(toy.data / "elsewhere")
    done = run(audiossl, toy)
    assert done.code == 2
    assert "toy/words: left out, because there is no folder toy in " in done.err
    assert "get it: make it." in done.err
    assert "There is nothing to compute of the suite 'toy'; the lines above say why." in done.err


def test_a_corpus_that_cannot_be_prepared_is_an_error_at_the_end(audiossl: Command, toy: ToySuite) -> None:
    (toy.data / "toy" / "broken").touch()
    done = run(audiossl, toy)
    assert done.code == 1
    assert "left out, because The recordings of toy cannot be prepared: the list of files is damaged." in done.err
    assert "1 of 1 cells could not be begun; the first lines say why." in done.err


def test_without_data_nothing_is_guessed(audiossl: Command, toy: ToySuite) -> None:
    done = audiossl("suite", "plan", toy.file, "--upstream", "log_mel")
    assert done.code == 0
    assert "0 cells" in done.out
    assert "toy/words is left out: nobody has said where the recordings are" in done.out.replace("\n", " ")


def test_ray_that_is_not_installed_is_one_sentence(
    audiossl: Command, toy: ToySuite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    done = run(audiossl, toy, "--executor", "ray")
    assert done.code == 2
    assert (
        "The executor ray needs the package ray, which is not installed; run `pip install audiossl-toolkit[ray]`."
        in (done.err)
    )
    assert "Traceback" not in done.err


def test_a_run_with_nothing_to_do_loads_no_encoder(
    audiossl: Command, toy: ToySuite, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(audiossl, toy).code == 0
    for module in ("encoders.kept", "experiments.suites.encoders"):
        monkeypatch.setattr(f"audiossl.{module}.load_upstream", None)
    monkeypatch.setattr("audiossl.experiments.suites.speeds.load_upstream", None)
    monkeypatch.setattr("audiossl.experiments.suites.recipes.subprocess", None)
    assert run(audiossl, toy).code == 0


def test_a_folder_without_results_is_one_sentence(audiossl: Command, toy: ToySuite) -> None:
    assert audiossl("suite", "status", "none").out == "none has no results yet.\n"
    for verb in (["export", "none"], ["compare", "none", "a", "b"]):
        done = audiossl("suite", *verb)
        assert done.code == 2
        assert "error: none" in done.err
        assert "Traceback" not in done.err


def test_results_behind_a_url(audiossl: Command, toy: ToySuite) -> None:
    url = f"file://{toy.path}/shared/results"
    assert "0 of them there already" in run(audiossl, toy, "--out", url, verb="plan").out
    done = run(audiossl, toy, "--out", url)
    assert done.code == 0, done.err
    assert f"Results: {url}" in done.out
    assert (toy.path / "shared" / "results" / "cells" / "toy" / "words" / "log_mel" / "seed0.json").is_file()
    assert run(audiossl, toy, "--out", url).out == f"All 1 cells are done; see `audiossl suite report {url}`.\n"
    assert "finished" in audiossl("suite", "status", url).out
    assert "log_mel" in audiossl("suite", "export", url).out
    assert audiossl("suite", "report", url, "--out", "site").code == 0
    merged = audiossl("suite", "merge", url, "--out", f"{url}_merged")
    assert merged.code == 0, merged.err
    assert (toy.path / "shared" / "results_merged" / "results.jsonl").is_file()
    again = audiossl("suite", "repeat", f"{url}/suite.json", "--out", f"{url}_merged", "--data", toy.data, "--jobs", 1)
    assert again.out.startswith("All 1 cells are done"), again.err
    wrong = run(audiossl, toy, "--out", "nowhere://results")
    assert wrong.code == 2
    assert wrong.err.startswith("error: nowhere://results is no place for results")
    assert not Path("nowhere:").exists()
