"""What decides a result: rows, settings, encoder and code; and not folders, devices or workers."""

from __future__ import annotations

import gzip
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from toys.suites import SUITE, TASK, ToySuite

from audiossl.core.errors import ManifestError
from audiossl.encoders.kept import load_identified
from audiossl.experiments.folder import RunFacts, RunFolder
from audiossl.experiments.identity.keys import (
    Identity,
    differences,
    files_of,
    hash_of_file,
    identity_facts,
    identity_of,
    key_of,
)
from audiossl.experiments.suites.recipes import prepare


@pytest.fixture
def config(toy: ToySuite) -> Any:
    """The experiment of a cell whose manifests are there."""
    prepare("toy", toy.suite().tasks, toy.data, toy.results().path)
    (cell,) = toy.plan(toy.asked()).cells
    return cell.config


def identity(config: Any, toy: ToySuite, encoder: str = "weights") -> Identity:
    return identity_of(config, encoder, toy.results().path)


def rewrite(path: Path, change: Any) -> None:
    """Change the first row of a manifest."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    change(rows[0])
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def test_the_code_of_the_encoder_counts(config: Any, toy: ToySuite) -> None:
    one, other = (identity_of(config, "weights", toy.results().path, code) for code in ("a", "b"))
    assert key_of(one) != key_of(other)
    assert differences(one, other) == ["the code of encoder"]


def test_equal_experiments_have_equal_keys(config: Any, toy: ToySuite) -> None:
    one, other = identity(config, toy), identity(replace(config), toy)
    assert key_of(one) == key_of(other)
    assert len(key_of(one)) == 32
    assert key_of(one, "1") != key_of(one)
    assert differences(one, other) == []
    assert set(one.manifests) == {"train", "dev", "test"}
    assert str(toy.path) not in json.dumps(one.settings)


def test_where_and_how_fast_does_not_count(config: Any, toy: ToySuite) -> None:
    before = identity(config, toy)
    moved = replace(
        config,
        cache=replace(config.cache, dir=str(toy.path / "elsewhere")),
        data=replace(config.data, num_workers=3),
        trainer=replace(config.trainer, device="cpu", sharding="full", save_every=7, log_every=1),
        upstream="another_name_of_the_same_weights",
    )
    assert key_of(identity(moved, toy)) == key_of(before)


def test_a_results_folder_may_be_moved(config: Any, toy: ToySuite) -> None:
    before = identity(config, toy)
    there = toy.path / "moved"
    toy.results().path.rename(there)
    moved = replace(config, data=replace(config.data, dir=str(there / "data" / "toy")))
    assert key_of(identity_of(moved, "weights", there)) == key_of(before)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda config: replace(config, trainer=replace(config.trainer, steps=7)), ["trainer.steps"]),
        (lambda config: replace(config, seed=1), ["seed"]),
        (lambda config: replace(config, task={"pooling": "max"}), ["task.pooling"]),
        (lambda config: replace(config, data=replace(config.data, batch_size=5)), ["data.batch_size"]),
        (lambda config: replace(config, interface="last"), ["interface"]),
    ],
)
def test_settings_count_and_are_named(config: Any, toy: ToySuite, change: Any, named: list[str]) -> None:
    before, after = identity(config, toy), identity(change(config), toy)
    assert key_of(before) != key_of(after)
    found = differences(before, after)
    assert [name for name in found if not name.startswith("the code")] == named


def test_the_encoder_and_the_code_count(config: Any, toy: ToySuite) -> None:
    before = identity(config, toy)
    assert differences(before, identity(config, toy, "others")) == ["the encoder"]
    newer = replace(before, code={**before.code, "downstream utterance_classification": "0"})
    assert key_of(newer) != key_of(before)
    assert differences(before, newer) == ["the code of downstream utterance_classification"]


def test_rows_count(config: Any, toy: ToySuite) -> None:
    before = identity(config, toy)
    path = config.data.path("train")
    rewrite(path, lambda row: row.update(duration=row["duration"]))  # the same row
    os.utime(path, ns=(1, 1))
    assert differences(before, identity(config, toy)) == []
    rewrite(path, lambda row: row["supervisions"][0]["custom"].update(label="low"))
    assert differences(before, identity(config, toy)) == ["the rows of train"]


def test_a_recording_counts_by_its_state_and_the_end_of_its_path(config: Any, toy: ToySuite) -> None:
    before = identity(config, toy)
    manifests = [config.data.path(split) for split in ("train", "dev", "test")]
    old, new = toy.data / "toy" / "audio", toy.data / "moved" / "audio"
    new.parent.mkdir()
    old.rename(new)
    for path in manifests:
        text = gzip.decompress(path.read_bytes()).decode().replace(f'"source": "{old}', f'"source": "{new}')
        assert str(new) in text
        path.write_bytes(gzip.compress(text.encode()))
    assert differences(before, identity(config, toy)) == []
    sound = next(new.glob("test/*.wav"))
    sound.write_bytes(sound.read_bytes() + b"\0\0")
    manifests[2].write_bytes(gzip.compress(gzip.decompress(manifests[2].read_bytes()) + b"\n"))
    with pytest.raises(ManifestError):
        identity(config, toy)  # an empty line is no row
    manifests[2].write_bytes(gzip.compress(gzip.decompress(manifests[2].read_bytes()).rstrip() + b"\n"))
    assert differences(before, identity(config, toy)) == ["the rows of test"]


def test_lists_that_a_task_names_count(config: Any, toy: ToySuite) -> None:
    lexicon = toy.path / "lexicon.txt"
    lexicon.write_text("a A\n")
    with_list = replace(config, task={"text": {"lexicon": str(lexicon)}})
    assert [name for name, _ in files_of(with_list)] == ["train", "dev", "test", "task.text.lexicon"]
    before = identity(with_list, toy)
    lexicon.write_text("a AA\n")
    assert differences(before, identity(with_list, toy)) == ["the rows of task.text.lexicon"]


def test_a_manifest_that_is_missing_or_damaged_is_one_sentence(toy: ToySuite) -> None:
    with pytest.raises(ManifestError, match=r"^There is no .*none\.jsonl\.gz; prepare the recipe again\.$"):
        hash_of_file(toy.path / "none.jsonl.gz")
    damaged = toy.path / "half.jsonl.gz"
    damaged.write_bytes(gzip.compress(b'{"id": 1}\n{"id": 2}\n')[:-9])
    with pytest.raises(ManifestError, match=r"half\.jsonl\.gz cannot be read \(.*\); prepare it again\.$"):
        hash_of_file(damaged)


def test_a_run_says_what_a_cell_says(toy: ToySuite) -> None:
    toy.run(toy.asked())
    cell = toy.cell()
    facts = RunFolder(toy.results().path / cell.run).facts
    assert facts.key == cell.key
    assert facts.identity == asdict(cell.identity)


def test_a_run_that_goes_on_is_what_it_was(config: Any, monkeypatch: pytest.MonkeyPatch, toy: ToySuite) -> None:
    monkeypatch.chdir(toy.path)
    encoder = load_identified(config.upstream, config.upstream_options)
    begun = RunFacts(**identity_facts(config, encoder))
    assert begun.key is not None
    completed = replace(config, task={**config.task, "labels": ["a", "b", "c"]})
    assert identity_facts(completed, encoder, begun)["key"] == begun.key
    longer = replace(config, trainer=replace(config.trainer, steps=99))
    assert identity_facts(longer, encoder, begun) == {}  # parts of another length
    assert identity_facts(config, encoder, RunFacts()) == {}  # of a version that wrote none
    config.data.path("test").unlink()
    assert identity_facts(config, encoder) == {}


def test_folds_and_searches_have_one_identity(toy: ToySuite) -> None:
    toy.write({**SUITE, "tasks": {"toy/folds": {**TASK, "search": {"lr": [0.02, 0.002]}}}})
    toy.run(toy.asked(only=["toy/folds"]))
    cell = toy.cell("toy/folds")
    run = RunFolder(toy.results().path / cell.run)
    assert (run.facts.key, run.facts.folds) == (cell.key, ["1", "2"])
    assert run.fold("1").facts.key != cell.key
