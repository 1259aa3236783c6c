"""Folders of transformers: weights, preprocessors, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.huggingface import CASES, expected, save

from audiossl.core.errors import CheckpointError, ConfigError
from audiossl.encoders.testing import noise, relative_distance
from audiossl.upstreams.huggingface.convert import load_folder as load


@pytest.mark.parametrize("written", [{"safe_serialization": False}, {"max_shard_size": "8KB"}], ids=["bin", "shards"])
def test_other_files_of_weights(written: dict[str, Any], tmp_path: Path) -> None:
    case = CASES["wav2vec2-bert"]
    model = save(case, tmp_path, **written)
    if "safe_serialization" in written and not list(tmp_path.glob("*.bin")):  # transformers 5 writes safetensors only
        (tmp_path / "model.safetensors").unlink()
        torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    if "max_shard_size" in written:
        assert (tmp_path / "model.safetensors.index.json").is_file()
    upstream = load(tmp_path)
    wav = noise(upstream, [0.5])[0]
    made, theirs = upstream(wav[None]).item(0), expected(case, tmp_path, model, wav)
    assert relative_distance(made[1], theirs[1][0, : len(made[1])]) <= 1e-5


@pytest.mark.parametrize("name", ["wav2vec2-bert", "whisper", "seamless_m4t_v2"])
def test_missing_weights_are_an_error(name: str, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save(CASES[name], tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    gone = next(key for key in state if "layers.1" in key and key.startswith(CASES[name].part))
    save_file({k: v for k, v in state.items() if k != gone}, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"missing: .*layers\.1"):
        load(tmp_path)
    head = [key for key in state if not key.startswith(CASES[name].part)]
    save_file({k: v for k, v in state.items() if k not in head}, tmp_path / "model.safetensors", {"format": "pt"})
    load(tmp_path)  # a head or a decoder need not be there
    state[gone] = state[gone].repeat(2, *[1] * (state[gone].ndim - 1))
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match="cannot be read"):
        load(tmp_path)


def test_pickled_code_is_refused(tmp_path: Path) -> None:
    save(CASES["wav2vec2-bert"], tmp_path)
    (tmp_path / "model.safetensors").unlink()
    marker = tmp_path / "ran"

    class Harm:
        def __reduce__(self) -> Any:
            return Path.touch, (marker,)

    torch.save({"x": Harm()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="pickled code that audiossl does not run: save its") as caught:
        load(tmp_path)
    assert not marker.exists()
    assert "weights_only" not in str(caught.value)


def test_normalize_replaces_what_the_preprocessor_says(tmp_path: Path) -> None:
    save(CASES["moonshine"], tmp_path)  # one of the few whose stem does not undo a change of level by itself
    loud = 3.0 * noise(load(tmp_path), [0.5])[0][None]
    normalized, plain = load(tmp_path, normalize=True)(loud).layers[0], load(tmp_path)(loud).layers[0]
    assert relative_distance(plain, normalized) > 1e-3
    (tmp_path / "preprocessor_config.json").unlink()
    (tmp_path / "processor_config.json").unlink(missing_ok=True)
    with pytest.raises(CheckpointError, match=r"no preprocessor_config\.json.*normalize=True"):
        load(tmp_path)
    assert torch.equal(load(tmp_path, normalize=True)(loud).layers[0], normalized)
    save(CASES["whisper"], tmp_path / "whisper")
    with pytest.raises(ConfigError, match="reads spectra"):
        load(tmp_path / "whisper", normalize=True)


def test_preprocessor_inside_a_processor_file(tmp_path: Path) -> None:
    save(CASES["wav2vec2-bert"], tmp_path)
    wav = noise(load(tmp_path), [0.5])[0][None]
    before = load(tmp_path)(wav).layers
    settings = json.loads((tmp_path / "preprocessor_config.json").read_text())
    (tmp_path / "preprocessor_config.json").unlink()
    (tmp_path / "processor_config.json").write_text(json.dumps({"feature_extractor": settings}))
    assert all(map(torch.equal, load(tmp_path)(wav).layers, before))


def test_folders_that_are_no_model(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="not readable JSON"):
        load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "wav2vec2-brt", "auto_map": {"AutoModel": "x.Y"}}))
    with pytest.raises(ConfigError, match="Did you mean wav2vec2-bert"):
        load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ConfigError, match="does not know the model_type 'bert'"):
        load(tmp_path)


def test_adapters_are_not_loaded_in_passing(tmp_path: Path) -> None:
    save(CASES["wav2vec2-bert"], tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="merge them into their model"):
        load(tmp_path)


def test_adapters_among_the_weights_are_not_left_out(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save(CASES["wav2vec2-bert"], tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    name = next(name for name in state if name.endswith("linear_q.weight"))
    state[name.replace("weight", "lora_A.default.weight")] = torch.zeros(2, 16)
    state[name.replace("weight", "base_layer.weight")] = state.pop(name)
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match="merge them into their model"):
        load(tmp_path)


@pytest.mark.parametrize("shard", ["../other.safetensors", "/etc/x.safetensors", 3])
def test_shards_lie_beside_their_index(tmp_path: Path, shard: Any) -> None:
    save(CASES["wav2vec2-bert"], tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": shard}}))
    with pytest.raises(CheckpointError, match=r"which is not beside it|has no `weight_map` from tensors to files"):
        load(tmp_path)


def test_a_folder_names_no_code(tmp_path: Path) -> None:
    """An attention may be one of a repository, which transformers fetches and runs."""
    save(CASES["wav2vec2"], tmp_path)
    said = json.loads((tmp_path / "config.json").read_text())
    for key in ("attn_implementation", "_attn_implementation", "_attn_implementation_internal"):
        (tmp_path / "config.json").write_text(json.dumps({**said, key: "someone/kernel"}))
        upstream = load(tmp_path)
        assert "someone/kernel" not in str(upstream.model.config._attn_implementation)


def test_sizes_that_no_encoder_has_are_refused(tmp_path: Path) -> None:
    save(CASES["wav2vec2-bert"], tmp_path)
    said = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**said, "num_hidden_layers": 10**9}))
    with pytest.raises(ConfigError, match="num_hidden_layers=1000000000, not from 0 to 1000"):
        load(tmp_path)
