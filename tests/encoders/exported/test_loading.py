"""What a file does not say is asked for in one sentence, and what it says goes before what is guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from toys.graphs import write_framed, write_windowed

from audiossl import load_upstream
from audiossl.core.errors import AudiosslError, CheckpointError, ConfigError

pytest.importorskip("onnxruntime")


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("silent", {}, "does not say for which rate it is; give it as sample_rate_hz=RATE, for instance 16000"),
        (
            "window",
            {},
            r"several outputs \(embedding \(1, 4\), frames \(1, 50, 4\)\); say which are layers by outputs=",
        ),
        ("window", {"outputs": ["x"]}, "has no output 'x'; name some of those that it has by outputs="),
        ("window", {"outputs": "x"}, "has no output 'x'"),
        ("window", {"sample_rate_hz": 8000}, "says that it takes 16000 Hz; leave sample_rate_hz=8000 out"),
        ("window", {"window_s": 3.0}, r"takes 2000 samples, 0\.125 s at 16000 Hz; leave window_s=3 out"),
        ("window", {"hop_s": 3.0}, r"hop_s=3 leaves out sound between windows of 0\.125 s"),
        ("window", {"stirde": 3}, "there is no key 'stirde'. Did you mean stride"),
        ("window", {"weights": "random"}, "has its weights inside, and random ones cannot be drawn"),
        (
            "flat",
            {"outputs": "frames"},
            r"'frames' of .* is \(1, 1, 50, 4\) torch\.float32, and a layer must be frames",
        ),
        ("free", {"outputs": "embedding"}, "is one vector, however long its input is; give the length of windows"),
        ("frames", {"outputs": "first"}, "does not say how its frames lie .* set stride, .* and receptive_field"),
        ("frames", {"outputs": "first", "hop_s": 1.0}, "takes any length, so that it has no windows; leave hop_s out"),
        ("huge", {}, r"takes 62500 s at once, more than memory is reserved for"),
        ("wrong", {}, "there is no key 'strode'"),
    ],
)
def test_questions(tmp_path: Path, kind: str, options: dict[str, Any], message: str) -> None:
    file = tmp_path / "x.onnx"
    if kind == "frames":
        write_framed(file)
    elif kind == "wrong":
        write_framed(file, {"audiossl": json.dumps({"encoder": {"strode": 1}})})
    else:
        sizes = {"free": "samples", "huge": 10**9}
        how = {"silent": {"metadata": {}}, "flat": {"shape": ()}}
        write_windowed(file, sizes.get(kind, 2000), **how.get(kind, {}))
    with pytest.raises((ConfigError, CheckpointError), match=message) as raised:
        load_upstream(f"onnx:{file}", **options)
    assert "\n" not in str(raised.value)


def test_a_window_that_the_user_gives(tmp_path: Path) -> None:
    file = write_windowed(tmp_path / "x.onnx", "samples", {})
    upstream = load_upstream(str(file), outputs="embedding", window_s=0.5, sample_rate_hz=8000)
    assert (upstream.num_frames(4000), upstream.num_frames(4001), upstream.sample_rate_hz) == (1, 2, 8000)


def test_a_path_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(AudiosslError, match="there is no file or folder"):
        load_upstream(f"onnx:{tmp_path / 'x.onnx'}")
