"""Windows and frames of an exported encoder: padding changes nothing, and long recordings are as whole ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from toys.graphs import write_framed, write_windowed

from audiossl import check_upstream, load_upstream
from audiossl.core.errors import CheckpointError, ConfigError
from audiossl.core.tensors import fingerprint
from audiossl.encoders.exported.model import ExportedUpstream
from audiossl.encoders.finetuning import FinetuneConfig, make_trainable
from audiossl.encoders.long_audio import encode_long, fitting_chunks
from audiossl.encoders.testing import noise, relative_distance

pytest.importorskip("onnxruntime")
FRAMED = {"outputs": ["first", "second"], "stride": 20, "receptive_field": 40}


@pytest.mark.parametrize("hop_s", [None, 0.05])
def test_one_state_a_window(tmp_path: Path, hop_s: float | None) -> None:
    file = write_windowed(tmp_path / "w.onnx")  # of an eighth of a second
    upstream = load_upstream(f"onnx:{file}", outputs=["embedding"], hop_s=hop_s)
    assert isinstance(upstream, ExportedUpstream)
    assert check_upstream(upstream).padding_error == 0
    hop = 2000 if hop_s is None else 800
    (wav,) = noise(upstream, [0.7])
    states = upstream(wav[None]).layers[0][0]
    filled = torch.cat([wav, torch.zeros(2000)])
    expected = [
        upstream.program.run(filled[None, begin : begin + 2000], ["embedding"])["embedding"]
        for begin in range(0, len(states) * hop, hop)
    ]
    assert torch.equal(states, torch.cat(expected))
    assert (len(states) - 1) * hop + 2000 >= len(wav) > (len(states) - 2) * hop + 2000
    parts = [features.layers[0][0] for _, features in encode_long(upstream, wav, chunk_s=0.4, overlap_s=0)]
    assert torch.equal(torch.cat(parts), states)


def test_frames_of_a_window_are_averaged(tmp_path: Path) -> None:
    upstream = load_upstream(f"onnx:{write_windowed(tmp_path / 'w.onnx')}", outputs=["embedding", "frames"])
    first, second = upstream(noise(upstream, [0.5])[0][None]).layers
    assert first.shape == (1, 4, 4)
    assert relative_distance(second, first) < 1e-6


def test_frames_of_any_length(tmp_path: Path) -> None:
    upstream = load_upstream(str(write_framed(tmp_path / "f.onnx")), **FRAMED)
    assert check_upstream(upstream).padding_error == 0
    assert upstream.min_samples == 40
    plain, normal = (upstream, load_upstream(f"onnx:{tmp_path / 'f.onnx'}", normalize="layer_norm", **FRAMED))
    (wav,) = noise(upstream, [0.2])
    brought = (wav - wav.mean()) / (wav.var(correction=0) + 1e-5).sqrt()
    assert relative_distance(normal(wav[None]).layers[0], plain(brought[None]).layers[0]) < 1e-5


def test_the_fingerprint_is_of_content_and_options(tmp_path: Path) -> None:
    one, other = (
        write_framed(tmp_path / "a.onnx"),
        write_framed(tmp_path / "b.onnx", {"sample_rate": "16000", "x": "y"}),
    )
    copied = tmp_path / "copy.onnx"
    copied.write_bytes(one.read_bytes())
    marks = [fingerprint(load_upstream(str(file), **FRAMED)) for file in (one, copied, other)]
    marks.append(fingerprint(load_upstream(str(one), **{**FRAMED, "outputs": ["second"]})))
    assert marks[0] == marks[1]
    assert len(set(marks)) == 3


def test_it_is_frozen_and_run_as_it_is(tmp_path: Path) -> None:
    file = write_framed(tmp_path / "f.onnx")
    upstream = load_upstream(str(file), **FRAMED)
    with pytest.raises(ConfigError, match="has nothing to train in this mode"):
        make_trainable(upstream, FinetuneConfig("all"))
    for how in ({"engine": "compile"}, {"precision": "bf16"}):
        with pytest.raises(ConfigError, match="is a graph already and runs as it is, in float32"):
            load_upstream(str(file), **FRAMED, **how)
    with pytest.raises(CheckpointError, match=r"'first' of .* is \(1, 799, 4\) for 16000 samples, not \(1, 1598, 4\)"):
        load_upstream(str(file), **{**FRAMED, "stride": 10, "margin": 10})


def test_chunks_hold_several_windows(tmp_path: Path) -> None:
    file = write_windowed(tmp_path / "long.onnx", num_samples=20 * 16000)
    chunk_s, overlap_s = fitting_chunks(load_upstream(str(file), outputs="embedding"))
    assert (chunk_s, overlap_s) == (160.0, 20.0)
