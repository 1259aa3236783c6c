"""A probe keeps what is encoded: the same figures, without running the encoder again."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys.engines import TINY
from toys.probes import write_tones

from audiossl.analysis.config import ProbeOptions
from audiossl.analysis.functionals import functionals_of
from audiossl.analysis.probing import probe_upstream
from audiossl.core.files import read_json
from audiossl.core.tensors import fingerprint
from audiossl.data.manifests import read_manifest
from audiossl.encoders.loading import load_upstream
from audiossl.features.access import open_source
from audiossl.features.config import CacheConfig
from audiossl.features.extraction import extract
from audiossl.upstreams.tera.model import Tera

OPTIONS = ProbeOptions(probes="linear", layers="0,-1")


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    """Tones of two pitches in noise, 40 recordings of several lengths."""
    return write_tones(tmp_path, 40)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the batches that an encoder has seen."""
    sizes: list[int] = []
    encode = Tera.encode

    def counted(self: Tera, wavs: torch.Tensor, *arguments: Any) -> Any:
        sizes.append(len(wavs))
        return encode(self, wavs, *arguments)

    monkeypatch.setattr(Tera, "encode", counted)
    return sizes


@pytest.fixture
def probe(manifests: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Probe the tones. What probes.json has, but for the seconds."""

    def run(cache: CacheConfig | None, options: ProbeOptions = OPTIONS) -> dict[str, Any]:
        probe_upstream("tera_mini", manifests, tmp_path / "out", options, cache=cache)
        facts = read_json(tmp_path / "out" / "probes.json")
        del facts["seconds"]
        return facts

    return run


def test_a_second_probe_runs_no_encoder_and_finds_the_same(
    probe: Callable[..., dict[str, Any]], tmp_path: Path, encoded: list[int]
) -> None:
    without = probe(None)
    assert sum(encoded) == 40
    assert not (tmp_path / "kept").exists()
    cache = CacheConfig(dir=str(tmp_path / "kept"))
    encoded.clear()
    first = probe(cache)
    assert sum(encoded) == 40
    encoded.clear()
    again = probe(cache)
    by_speaker = probe(cache, ProbeOptions(probes="linear", layers="0,-1", field="speaker", metric="accuracy"))
    assert encoded == []
    assert without == first == again
    assert by_speaker["field"] == "speaker"


def test_vectors_are_the_same_to_the_last_bit(manifests: Path, tmp_path: Path) -> None:
    upstream, cuts = load_upstream("tera_mini"), read_manifest(manifests / "train.jsonl.gz")
    cache = CacheConfig(dir=str(tmp_path / "kept"))
    plain = functionals_of(upstream, cuts, [1, 3], batch_size=8)
    for _ in range(2):
        source = open_source(upstream, fingerprint(upstream), cache, "statistics", layers=[1, 3])
        found = functionals_of(source, cuts, [1, 3], batch_size=8)
        source.store.close()
        assert found[:2] == plain[:2] and found.clusters.of.tolist() == plain.clusters.of.tolist()
        for layer in (1, 3):
            np.testing.assert_array_equal(found.layers[layer], plain.layers[layer])


def test_what_does_not_fit_is_encoded_and_not_kept(
    probe: Callable[..., dict[str, Any]], tmp_path: Path, encoded: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    expected = probe(None)
    encoded.clear()
    cache = CacheConfig(dir=str(tmp_path / "kept"), max_gb=1e-5)
    with caplog.at_level(logging.WARNING):
        assert probe(cache) == expected
    (said,) = [record.message for record in caplog.records if "kept" in record.message]
    assert said.startswith("No more hidden states are kept, because the cache has reached its limit of 1e-05 GB")
    assert sum(encoded) == 40
    assert sum(file.stat().st_size for file in (tmp_path / "kept").rglob("*.shard")) < 2e4


def test_what_extract_has_kept_is_read(
    probe: Callable[..., dict[str, Any]], manifests: Path, tmp_path: Path, encoded: list[int]
) -> None:
    cache = CacheConfig(dir=str(tmp_path / "kept"))
    made = extract(
        "tera_mini",
        [manifests / f"{split}.jsonl.gz" for split in ("train", "dev", "test")],
        options={},
        form="statistics",
        layers="0,-1",
        cache=cache,
        shard="1/1",
        num_workers=0,
        say=lambda line: None,
    )
    assert (made["num_computed"], made["num_bytes"]) == (40, 40 * 2 * (2 * 192) * 4)
    encoded.clear()
    probe(cache)
    assert encoded == []


def test_an_encoder_whose_states_depend_on_the_batch_is_probed_without(manifests: Path, tmp_path: Path) -> None:
    cache = CacheConfig(dir=str(tmp_path / "kept"))
    chosen = ProbeOptions(probes="linear", layers="last")
    legacy = {**TINY, "weights": "random", "padding": "legacy"}
    facts = probe_upstream("wav2vec2", manifests, tmp_path / "out", chosen, legacy, cache).facts
    assert {row["layer"] for row in facts["results"]} == {1}
    assert not (tmp_path / "kept").exists()
