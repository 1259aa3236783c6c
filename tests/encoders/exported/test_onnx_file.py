"""ONNX files: what is a waveform, and what must not be opened."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from toys.graphs import write_framed, write_windowed

from audiossl.core.errors import AudioError, CheckpointError
from audiossl.encoders.exported.onnx_file import read_onnx

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), ("batch",)])
def test_a_waveform_of_any_rank(tmp_path: Path, shape: tuple[object, ...]) -> None:
    program = read_onnx(write_windowed(tmp_path / "wï.onnx", shape=shape))
    assert (program.num_samples, program.metadata) == (2000, {"sample_rate": "16000"})
    found = deepcopy(program).run(torch.ones(1, 2000), ["frames"])["frames"]
    assert found.shape == ((1, 1, 50, 4) if shape == () else (1, 50, 4))  # without a batch, what is given has none


def test_the_hash_is_of_all_files(tmp_path: Path) -> None:
    first = read_onnx(write_framed(tmp_path / "a.onnx"))
    assert first.num_samples is None
    assert first.sha256 == read_onnx(write_framed(tmp_path / "b.onnx")).sha256
    model = onnx.load(str(tmp_path / "a.onnx"))
    onnx.save(model, str(tmp_path / "c.onnx"), save_as_external_data=True, location="c.data", size_threshold=100)
    apart = read_onnx(tmp_path / "c.onnx").sha256
    weights = (tmp_path / "c.data").read_bytes()
    (tmp_path / "c.data").write_bytes(weights[:-4] + b"abcd")
    assert read_onnx(tmp_path / "c.onnx").sha256 != apart
    (tmp_path / "c.data").unlink()
    with pytest.raises(CheckpointError, match=r"keeps weights in 'c\.data', which is not there; copy that too"):
        read_onnx(tmp_path / "c.onnx")


@pytest.mark.parametrize("place", ["../secret", "/etc/passwd", "link", "*/_ORT_MEM_ADDR_/*"])
def test_weights_outside_of_the_folder_are_not_opened(tmp_path: Path, place: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(10_000))
    (folder / "link").symlink_to(tmp_path / "secret")
    model = onnx.load(str(write_framed(tmp_path / "a.onnx")))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place)
    # In an attribute of a node too, which the runtime would open as well.
    tensor = model.graph.initializer.pop(0)
    tensor.name = ""
    model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["kernel"], value=tensor))
    (folder / "a.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match="outside of its folder, where nothing is opened; put that file beside"):
        read_onnx(folder / "a.onnx")


def test_damaged_and_foreign_files(tmp_path: Path) -> None:
    whole = write_framed(tmp_path / "a.onnx").read_bytes()
    for content, message in (
        (b"", "is no graph that ONNX Runtime can run"),
        (b"hello", r"\(5 bytes\) is not a whole ONNX file; copy or download it again"),
        (whole[:-200], "is not a whole ONNX file"),
    ):
        (tmp_path / "b.onnx").write_bytes(content)
        with pytest.raises(CheckpointError, match=message):
            read_onnx(tmp_path / "b.onnx")
    with pytest.raises(CheckpointError, match="There is no file"):
        read_onnx(tmp_path / "c.onnx")


def test_other_inputs(tmp_path: Path) -> None:
    stereo = write_windowed(tmp_path / "stereo.onnx", shape=(2,))
    with pytest.raises(CheckpointError, match=r"shape \[2, 2000\], and must be a waveform"):
        read_onnx(stereo)
    model = onnx.load(str(stereo))
    model.graph.input.append(onnx.helper.make_tensor_value_info("mask", onnx.TensorProto.INT64, [1]))
    onnx.save(model, str(stereo))
    with pytest.raises(CheckpointError, match="has the inputs 'wav', 'mask', and must have one"):
        read_onnx(stereo)


def test_a_length_that_it_cannot_take(tmp_path: Path) -> None:
    program = read_onnx(write_framed(tmp_path / "a.onnx"))
    with pytest.raises(AudioError, match=r"cannot be run on 7 samples \(.*\); if it takes windows of one length"):
        program.run(torch.zeros(1, 7), ())
