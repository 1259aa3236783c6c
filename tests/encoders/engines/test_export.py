"""`audiossl export`: the file gives what the encoder gives, or there is no file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.engines import TINY, kinds, load

from audiossl import load_upstream
from audiossl.core.errors import ConfigError, OutputError
from audiossl.encoders.engines import export as module
from audiossl.encoders.engines.export import export, shortest_input
from audiossl.encoders.testing import noise, relative_distance
from audiossl.encoders.weights import save_upstream


@pytest.fixture
def encoder(tmp_path: Path) -> str:
    save_upstream(load("wavlm"), tmp_path / "encoder.safetensors")
    return str(tmp_path / "encoder.safetensors")


@pytest.mark.slow  # importing what writes ONNX alone takes ten seconds
def test_onnx_file(audiossl: Callable[..., Any], encoder: str, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    file = tmp_path / "out" / "encoder.onnx"
    done = audiossl("export", encoder, "--format", "onnx", "--out", file, "--json")
    facts = json.loads(done.out.splitlines()[-1])
    assert (done.code, facts["layers"], facts["min_samples"]) == (0, 2, 65)
    assert facts["largest_difference"] < 1e-5
    assert [path.name for path in file.parent.iterdir()] == ["encoder.onnx"]
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_outputs()] == ["layer_0", "layer_1"]
    upstream = load("wavlm")
    for wav in noise(upstream, (0.4, 3.3)):
        found = session.run(None, {session.get_inputs()[0].name: wav[None].numpy()})
        with torch.no_grad():
            expected = upstream(wav[None]).layers
        assert max(relative_distance(torch.tensor(a), b) for a, b in zip(found, expected, strict=True)) < 1e-5


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_torch_export_file(audiossl: Callable[..., Any], encoder: str, tmp_path: Path, precision: str) -> None:
    file = tmp_path / "encoder.pt2"
    options = ("--out", file, "--up-to-layer", 0, "--precision", precision)
    done = audiossl("export", encoder, "--format", "torch-export", *options)
    assert done.code == 0
    assert "1 layer(s), inputs of 65 samples or more" in done.out
    upstream = load("wavlm", precision=precision)
    (wav,) = noise(upstream, (2.3,))
    with torch.no_grad():
        (found,) = torch.export.load(file).module()(wav[None])
        expected = upstream(wav[None], up_to_layer=0).layers[0]
    assert found.dtype == expected.dtype
    assert relative_distance(found, expected) < (1e-5 if precision == "fp32" else 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["onnx", "torch-export"])
@pytest.mark.parametrize("kind", kinds("wavlm"))
def test_every_kind(kind: str, form: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    assert export(load(kind), tmp_path / "graph", form)["largest_difference"] < 1e-4


def test_log_mel_frames_are_as_exact_as_others(tmp_path: Path) -> None:
    """Bands of little power among loud ones, in a window of 400 samples, at which the runtime errs."""
    pytest.importorskip("onnxscript")
    assert export(load_upstream("log_mel"), tmp_path / "graph", "onnx")["largest_difference"] < 5e-6


def test_a_graph_that_differs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "graph.pt2"
    kept.write_text("PK, what was there")
    monkeypatch.setattr(module, "TOLERANCES", {torch.float32: -1.0})
    with pytest.raises(ConfigError, match="differs from eager by .*nothing was written"):
        export(load("base"), kept, "torch-export")
    assert [path.name for path in tmp_path.iterdir()] == ["graph.pt2"]
    assert kept.read_text() == "PK, what was there"
    kept.write_text("mine")
    with pytest.raises(OutputError, match=r"graph\.pt2 is there and is no result of this command"):
        export(load("base"), kept, "torch-export")


def test_shortest_input_is_the_first_with_two_frames() -> None:
    upstream = load("base")
    shortest = shortest_input(upstream)
    assert [upstream.num_frames(n) for n in (shortest - 1, shortest)] == [1, 2]
    assert TINY["conv_kernels"] == (10, 8)


def test_mistakes(audiossl: Callable[..., Any], encoder: str, tmp_path: Path) -> None:
    for arguments, message in (
        (("--format", "tflite"), "choose onnx or torch-export"),
        (("--format", "torch-export", "--up-to-layer", "5"), "has layers 0 to 1"),
        (("--format", "onnx", "--precision", "bf16"), "no bfloat16 on a CPU"),
    ):
        done = audiossl("export", encoder, "--out", tmp_path / "x", *arguments)
        assert (done.code, message in done.err, done.err.count("\n")) == (2, True, 1), done.err
        assert not (tmp_path / "x").exists()
