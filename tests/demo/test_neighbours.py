"""The nearest training items: what they are, when they are there, and why they may not be."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from threading import Lock

import numpy as np
import pytest
import soundfile
from toys.core import LABELS, write_corpus

from audiossl.core.files import cache_folder
from audiossl.data.inputs import cuts_of
from audiossl.data.manifests import read_manifest
from audiossl.demo.neighbours import Neighbours
from audiossl.demo.session import Demo
from audiossl.experiments.run import Run


def with_data(run: Run, folder: Path | str) -> Run:
    return replace(run, config=replace(run.config, data=replace(run.config.data, dir=str(folder))))


def test_a_recording_is_nearest_to_its_kind(demo: Demo, corpus: Path) -> None:
    for label in LABELS:
        (cut,) = cuts_of([str(corpus.parent / "audio" / "test" / f"{label}_1.wav")])
        found = demo.neighbours.nearest(demo.neighbours.vector(cut))
        assert len(found) == 5
        assert found[0].says["label"] == label
        assert list(found[0].says) == ["label", "speaker"]
        assert [row.cosine for row in found] == sorted((row.cosine for row in found), reverse=True)


def test_a_training_item_is_nearest_to_itself(demo: Demo) -> None:
    cut = demo.neighbours.items[5]
    first = demo.neighbours.nearest(demo.neighbours.vector(cut))[0]
    assert (first.number, first.name, first.cosine) == (5, cut.id, pytest.approx(1, abs=1e-3))


def test_items_are_drawn_and_played_by_number(demo: Demo, corpus: Path) -> None:
    neighbours, rows = demo.neighbours, {cut.id: cut for cut in read_manifest(corpus / "train.jsonl.gz")}
    assert len(neighbours.items) == 12 < len(rows)
    sound = neighbours.sound(11)
    assert sound is not None
    played, rate = soundfile.read(io.BytesIO(sound), dtype="float32")
    source = rows[neighbours.items[11].id].recording.sources[0].source
    assert np.abs(played - soundfile.read(source, dtype="float32")[0]).max() < 1e-4
    assert (rate, neighbours.sound(12), neighbours.sound(-1)) == (16000, None, None)


def test_before_they_are_ready_a_sentence_says_so(demo_run: Run) -> None:
    waiting = Neighbours(demo_run, 3, Lock())
    assert not waiting.is_settled
    assert "are being encoded" in waiting.sentence
    assert (waiting.nearest(np.ones(80)), waiting.sound(0)) == ([], None)
    waiting.compute()
    assert waiting.is_settled
    assert (waiting.sentence, len(waiting.items)) == ("", 3)


def test_what_is_stopped_ends_before_the_next_item(demo_run: Run) -> None:
    using = Lock()
    stopped = Neighbours(demo_run, 6, using)
    stopped.stop()  # before it has begun
    with using:
        stopped.start()
    stopped.stop()
    assert not stopped.is_settled
    assert "(0 of 6)" in stopped.sentence


def test_vectors_are_kept_in_the_feature_cache(demo: Demo) -> None:
    assert demo.neighbours.is_settled
    assert list((cache_folder() / "features").iterdir())


def test_none_were_asked_for(demo_run: Run) -> None:
    without = Neighbours(demo_run, 0, Lock())
    without.compute()
    assert without.is_settled
    assert "--items 0" in without.sentence


def test_a_manifest_that_is_gone_is_a_sentence(demo_run: Run, tmp_path: Path) -> None:
    gone = Neighbours(with_data(demo_run, tmp_path), 3, Lock())
    gone.compute()
    assert gone.is_settled
    assert f"There is no {tmp_path / 'train.jsonl.gz'}" in gone.sentence


def test_recordings_that_are_gone_are_counted(demo_run: Run, own_corpus: Path) -> None:
    sounds = sorted((own_corpus.parent / "audio" / "train").iterdir())
    sounds[0].write_bytes(b"")
    some = Neighbours(with_data(demo_run, own_corpus), 100, Lock())
    some.compute()
    assert some.is_settled
    assert some.sentence.startswith("1 of 6 training items could not be read; the last of them:")
    assert len(some.items) == 5


def test_where_none_can_be_read_the_last_says_why(demo_run: Run, tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "lost", {"train": 1, "dev": 1, "test": 1})
    for path in (folder.parent / "audio" / "train").iterdir():
        path.write_bytes(b"nothing")
    none = Neighbours(with_data(demo_run, folder), 100, Lock())
    none.compute()
    assert none.is_settled
    assert none.sentence.startswith("None of the training items can be read; the last of them: ")
