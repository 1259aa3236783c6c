"""What is left out of what is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiossl.core.errors import OutputError
from audiossl.experiments.config import read_experiment
from audiossl.experiments.folder import RunFacts
from audiossl.experiments.publishing.private import (
    names_file,
    public_command,
    public_config,
    public_facts,
    require_public,
    without_files,
)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("audiossl train /secret/a.yaml --out /x/y", "audiossl train a.yaml"),
        (
            "audiossl train a.yaml upstream=hf:o/n interface=last",
            "audiossl train a.yaml upstream=hf:o/n interface=last",
        ),
        ("audiossl train a.yaml upstream=/home/Jane Doe/e.pt seed=1", "audiossl train a.yaml upstream=... seed=1"),
        (
            "audiossl train a.yaml data.train=mine task.trials.test=a/b.txt",
            "audiossl train a.yaml data.train=... task.trials.test=...",
        ),
        ("audiossl pretrain --resume patients/run", "audiossl pretrain"),
        ("audiossl /home/jane/script.py seed=1", ""),
        ("audiossl", ""),
        ("", ""),
    ],
)
def test_a_command_without_paths(command: str, expected: str) -> None:
    assert public_command(command) == expected


def test_settings_of_this_machine_become_those_of_every_other(tmp_path: Path) -> None:
    settings = ["data.dir=/mine", "data.train=patients.jsonl", "data.compose={who: {jane: 1.0}}", "data.batch_size=3"]
    options = [
        "task={trials: {test: /mine/t.txt}, labels: [a/b]}",
        "cache.dir=/mine",
        "cache.max_gb=3",
        "trainer.lr=0.5",
    ]
    config = public_config(read_experiment(None, settings + options), "run:encoder.safetensors", {"precision": "bf16"})
    assert config.data == read_experiment(None, ["data.batch_size=3"]).data
    assert config.task == {"trials": {}, "labels": ["a/b"]}
    assert (config.cache.dir, config.cache.max_gb, config.trainer.lr) == ("", None, 0.5)
    assert (config.upstream, config.upstream_options) == ("run:encoder.safetensors", {"precision": "bf16"})


def test_facts_of_this_machine_are_left_out() -> None:
    facts = RunFacts(command="audiossl train a.yaml data.dir=/x", num_trainable=3, key="k", identity={"rows": "/x"})
    sent = public_facts(facts).as_json()
    assert (sent["command"], sent["folder"], sent["num_trainable"]) == ("audiossl train a.yaml data.dir=...", "", 3)
    assert not {"key", "identity", "members"} & sent.keys()


def test_what_names_a_file(tmp_path: Path) -> None:
    (tmp_path / "units").mkdir()
    for text in ("/a", "~/a", "C:\\a", "a/b.txt", str(tmp_path)):
        assert names_file(text)
    assert names_file("units", str(tmp_path))
    for text in ("", "speech/music", "mean", "1.5", "units", "a\0b", "x" * 5000):
        assert not names_file(text)
    assert without_files({"a": "/a", "b": {"c": "~/x", "d": 1}}) == {"b": {"d": 1}}


def test_a_place_of_this_machine_in_a_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('"/home/me/x"')
    require_public(tmp_path, ["a.json"], ["/home", "", "relative", "/home/you"])
    with pytest.raises(OutputError, match=r"a\.json would tell others of /home/me, so nothing is sent"):
        require_public(tmp_path, ["a.json"], ["/home/me/"])


def test_of_a_distillation_it_stays_that_there_was_one(tmp_path: Path) -> None:
    """Its teacher by a path, and its rows, are nobody's."""
    made = [f"distill={tmp_path}/teacher.safetensors", f"distill.data={tmp_path}", "distill.curriculum=true"]
    chosen = public_config(read_experiment(None, [*made, "finetune=all"]), "tera", {}).distill
    assert (chosen.teacher, chosen.data, chosen.curriculum) == ("...", "", False)
    assert public_config(read_experiment(None, ["distill=tera_mini", "finetune=all"]), "tera", {}).distill.teacher
