"""What a file or folder is, by the parts that each toolkit writes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from audiossl.core.errors import CheckpointError
from audiossl.encoders.formats.original import Original, read_original

WEIGHTS = {"layer.weight": torch.ones(2)}


def written(content: Any, path: Path) -> Original:
    torch.save(content, path)
    return read_original(path)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ({"Distiller": WEIGHTS, "Config": {"distiller": {}}}, "s3prl"),
        ({"Transformer": WEIGHTS, "Upstream_Config": {"audio": {}}}, "s3prl"),
        ({"model_weight": WEIGHTS, "model_cfg": {"_name": "hubert"}, "task_cfg": {}}, "s3prl"),
        ({"model": WEIGHTS, "cfg": {"model": {"_name": "hubert"}, "task": {}}}, "fairseq"),
        ({"model": WEIGHTS, "args": argparse.Namespace(arch="wav2vec2")}, "fairseq"),
        ({"model": WEIGHTS, "cfg": {"encoder_layers": 2}}, "microsoft"),
        ({"state_dict": WEIGHTS}, "state_dict"),
        ({"model_state_dict": WEIGHTS, "epoch": 3}, "state_dict"),
        ({"encoder.transformer.layers.0.weight": torch.ones(2)}, "torchaudio"),
        (WEIGHTS, "state_dict"),
    ],
)
def test_kinds_of_torch_files(content: dict[str, Any], kind: str, tmp_path: Path) -> None:
    found = written(content, tmp_path / "x.pt")
    assert found.kind == kind
    (value,) = found.state.values()
    assert torch.equal(value, torch.ones(2))


def test_a_flat_namespace_describes_model_and_task(tmp_path: Path) -> None:
    found = written({"model": WEIGHTS, "args": argparse.Namespace(arch="wav2vec2", normalize=True)}, tmp_path / "x.pt")
    assert found.described["model"]["arch"] == "wav2vec2"
    assert found.described["task"]["normalize"] is True


def test_the_json_beside_a_file_of_torchaudio(tmp_path: Path) -> None:
    (tmp_path / "x.model_config.json").write_text(json.dumps({"encoder_num_heads": 4}))
    assert written(WEIGHTS, tmp_path / "x.pt").described["torchaudio"] == {"encoder_num_heads": 4}
    (tmp_path / "x.model_config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"x\.model_config\.json is not readable JSON"):
        read_original(tmp_path / "x.pt")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of transformers, its weights in two shards."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "wav2vec2"}))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"do_normalize": True}))
    save_file({"a": torch.ones(1)}, tmp_path / "one.safetensors")
    save_file({"b": torch.zeros(1)}, tmp_path / "two.safetensors")
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    return tmp_path


def test_a_folder_of_transformers_in_shards(folder: Path) -> None:
    found = read_original(folder)
    assert found.kind == "huggingface"
    assert found.described["preprocessor"] == {"do_normalize": True}
    assert sorted(found.state) == ["a", "b"]
    assert read_original(folder / "one.safetensors").kind == "huggingface"  # its folder is what it is part of


def test_safetensors_go_before_pickles(folder: Path) -> None:
    torch.save({"c": torch.ones(1)}, folder / "pytorch_model.bin")
    assert sorted(read_original(folder).state) == ["a", "b"]
    (folder / "model.safetensors.index.json").unlink()
    assert sorted(read_original(folder).state) == ["c"]
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(CheckpointError, match="has no weights"):
        _ = read_original(folder).state


def test_weights_are_read_when_they_are_first_asked_for(folder: Path) -> None:
    found = read_original(folder)
    first = found.state
    for path in folder.glob("*.safetensors"):
        path.unlink()
    assert found.state is first


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has neither upstream\.safetensors nor config\.json"):
        read_original(tmp_path)


def test_a_lone_safetensors_file(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "x.safetensors")
    found = read_original(tmp_path / "x.safetensors")
    assert (found.kind, list(found.state)) == ("state_dict", ["a"])
