"""Graphs as other frameworks export them: made by hand of a few operators, in a second."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

RATE = {"sample_rate": "16000"}
BAND = 40  # samples of a frame


def write_windowed(
    path: Path, num_samples: int | str = 2000, metadata: Mapping[str, str] = RATE, shape: tuple[Any, ...] = (1,)
) -> Path:
    """wav (..., num_samples) -> `embedding` (1, 4) and `frames` (1, T, 4)."""
    onnx = pytest.importorskip("onnx")
    helper, numbers = onnx.helper, onnx.TensorProto
    weights = np.sin(np.outer(np.arange(BAND), [0.05, 0.3, 0.9, 2.0])).astype(np.float32)
    constants = [
        onnx.numpy_helper.from_array(weights, "weights"),
        onnx.numpy_helper.from_array(np.array([1, -1, BAND]), "shape"),
    ]
    nodes = [
        helper.make_node("Reshape", ["wav", "shape"], ["cut"]),
        helper.make_node("MatMul", ["cut", "weights"], ["bands"]),
        helper.make_node("Abs", ["bands"], ["frames"]),
        helper.make_node("ReduceMean", ["frames"], ["embedding"], axes=[1], keepdims=0),
    ]
    wav = helper.make_tensor_value_info("wav", numbers.FLOAT, [*shape, num_samples])
    outputs = [("embedding", [1, 4]), ("frames", [1, None, 4])]
    made = [helper.make_tensor_value_info(name, numbers.FLOAT, size) for name, size in outputs]
    return _save(path, nodes, wav, made, constants, metadata)


def write_framed(path: Path, metadata: Mapping[str, str] = RATE) -> Path:
    """wav (1, S) of any length -> `first` and `second` (1, T, 4): frames of 40 samples, 20 apart."""
    onnx = pytest.importorskip("onnx")
    helper, numbers = onnx.helper, onnx.TensorProto
    kernel = np.sin(np.outer([0.05, 0.3, 0.9, 2.0], np.arange(BAND))).astype(np.float32)[:, None]
    constants = [
        onnx.numpy_helper.from_array(kernel, "kernel"),
        onnx.numpy_helper.from_array(np.array([1]), "axis"),
    ]
    nodes = [
        helper.make_node("Unsqueeze", ["wav", "axis"], ["channel"]),
        helper.make_node("Conv", ["channel", "kernel"], ["bands"], strides=[BAND // 2]),
        helper.make_node("Transpose", ["bands"], ["first"], perm=[0, 2, 1]),
        helper.make_node("Tanh", ["first"], ["second"]),
    ]
    wav = helper.make_tensor_value_info("wav", numbers.FLOAT, [1, "samples"])
    made = [helper.make_tensor_value_info(name, numbers.FLOAT, [1, "frames", 4]) for name in ("first", "second")]
    return _save(path, nodes, wav, made, constants, metadata)


def _save(path: Path, nodes: list[Any], wav: Any, made: list[Any], constants: list[Any], said: Any) -> Path:
    onnx = pytest.importorskip("onnx")
    graph = onnx.helper.make_graph(nodes, "toy", [wav], made, constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.helper.set_model_props(model, dict(said))
    onnx.save(model, str(path))
    return path


class ScriptedFrames(nn.Module):
    """wav (1, S) -> two layers (1, T, 1): means and deviations of 40 samples."""

    def forward(self, wav: Tensor) -> tuple[Tensor, Tensor]:
        frames = wav.unfold(1, 40, 40)
        return frames.mean(dim=-1, keepdim=True), frames.std(dim=-1, keepdim=True)


def write_scripted(path: Path) -> Path:
    torch.jit.script(ScriptedFrames()).save(str(path))
    return path
