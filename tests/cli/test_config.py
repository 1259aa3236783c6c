"""`audiossl config`, and the settings that `audiossl describe` shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

Cli = Callable[..., Any]


def test_yaml_and_json_say_the_same(audiossl: Cli) -> None:
    done = audiossl("config", "asr", "--setting", "superb")
    assert (done.code, done.err) == (0, "")
    plain = yaml.safe_load(done.out)
    assert (plain["downstream"], plain["task"]["head"]["hidden"], plain["data"]["batch_size"]) == ("asr", 1024, 16)
    facts = json.loads(audiossl("config", "asr", "--setting", "superb", "--json").out)
    assert (facts["name"], facts["kind"]) == ("asr", "downstream")
    hidden = next(fact for fact in facts["settings"] if fact["name"] == "task.head.hidden")
    assert (hidden["default"], hidden["type"]) == (1024, "int")
    assert f"    # {hidden['doc']}\n    hidden: 1024   # at least 1\n" in done.out


def test_what_is_printed_can_be_trained(audiossl: Cli, corpus: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(audiossl("config", "train").out, encoding="utf-8")
    changes = [f"data.dir={corpus}", "trainer.steps=2", "upstream=log_mel", f"cache.dir={tmp_path / 'features'}"]
    assert audiossl("train", recipe, *changes, "--out", tmp_path / "run").code == 0


def test_an_unknown_name_is_one_sentence(audiossl: Cli) -> None:
    done = audiossl("config", "utterance_clasification")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(
        "error: There is nothing named 'utterance_clasification' that has settings. Did you mean utterance_"
    )
    assert done.err.count("\n") == 1


def test_describe_shows_the_settings(audiossl: Cli) -> None:
    facts = json.loads(audiossl("describe", "layer", "--json").out)
    index = facts["settings"][1]
    assert (index["name"], index["default"]) == ("interface_options.index", -1)
    shown = audiossl("describe", "layer").out
    assert index["doc"] in shown
    assert "interface_options.index" in shown
