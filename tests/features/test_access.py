"""Opening the cache of an encoder, and what is said about it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lhotse import CutSet
from toys.cache import encoder, source_in

from audiossl.data.config import LoaderConfig
from audiossl.data.loader import make_loader
from audiossl.data.stream import StreamPlan
from audiossl.features.access import announcement, cached_batches, features_folder, gigabytes
from audiossl.features.config import CacheConfig
from audiossl.features.contract import Survey, joint_survey


def test_the_folder_is_the_one_that_is_named_or_that_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.setenv("AUDIOSSL_CACHE", "/cache")
    assert features_folder(CacheConfig(dir="~/kept")) == Path("/home/ann/kept")
    assert features_folder(CacheConfig()) == Path("/cache/features")


def test_forms_side_by_side_share_their_budget_and_what_they_know_of_files(tmp_path: Path, cuts: CutSet) -> None:
    frames = source_in(tmp_path)
    pooled = source_in(tmp_path, form="pooled", beside=frames)
    assert pooled.store.budget is frames.store.budget
    assert pooled.utterances is frames.utterances
    assert pooled.store.key != frames.store.key
    together = joint_survey([frames.survey(cuts), pooled.survey(cuts)])
    assert together.num_rows == together.missing_rows == 6
    assert together.num_bytes == frames.survey(cuts).num_bytes + pooled.survey(cuts).num_bytes
    pooled.extract(cuts)
    assert joint_survey([frames.survey(cuts), pooled.survey(cuts)]).missing_rows == 6  # frames lack them still


def test_batches_are_those_of_the_loader_with_hidden_states_instead_of_sound(tmp_path: Path, cuts: CutSet) -> None:
    source = source_in(tmp_path)
    upstream = encoder()
    plan = StreamPlan.of(upstream, LoaderConfig(batch_size=4), seed=3, train=False)
    sounds, states = [*make_loader(cuts, plan)], [*cached_batches(source, cuts, plan)]
    assert [[cut.id for cut in batch.cuts] for batch in states] == [[cut.id for cut in batch.cuts] for batch in sounds]
    for batch, sound in zip(states, sounds, strict=True):
        assert batch.features is not None
        assert batch.wavs.shape[1] == 0
        expected = upstream(sound.wavs, sound.lengths)
        for number in range(len(batch)):
            torch.testing.assert_close(batch.features.item(number), expected.item(number))
    means = next(cached_batches(source, cuts, plan, means=True)).features
    assert means is not None
    assert means.lengths.tolist() == [1] * len(sounds[0])


def test_what_is_about_to_be_computed_is_one_line() -> None:
    line = announcement("train", Survey(10, 7200.0, 10**10, 4, 3600.0, 5 * 10**9))
    assert line == "Encoding train once: 4 of 10 recordings, 1.00 h of sound, 5.00 GB."
    assert gigabytes(10**7) == "10.00 MB"
