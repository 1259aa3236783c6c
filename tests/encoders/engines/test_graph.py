"""An encoder as a graph: folded weights, any length, and a cache entry for each state of weights, layer and code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from audiossl import Upstream, load_upstream
from audiossl.core.errors import ConfigError
from audiossl.encoders.engines.graph import Graph, cached, folded, require, traced
from audiossl.encoders.testing import noise, relative_distance
from audiossl.encoders.waveform.cards import WAVEFORM_TOY


@pytest.fixture
def encoder() -> Upstream:
    return load_upstream("wav2vec2", weights="random", **WAVEFORM_TOY)


@pytest.fixture
def writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What is written instead of a program, in a cache folder of its own."""
    monkeypatch.setenv("AUDIOSSL_CACHE", str(tmp_path))
    return []


def test_a_graph_gives_the_layers_up_to_its_last(encoder: Upstream) -> None:
    (wav,) = noise(encoder, [0.5])
    with torch.no_grad():
        made, expected = Graph(encoder, 1)(wav[None]), encoder(wav[None], up_to_layer=1).layers
    assert len(made) == 2
    assert max(map(relative_distance, made, expected)) < 1e-5


def test_folding_leaves_the_encoder_as_it_was(encoder: Upstream) -> None:
    names = list(encoder.state_dict())
    twin = folded(encoder)
    assert list(encoder.state_dict()) == names
    assert "position.whole" in twin.state_dict()
    assert "position.direction" not in twin.state_dict()
    shared = {id(value) for value in encoder.parameters()}
    assert all(id(value) in shared for value in twin.parameters())


def test_one_program_for_every_length(encoder: Upstream) -> None:
    program = traced(encoder, 2).module()
    for seconds in (0.1, 0.37, 1.5):
        (wav,) = noise(encoder, [seconds])
        with torch.no_grad():
            made, expected = program(wav[None]), encoder(wav[None]).layers
        assert max(map(relative_distance, made, expected)) < 1e-5


def entry(encoder: Upstream, writes: list[Path], last: int = 1, name: str = "graph.txt", statistics: Any = ()) -> Path:
    def write(program: Any, path: Path) -> None:
        writes.append(path)
        path.write_text("graph")

    return cached(encoder, last, statistics, name, write)


def test_a_cache_entry_is_written_once_and_whole(encoder: Upstream, writes: list[Path]) -> None:
    first = entry(encoder, writes)
    assert entry(encoder, writes) == first
    assert len(writes) == 1
    assert first.read_text() == "graph"
    assert writes[0] != first  # elsewhere until it is whole
    assert [path.name for path in first.parent.parent.iterdir()] == [first.parent.name]


def test_another_entry_for_other_weights_and_layers(encoder: Upstream, writes: list[Path]) -> None:
    paths = {entry(encoder, writes), entry(encoder, writes, last=0)}
    with torch.no_grad():
        next(encoder.parameters()).add_(1.0)
    paths.add(entry(encoder, writes))
    assert len(paths) == len(writes) == 3


def test_nothing_is_left_of_an_entry_that_could_not_be_written(
    encoder: Upstream, writes: list[Path], tmp_path: Path
) -> None:
    def fail(program: Any, path: Path) -> None:
        path.write_text("half")
        raise ConfigError("no compiler")

    with pytest.raises(ConfigError, match="no compiler"):
        cached(encoder, 1, (), "graph.txt", fail)
    assert not list((tmp_path / "engines").iterdir())


def test_an_entry_of_another_process_is_taken(encoder: Upstream, writes: list[Path]) -> None:
    def slow(program: Any, path: Path) -> None:
        other = entry(encoder, writes)  # meanwhile another process writes the same
        other.write_text("theirs")
        path.write_text("ours")

    assert cached(encoder, 1, (), "graph.txt", slow).read_text() == "theirs"


def test_a_missing_package_names_its_extra() -> None:
    require("json", "onnx")
    with pytest.raises(ConfigError, match=r"pip install 'audiossl-toolkit\[onnx\]'"):
        require("a_package_that_is_not_there", "onnx")
