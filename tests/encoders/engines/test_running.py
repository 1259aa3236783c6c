"""Other precisions and engines give what eager gives, item by item, and say what they cannot do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.core import ROOT
from toys.engines import ENCODERS, TINY, check_compiled, check_engine, kinds, load

from audiossl import load_upstream
from audiossl.core.errors import ConfigError
from audiossl.core.tensors import fingerprint
from audiossl.encoders.engines.graph import folded
from audiossl.encoders.engines.running import OnnxUpstream
from audiossl.encoders.long_audio import encode_long
from audiossl.encoders.testing import noise, pad, relative_distance


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUDIOSSL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("kind", ENCODERS)
def test_bf16_is_close_and_padding_changes_nothing(kind: str) -> None:
    eager, half = load(kind), load(kind, precision="bf16")
    wavs = noise(eager, (0.31, 1.2))
    with torch.inference_mode():
        batch = half(*pad(wavs, 0.9))
        for index, wav in enumerate(wavs):
            alone = half(wav[None])
            assert {layer.dtype for layer in alone.layers} == {torch.bfloat16}
            assert max(map(relative_distance, batch.item(index), alone.item(0))) < 0.02
            assert max(map(relative_distance, alone.layers, eager(wav[None]).layers)) < 0.05


@pytest.mark.parametrize("kind", ["base", "wavlm"])
def test_a_folded_twin_shares_the_weights_and_gives_the_same(kind: str) -> None:
    eager = load(kind)
    twin = folded(eager)
    (wav,) = noise(eager, (0.5,))
    assert all(map(torch.equal, twin(wav[None]).layers, eager(wav[None]).layers))
    assert twin.blocks[0].qkv.weight is eager.blocks[0].qkv.weight
    assert "direction" in dict(eager.position.named_parameters())


@pytest.mark.slow  # importing what writes ONNX alone takes ten seconds
@pytest.mark.parametrize("kind", kinds())
def test_onnx(kind: str, cache: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    check_engine(load(kind), load(kind, engine="onnx"))
    files = sorted(cache.rglob("graph.onnx"))
    assert len(files) == (2 if kind == "tera" else 3)  # the whole, the early stop, a part
    before = [file.stat().st_mtime_ns for file in files]
    again = load(kind, engine="onnx")
    again(noise(again, (0.3,))[0][None])
    assert [file.stat().st_mtime_ns for file in sorted(cache.rglob("graph.onnx"))] == before
    assert not list(cache.rglob("*.part"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", kinds("tera"))
def test_openvino(kind: str) -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("onnxscript")
    check_engine(load(kind), load(kind, engine="openvino"))
    check_engine(load(kind), load(kind, engine="openvino", precision="bf16"), tolerance=0.05)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("kind", ["base", "wavlm"])
def test_compile(kind: str, cache: Path) -> None:
    check_compiled(kind, cache)


class Doubled(OnnxUpstream):
    """An engine without packages: twice what eager gives."""

    packages = ()

    def run(self, wav: torch.Tensor, last: int, statistics: Any) -> list[torch.Tensor]:
        return [2 * layer for layer in self.eager.encode_even(wav, last, statistics)]


def test_facts_and_weights_are_those_of_the_eager_one() -> None:
    eager, fast = load("base"), Doubled(load("base"))
    for fact in ("name", "widths", "stride", "receptive_field", "min_samples", "sample_rate_hz", "config"):
        assert getattr(fast, fact) == getattr(eager, fact)
    assert fingerprint(fast) == fingerprint(eager)
    assert [name for name, _ in fast.named_parameters()] == [name for name, _ in eager.named_parameters()]
    assert fast.num_frames(16000) == eager.num_frames(16000)
    wavs = noise(eager, (0.31, 0.2))
    with torch.no_grad():
        found, expected = fast(*pad(wavs)), eager(*pad(wavs))
    for index in range(2):
        for a, b in zip(found.item(index), expected.item(index), strict=True):
            assert relative_distance(a, 2 * b) < 1e-5
    chunks = [features.layers[1] for _, features in encode_long(fast, wavs[0].repeat(9), chunk_s=0.5, overlap_s=0.1)]
    whole = [features.layers[1] for _, features in encode_long(eager, wavs[0].repeat(9), chunk_s=0.5, overlap_s=0.1)]
    assert relative_distance(torch.cat(chunks, 1), 2 * torch.cat(whole, 1)) < 1e-5


def test_an_engine_is_frozen() -> None:
    fast = Doubled(load("base"))
    (wav,) = noise(fast, (0.3,))
    assert not fast.train().training  # a task in training mode leaves it as it is
    assert not any(parameter.requires_grad for parameter in fast.parameters())
    assert fast(wav[None]).layers[-1].requires_grad is False
    with pytest.raises(ConfigError, match="engine=eager"):
        fast.requires_grad_(True)
    fast.blocks.requires_grad_(True)
    with pytest.raises(ConfigError, match="engine=eager"):
        fast(wav[None])


@pytest.mark.parametrize(
    ("name", "how", "message"),
    [
        ("log_mel", {"engine": "fast"}, "the engines are eager, compile, onnx, openvino"),
        ("log_mel", {"precision": "fp16"}, "the precisions fp32, bf16"),
        ("log_mel", {"precision": "bf16"}, "no weights"),
        ("tera_mini", {"engine": "onnx", "precision": "bf16"}, "openvino or compile"),
        ("wav2vec2", {"engine": "compile", "padding": "legacy", **TINY}, "padding='legacy'"),
    ],
)
def test_what_cannot_be_is_one_sentence(name: str, how: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_upstream(name, weights="random", **how)


TWO_SESSIONS = """
import faulthandler, gc, os, signal, sys
from types import SimpleNamespace
import onnx
from onnx import TensorProto, helper
from audiossl.encoders.engines.running import OpenVinoUpstream
faulthandler.enable()
x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8]) for name in "xy")
graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), sys.argv[1])
like = SimpleNamespace(precision="fp32", display_name="toy")
first, second = (OpenVinoUpstream.session(like, sys.argv[1]) for _ in range(2))
del first
gc.collect()
del second
gc.collect()
signal.signal(signal.SIGUSR1, lambda *_: print("handled", flush=True))
os.kill(os.getpid(), signal.SIGUSR1)
"""


@pytest.mark.slow
def test_signals_are_handled_after_the_last_openvino_encoder_is_gone(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("onnx")
    command = [sys.executable, "-c", TWO_SESSIONS, str(tmp_path / "x.onnx")]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


@pytest.mark.parametrize(("engine", "package"), [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, engine: str, package: str) -> None:
    for name in ("onnx", "onnxscript"):
        pytest.importorskip(name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"audiossl-toolkit\[{engine}\]"):
        load_upstream("log_mel", engine=engine)


def test_an_encoder_that_no_graph_can_hold(toy_upstream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    upstream = load_upstream(toy_upstream, weights="random", engine="onnx")

    def encode(self: Any, wavs: torch.Tensor, lengths: torch.Tensor, last: int) -> list[torch.Tensor]:
        return [wavs[:, :: 1 + int(wavs.sum() > 0)]]

    monkeypatch.setattr(type(upstream.eager), "encode", encode)
    with pytest.raises(ConfigError, match="cannot be written as a graph"):
        upstream(torch.zeros(1, 16000))
