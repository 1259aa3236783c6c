"""Joined hidden states come from the entries of each encoder alone, and are what the joined encoder gives."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
import torch
from lhotse import CutSet

from audiossl import load_upstream, open_source
from audiossl.core.errors import ConfigError
from audiossl.core.tensors import fingerprint
from audiossl.data.loader import collate
from audiossl.data.manifests import read_manifest
from audiossl.encoders.joined import JoinedUpstream
from audiossl.features.access import open_states
from audiossl.features.config import CacheConfig
from audiossl.features.joined_source import JoinedSource
from audiossl.nn.pooling import MeanPooling


@pytest.fixture
def cuts(corpus: Path) -> CutSet:
    return CutSet.from_cuts(list(read_manifest(corpus / "test.jsonl.gz"))[:4])


def source_of(upstream: JoinedUpstream, cache: Path, form: Literal["frames", "pooled"]) -> JoinedSource:
    layers = range(upstream.num_layers)
    made = open_states(upstream, "", CacheConfig(dir=str(cache), dtype="fp32"), form, layers=layers)
    assert isinstance(made, JoinedSource)
    return made


@pytest.mark.parametrize(
    ("names", "join"),
    [("log_mel + fbank", "frames"), ("log_mel + fbank", "pooled"), ("log_mel + spectrogram", "frames")],
)
def test_what_is_stored_is_what_the_joined_encoder_gives(tmp_path: Path, cuts: CutSet, names: str, join: str) -> None:
    upstream = load_upstream(names, join=join)
    assert isinstance(upstream, JoinedUpstream)
    rows = list(cuts)
    sounds = collate(rows, 16000)
    whole = upstream(sounds.wavs, sounds.lengths)
    source = source_of(upstream, tmp_path, "frames")
    assert source.extract(cuts) == 4
    assert source.survey(cuts).missing_rows == 0
    for means in (False, True):
        found = source.batch(rows, means=means).features
        assert found is not None
        for layer, expected in zip(found.layers, whole.layers, strict=True):
            if means:
                expected = MeanPooling(expected.shape[-1])(expected, whole.lengths)[:, None]
            for item in range(4):
                frames = int(found.lengths[item])
                torch.testing.assert_close(layer[item, :frames], expected[item, :frames], rtol=1e-5, atol=1e-5)
    source.close()


def test_an_encoder_that_was_cached_alone_is_not_run_again(
    tmp_path: Path, cuts: CutSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = load_upstream("log_mel")
    config = CacheConfig(dir=str(tmp_path), dtype="fp32")
    first = open_source(alone, fingerprint(alone), config, "pooled", layers=(0,))
    first.extract(cuts)
    first.close()
    upstream = load_upstream("log_mel + spectrogram + log_mel")
    assert isinstance(upstream, JoinedUpstream)
    source = source_of(upstream, tmp_path, "pooled")
    assert source.keys[0] == first.store.key
    assert len(source.keys) == 2  # of the third member there is one source with the first
    assert [one.survey(cuts).missing_rows for one in source.sources] == [0, 4]
    monkeypatch.setattr(type(alone), "encode", None)  # it would fail
    states = source.sources[0].batch(list(cuts)).features
    assert states is not None
    source.close()


def test_of_several_no_single_entry_is_opened(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="log_mel \\+ mfcc are several encoders, and this keeps those of one; name one"
    ):
        open_source(load_upstream("log_mel + mfcc"), "", CacheConfig(dir=str(tmp_path)), "pooled", layers=(0,))
