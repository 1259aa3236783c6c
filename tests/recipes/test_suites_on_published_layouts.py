"""The suite superb on miniatures of its corpora, from the published folders to the tables; and an installed suite."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from toys.core import ROOT
from toys.published import (
    write_fluent_speech_commands,
    write_iemocap,
    write_librimix,
    write_librispeech,
    write_quesst14,
    write_snips,
    write_speech_commands,
    write_voxceleb,
)
from toys.recipes import run_script
from toys.warm import python

from audiossl.experiments.suites.definition import read_suite, why_missing
from audiossl.experiments.suites.results import ResultsFolder

ENCODER = "tera:random,width=16,num_layers=2,num_heads=2,ffn_width=32"
STEPS = ("trainer.steps=2", "trainer.eval_every=1")
SUPERB = ROOT / "audiossl" / "experiments" / "suites" / "superb.yaml"
METRICS = {
    "librispeech/phone_recognition": ("per", 16),
    "librispeech/asr": ("wer", 16),
    "speech_commands/keyword_spotting": ("accuracy", 24),
    "quesst14/query_by_example": ("mtwv", 2),
    "voxceleb1/speaker_identification": ("accuracy", 22),
    "voxceleb1/speaker_verification": ("eer", 66),
    "librimix/diarization": ("der", 2),
    "fluent_speech_commands/intent_classification": ("accuracy", 6),
    "snips/slot_filling": ("slot_type_f1", 16),
    "iemocap/emotion_superb": ("wa", 100),
}


def command(cwd: Path, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """`audiossl suite <arguments>` as a user runs it."""
    given = {"AUDIOSSL_CACHE": str(cwd / "cache"), "AUDIOSSL_DATA": "", **environment}
    return run_script(Path(python()), "-m", "audiossl", "suite", *map(str, arguments), cwd=cwd, **given)


@pytest.fixture
def corpora(tmp_path: Path) -> Path:
    folder = tmp_path / "corpora"
    folder.mkdir()
    write_iemocap(folder)
    write_speech_commands(folder)
    write_librispeech(folder)
    write_librimix(folder)
    write_quesst14(folder)
    write_fluent_speech_commands(folder)
    write_snips(folder)
    write_voxceleb(folder, 2.6)  # none may be shorter than 2 s
    return folder


def smaller(path: Path) -> Path:
    """superb with fewer learning rates, and a recogniser that a processor trains in a second."""
    layer: dict[str, Any] = yaml.safe_load(SUPERB.read_text(encoding="utf-8"))
    for task in layer["tasks"].values():
        if "lr" in task.get("search", {}):
            task["search"]["lr"] = task["search"]["lr"][2:4]
    for name in ("librispeech/asr", "snips/slot_filling"):
        layer["tasks"][name]["settings"] = {"task": {"head": {"projector_width": 16, "hidden": 16}}}
    path.write_text(yaml.safe_dump(layer, sort_keys=False))
    return path


@pytest.mark.slow
def test_superb_from_its_folders_to_the_tables(corpora: Path, tmp_path: Path) -> None:
    """The plan is that of the suite itself. What is trained is smaller, so that it takes minutes."""
    given = ("--data", corpora, "--upstream", ENCODER, "--out", "results")
    plan = command(tmp_path, "plan", "superb", *given, "--json", *STEPS)
    assert plan.returncode == 0, plan.stderr
    planned = json.loads(plan.stdout)
    assert {cell["task"] for cell in planned["cells"]} == METRICS.keys()
    missing = {name for name, task in read_suite("superb").tasks.items() if why_missing(name, task)}
    assert planned["left_out"].keys() == missing
    assert not missing & METRICS.keys()

    suite = smaller(tmp_path / "superb.yaml")
    done = command(tmp_path, "run", suite, *given, "--jobs", 1, *STEPS)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in missing:
        assert f"{name} is left out, because the task " in done.stderr
    found = {cell.task: cell for cell in ResultsFolder(tmp_path / "results").results() if not cell.fold}
    assert found.keys() == METRICS.keys()
    for name, (metric, num_items) in METRICS.items():
        cell = found[name]
        assert cell.state == "finished", cell.error
        assert cell.figure is not None
        assert (cell.metric, cell.num_items) == (metric, num_items)
        assert cell.setting in ("superb", "keyword_spotting", "speaker_identification", "phone_recognition")
    assert found["iemocap/emotion_superb"].folds == ["Ses01", "Ses02", "Ses03", "Ses04", "Ses05"]
    assert {tried.values["lr"] for tried in found["librispeech/asr"].trials} == {1e-3, 1e-4}

    again = command(tmp_path, "run", suite, *given, "--jobs", 1, *STEPS)
    assert again.stdout.startswith(f"All {len(METRICS)} cells are done")
    for form in ("markdown", "latex", "csv", "card"):
        table = command(tmp_path, "export", "results", "--format", form)
        assert table.returncode == 0, table.stderr
        assert "librispeech" in table.stdout
    site = command(tmp_path, "report", "results", "--out", "site")
    assert site.returncode == 0, site.stderr
    pages = " ".join(page.read_text(encoding="utf-8") for page in (tmp_path / "site").rglob("*.html"))
    assert "not checked against" in pages  # of the reference points
    assert all(name in pages for name in METRICS)


@pytest.mark.slow
def test_an_installed_suite_runs_by_its_name(tmp_path: Path) -> None:
    """A distribution with an entry point, as pip leaves it on the path."""
    (tmp_path / "corpora").mkdir()
    write_speech_commands(tmp_path / "corpora")
    package, facts = tmp_path / "site" / "their_suites", tmp_path / "site" / "their_suites-1.0.dist-info"
    package.mkdir(parents=True)
    facts.mkdir()
    (package / "__init__.py").touch()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: their-suites\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[audiossl.suites]\ntheirs = their_suites\n")
    task = {"corpus": "speech_commands", "metric": "uar", "settings": {"task": {"pooling": "statistics"}}}
    suite = {"title": "Theirs", "tasks": {"speech_commands/keyword_spotting": task}}
    (package / "theirs.yaml").write_text(yaml.safe_dump(suite))
    path = f"{ROOT}:{tmp_path / 'site'}"
    listed = command(tmp_path, "list", PYTHONPATH=path)
    assert "theirs, version 1: Theirs" in listed.stdout, listed.stderr
    given = ("--data", "corpora", "--upstream", "log_mel", "--out", "results", "--jobs", 1)
    done = command(tmp_path, "run", "theirs", *given, *STEPS, PYTHONPATH=path)
    assert done.returncode == 0, done.stderr
    (cell,) = ResultsFolder(tmp_path / "results").results()
    assert (cell.suite, cell.metric, cell.num_items) == ("theirs", "uar", 24)
    assert cell.identity.settings["task"]["pooling"] == "statistics"
