"""Sentences of manifests and text files, in the words or the units of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from lhotse import CutSet
from toys.asr import cut_of

from audiossl.core.config import save_yaml
from audiossl.core.errors import ConfigError
from audiossl.data.manifests import write_manifests
from audiossl.downstreams.asr.search.texts import sentences_of
from audiossl.experiments.config import read_experiment


def run_of(folder: Path, downstream: str, *more: str) -> Path:
    """What texts need of a run: its configuration."""
    folder.mkdir()
    save_yaml(read_experiment(None, [f"downstream={downstream}", "upstream=log_mel", *more]), folder / "config.yaml")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return run_of(tmp_path / "run", "asr", 'task.text={case: lower, punctuation: strip, symbols: [" ", a, b, c]}')


def test_texts_are_normalised_as_the_transcripts_of_a_run(tmp_path: Path, run: Path) -> None:
    rows = [cut_of("x", "A b!", 1.0), cut_of("y", None, 1.0), cut_of("z", "cab", 1.0)]
    write_manifests({"train": CutSet.from_cuts(rows)}, tmp_path)
    (tmp_path / "more.txt").write_text("B, a\n\n", encoding="utf-8")
    sources = [tmp_path / "train.jsonl.gz", tmp_path / "more.txt"]
    assert list(sentences_of(sources, None, as_units=False)) == [["A", "b!"], ["cab"], ["B,", "a"]]
    assert list(sentences_of(sources, run, as_units=False)) == [["a", "b"], ["cab"], ["b", "a"]]
    assert list(sentences_of(sources, run, as_units=True)) == [["a", "|", "b"], ["c", "a", "b"], ["b", "|", "a"]]


def test_what_cannot_be_spelled_or_read_is_one_sentence(tmp_path: Path, run: Path) -> None:
    (tmp_path / "odd.txt").write_text("a\nxa\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"odd.txt line 2 has 'x' \(U\+0078\) in its transcript"):
        list(sentences_of([tmp_path / "odd.txt"], run, as_units=True))
    with pytest.raises(ConfigError, match="name it by --run"):
        list(sentences_of([tmp_path / "odd.txt"], None, as_units=True))
    with pytest.raises(ConfigError, match=r"no.txt cannot be read as UTF-8 text"):
        list(sentences_of([tmp_path / "no.txt"], None, as_units=False))
    other = run_of(tmp_path / "other", "emotion")
    with pytest.raises(ConfigError, match="is a run of emotion; give one of asr"):
        list(sentences_of([tmp_path / "odd.txt"], other, as_units=False))
