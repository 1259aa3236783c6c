"""Encoders that are known and not here are called by their names; adapters and broken folders are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from toys import miniatures as mini

from audiossl import load_upstream
from audiossl.core.errors import AudiosslError, CheckpointError
from audiossl.encoders.formats.original import Original
from audiossl.encoders.formats.refused import refuse_by_name
from audiossl.encoders.testing import noise, relative_distance
from audiossl.encoders.waveform.to_transformers import write_folder


def original(name: str, kind: str = "state_dict", **described: Any) -> Original:
    return Original(Path("x.pt"), kind, described, {}, lambda: {name: torch.zeros(1)})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("modality_encoders.AUDIO.x", r"data2vec 2\.0"),
        ("patch_embedding.weight", "BEATs"),
        ("module.v.cls_token", "SSAST"),
        ("patch_embed.proj.weight", "AudioMAE"),
        ("features.0.weight", "BYOL-A"),
        ("encoder.layers.0.conv_module.x", "Conformer"),
        ("decoder.token_embedding.weight", "Whisper"),
    ],
)
def test_by_a_tensor_that_only_they_have(name: str, said: str) -> None:
    with pytest.raises(CheckpointError, match=rf"^x\.pt is .*{said}.* which audiossl does not have\.$"):
        refuse_by_name(original(name))


def test_by_the_type_of_its_layers() -> None:
    with pytest.raises(CheckpointError, match="a wav2vec 2.0 Conformer of fairseq"):
        refuse_by_name(original("w", "fairseq", model={"layer_type": "conformer"}))


def test_what_may_be_one_of_ours_passes() -> None:
    refuse_by_name(original("feature_extractor.conv_layers.0.0.weight"))
    refuse_by_name(original("cls_token", "huggingface"))  # transformers has a class for it


def test_what_stands_beside_a_waveform_encoder_may_be_anything() -> None:
    names = ("frontend.model.feature_extractor.conv_layers.0.0.weight", "encoder.encoders.0.conv_module.norm.weight")
    refuse_by_name(Original(Path("x.pt"), "state_dict", {}, {}, lambda: dict.fromkeys(names, torch.zeros(1))))
    inside = (names[0], "frontend.model.encoder.layers.0.conv_module.norm.weight")
    with pytest.raises(CheckpointError, match="a wav2vec 2.0 Conformer of fairseq"):
        refuse_by_name(Original(Path("x.pt"), "state_dict", {}, {}, lambda: dict.fromkeys(inside, torch.zeros(1))))


@pytest.mark.parametrize("where", ["beside", "alone", "among the tensors", "of a folder", "file", "of TERA"])
def test_adapters_of_peft_are_refused_wherever_they_are(tmp_path: Path, where: str) -> None:
    made = mini.encoder()
    adapters = {"base_model.model.encoder.layers.0.attention.k_proj.lora_A.weight": torch.zeros(2, 24)}
    folder = tmp_path / "folder"
    write_folder(made, folder)
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    save_file(adapters, folder / "adapter_model.safetensors")
    path = folder
    if where in ("alone", "file"):
        (folder / "config.json").unlink()
        (folder / "model.safetensors").unlink()
        path = folder if where == "alone" else folder / "adapter_model.safetensors"
    elif where == "of a folder":
        (folder / "adapter_config.json").unlink()
        state = {**load_file(folder / "model.safetensors"), **adapters}
        save_file(state, folder / "model.safetensors")
    elif where != "beside":
        state = mini.fairseq_state(made)
        state["encoder.layers.0.fc1.base_layer.weight"] = state.pop("encoder.layers.0.fc1.weight")
        content = (
            {"Transformer": adapters, "Upstream_Config": {}}
            if where == "of TERA"
            else {f"base_model.{name}": value for name, value in state.items()}
        )
        path = mini.write(content, tmp_path / "full.pt")
    with pytest.raises(CheckpointError, match=rf"{path} holds adapters of peft: merge them into their model"):
        load_upstream(str(path))


@pytest.mark.slow
def test_an_encoder_that_peft_merged_loads(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    transformers = pytest.importorskip("transformers")
    write_folder(mini.encoder(), tmp_path / "plain")
    theirs = transformers.AutoModel.from_pretrained(tmp_path / "plain")
    adapted = peft.get_peft_model(theirs, peft.LoraConfig(target_modules=["k_proj"], init_lora_weights=False))
    torch.save(adapted.state_dict(), tmp_path / "full.pt")
    with pytest.raises(CheckpointError, match="holds adapters of peft"):
        load_upstream(str(tmp_path / "full.pt"), num_heads=4)
    merged = adapted.merge_and_unload().eval()
    torch.save(merged.state_dict(), tmp_path / "merged.pt")
    ours = load_upstream(str(tmp_path / "merged.pt"), num_heads=4)
    wav = noise(ours, [0.3])[0][None]
    with torch.no_grad():
        assert relative_distance(ours(wav).layers[-1], merged(wav).last_hidden_state) < 1e-5


BROKEN: dict[str, tuple[str, str]] = {
    "config.json is a list": ("config.json", "[1]"),
    "config.json is cut": ("config.json", '{"model_type": "wav2'),
    "config.json is deep": ("config.json", "[" * 100_000),
    "model_type is a list": ("config.json", '{"model_type": ["wav2vec2"]}'),
    "model_type is null": ("config.json", '{"model_type": null}'),
    "heads are text": ("config.json", '{"model_type": "wav2vec2", "num_attention_heads": "many"}'),
    "heads are none": ("config.json", '{"model_type": "wav2vec2", "num_attention_heads": 0}'),
    "heads do not divide": ("config.json", '{"model_type": "wav2vec2", "num_attention_heads": 5}'),
    "strides are a number": ("config.json", '{"model_type": "wav2vec2", "conv_stride": 5}'),
    "strides are text": ("config.json", '{"model_type": "wav2vec2", "conv_stride": ["a"]}'),
    "an epsilon is text": ("config.json", '{"model_type": "wav2vec2", "layer_norm_eps": {}}'),
    "a million blocks": ("config.json", '{"model_type": "wav2vec2", "num_hidden_layers": 1000000000}'),
    "wide for terabytes": ("config.json", '{"model_type": "wav2vec2", "adapter_attn_dim": 100000000000}'),
    "preprocessor is null": ("preprocessor_config.json", "null"),
    "preprocessor is cut": ("preprocessor_config.json", "{"),
    "preprocessor is a list": ("preprocessor_config.json", "[]"),
    "do_normalize is text": ("preprocessor_config.json", '{"do_normalize": "no"}'),
    "rate is text": ("preprocessor_config.json", '{"sampling_rate": "fast"}'),
    "rate is negative": ("preprocessor_config.json", '{"sampling_rate": -16000}'),
    "index without a map": ("model.safetensors.index.json", "{}"),
    "index with a list": ("model.safetensors.index.json", '{"weight_map": ["a"]}'),
    "index with numbers": ("model.safetensors.index.json", '{"weight_map": {"a": 1}}'),
    "index to elsewhere": ("model.safetensors.index.json", '{"weight_map": {"a": "../model.safetensors"}}'),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_folder_that_is_broken_is_one_sentence(tmp_path: Path, case: str) -> None:
    write_folder(mini.encoder(), tmp_path)
    name, text = BROKEN[case]
    (tmp_path / name).write_text(text)
    with pytest.raises(AudiosslError) as caught:
        load_upstream(str(tmp_path))
    assert "\n" not in str(caught.value)
