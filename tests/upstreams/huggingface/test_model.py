"""Encoders of transformers: parity with its own preprocessor and model, frame arithmetic, loading, saving."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from audiossl import load_upstream
from audiossl.core.errors import AudioError, CheckpointError, ConfigError
from audiossl.encoders.testing import check_upstream, noise, pad, relative_distance
from audiossl.encoders.weights import save_upstream
from audiossl.upstreams.huggingface.convert import load_folder as load
from audiossl.upstreams.huggingface.kinds import KINDS, import_transformers
from audiossl.upstreams.huggingface.model import HuggingFace, HuggingFaceConfig

transformers = pytest.importorskip("transformers")

_BLOCKS = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
_POSITIONS = {"num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
_STEM = {**_BLOCKS, **_POSITIONS, "conv_dim": [8] * 7, "vocab_size": 8}
_SEW = {**_STEM, "conv_dim": [8] * 13}
_SEAMLESS = {
    "hidden_size": 16,
    "vocab_size": 8,
    "t2u_vocab_size": 8,
    "char_vocab_size": 8,
    "unit_hifi_gan_vocab_size": 8,
}


@dataclass(frozen=True)
class Case:
    """model: the class whose folder is read (a head or a decoder on top, where there is one); part: its encoder."""

    model: str
    config: str
    fields: dict[str, Any]
    extractor: str = "Wav2Vec2FeatureExtractor"
    settings: dict[str, Any] = field(default_factory=dict)
    part: str = ""
    shortest: int = 400
    stride: int = 320


CASES = {
    "wav2vec2-bert": Case(
        "Wav2Vec2BertForCTC",
        "Wav2Vec2BertConfig",
        {**_BLOCKS, "vocab_size": 8, "conv_depthwise_kernel_size": 7, "add_adapter": True, "output_hidden_size": 16},
        "SeamlessM4TFeatureExtractor",
        {"padding_value": 1},  # as published
        "wav2vec2_bert",
        560,
    ),
    "wav2vec2-conformer": Case(
        "Wav2Vec2ConformerForCTC",
        "Wav2Vec2ConformerConfig",
        {**_STEM, "conv_depthwise_kernel_size": 7, "feat_extract_norm": "layer"},
        part="wav2vec2_conformer",
    ),
    "wav2vec2-conformer rotary": Case(
        "Wav2Vec2ConformerModel",
        "Wav2Vec2ConformerConfig",
        {**_STEM, "conv_depthwise_kernel_size": 7, "position_embeddings_type": "rotary"},
    ),
    "unispeech": Case("UniSpeechForCTC", "UniSpeechConfig", {**_STEM, "num_ctc_classes": 8}, part="unispeech"),
    "sew": Case("SEWForCTC", "SEWConfig", _SEW, part="sew", shortest=720, stride=640),
    "sew-d": Case("SEWDForCTC", "SEWDConfig", _SEW, part="sew_d", shortest=720, stride=640),
    "speecht5": Case(
        "SpeechT5ForSpeechToText",
        "SpeechT5Config",
        {
            **{key: value for key, value in _STEM.items() if key in ("hidden_size", "conv_dim", "vocab_size")},
            **_POSITIONS,
            **{
                f"{side}_{key}": n
                for side in ("encoder", "decoder")
                for key, n in (("layers", 2), ("attention_heads", 2), ("ffn_dim", 32))
            },
        },
        "SpeechT5FeatureExtractor",
        part="speecht5.encoder",
    ),
    "moonshine": Case(
        "MoonshineForConditionalGeneration",
        "MoonshineConfig",
        {
            "vocab_size": 8,
            "hidden_size": 16,
            "intermediate_size": 32,
            **{
                f"{side}_{key}": 2
                for side in ("encoder", "decoder")
                for key in ("num_hidden_layers", "num_attention_heads")
            },
        },
        settings={"do_normalize": False},
        part="model.encoder",
        shortest=895,
        stride=384,
    ),
    "whisper": Case(
        "WhisperForConditionalGeneration",
        "WhisperConfig",
        {
            "vocab_size": 8,
            "d_model": 16,
            "max_source_positions": 100,
            "pad_token_id": 0,
            **{
                f"{side}_{key}": n
                for side in ("encoder", "decoder")
                for key, n in (("layers", 2), ("attention_heads", 2), ("ffn_dim", 32))
            },
        },
        "WhisperFeatureExtractor",
        {"chunk_length": 2},
        "model.encoder",
        1,
    ),
    "audio-spectrogram-transformer": Case(
        "ASTForAudioClassification",
        "ASTConfig",
        {**_BLOCKS, "max_length": 256},
        "ASTFeatureExtractor",
        {"max_length": 256},
        "audio_spectrogram_transformer",
        2800,
        1600,
    ),
    "seamless_m4t_v2": Case(
        "SeamlessM4Tv2ForSpeechToText",
        "SeamlessM4Tv2Config",
        {
            **_SEAMLESS,
            **{
                f"speech_encoder_{key}": n
                for key, n in (("layers", 2), ("attention_heads", 2), ("intermediate_size", 32), ("chunk_size", 20))
            },
            **{
                f"{side}_{key}": n
                for side in ("encoder", "decoder")
                for key, n in (("layers", 1), ("attention_heads", 2), ("ffn_dim", 32))
            },
        },
        "SeamlessM4TFeatureExtractor",
        part="speech_encoder",
        shortest=560,
    ),
    "parakeet": Case(
        "ParakeetForCTC",
        "ParakeetCTCConfig",
        {"vocab_size": 8, "pad_token_id": 7, "encoder_config": {**_BLOCKS, "subsampling_conv_channels": 8}},
        "ParakeetFeatureExtractor",
        part="encoder",
        shortest=320,
        stride=1280,
    ),
    "wav2vec2": Case("Wav2Vec2ForCTC", "Wav2Vec2Config", {**_STEM, "do_stable_layer_norm": True}, part="wav2vec2"),
    "hubert": Case("HubertForCTC", "HubertConfig", _STEM, part="hubert"),
    "wavlm": Case("WavLMModel", "WavLMConfig", _STEM),
    # Tiny, its positional convolutions magnify the rounding of a normalised waveform a hundredfold: none here.
    "data2vec-audio": Case("Data2VecAudioModel", "Data2VecAudioConfig", _STEM, settings={"do_normalize": False}),
    "unispeech-sat": Case("UniSpeechSatModel", "UniSpeechSatConfig", {**_STEM, "num_clusters": 8}),
}


def save(case: Case, folder: Path, **written: Any) -> Any:
    """A tiny random model and its preprocessor as a folder; returns the model."""
    torch.manual_seed(0)
    model = getattr(transformers, case.model)(getattr(transformers, case.config)(**case.fields)).eval()
    with torch.no_grad():  # away from initial values that would hide a missing weight: zeros, ones, unit variances
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
        for name, buffer in model.named_buffers():
            if "running" in name:
                buffer.add_(0.2 * torch.rand_like(buffer))
    model.save_pretrained(folder, **written)
    getattr(transformers, case.extractor)(**case.settings).save_pretrained(folder)
    return model


def expected(case: Case, folder: Path, model: Any, wav: Tensor) -> list[Tensor]:
    """Hidden states by transformers' documented calls, attention mask and all, without anything of ours."""
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    rate = extractor.sampling_rate
    inputs = dict(extractor(wav.numpy().astype(np.float32), sampling_rate=rate, return_tensors="pt"))
    encoder = model.get_submodule(case.part)
    if case.extractor == "Wav2Vec2FeatureExtractor":
        inputs.pop("attention_mask", None)
    with torch.no_grad():
        out = encoder(**inputs, output_hidden_states=True)
    states = list(out.hidden_states)
    if case.model.startswith("AST"):
        patches = [state[:, 2:] for state in [*states[:-1], out.last_hidden_state]]
        return [x.unflatten(1, (12, -1)).mean(1) for x in patches]  # 12 patches of 16 bands every 10 in 128 bands
    if case.model.startswith("Seamless"):  # its own last state comes after an adapter; see the README
        captured: list[Tensor] = []
        handle = encoder.encoder.layer_norm.register_forward_hook(lambda *args: captured.append(args[2]))
        with torch.no_grad():
            encoder(**inputs)
        handle.remove()
        return [*states[:-1], captured[0]]
    # After an adapter (w2v-BERT) or an upsampling (SEW), the output is no longer the last block's.
    if not case.fields.get("add_adapter") and not case.model.startswith("SEW"):
        states[-1] = out.last_hidden_state
    return states


@pytest.mark.parametrize("name", CASES)
def test_hidden_states_are_those_of_transformers(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    model = save(case, tmp_path)
    upstream = load(tmp_path)
    assert (upstream.stride, upstream.min_samples, upstream.sample_rate_hz) == (case.stride, case.shortest, 16000)
    lengths = [case.shortest, case.shortest + case.stride - 1, case.shortest + case.stride, 7777, 8000, 16000, 27123]
    for seed, samples in enumerate(lengths):
        wav = noise(upstream, [samples / 16000], seed)[0]
        with torch.no_grad():
            made = upstream(wav[None]).item(0)
        frames = upstream.num_frames(samples)
        theirs = expected(case, tmp_path, model, wav)
        assert len(made) == len(theirs) == upstream.num_layers
        for ours, state in zip(made, theirs, strict=True):
            assert frames <= state.shape[1]
            assert relative_distance(ours, state[0, :frames]) <= 1e-5


@pytest.mark.parametrize("name", CASES)
def test_contract(name: str, tmp_path: Path) -> None:
    save(CASES[name], tmp_path)
    report = check_upstream(load(tmp_path))
    assert report.padding_error <= 1e-5


@pytest.mark.parametrize("name", CASES)
def test_saved_and_loaded_again(name: str, tmp_path: Path) -> None:
    save(CASES[name], tmp_path / "folder")
    upstream = load(tmp_path / "folder")
    save_upstream(upstream, tmp_path / "encoder.safetensors")
    again = load_upstream(str(tmp_path / "encoder.safetensors"))
    wav = noise(upstream, [0.5])[0][None]
    with torch.no_grad():
        assert all(map(torch.equal, upstream(wav).layers, again(wav).layers))
        random = load_upstream(str(tmp_path / "encoder.safetensors"), weights="random", seed=3)(wav)
    assert not torch.equal(random.layers[-1], upstream(wav).layers[-1])


@pytest.mark.parametrize("name", ["wav2vec2-bert", "wav2vec2-conformer", "sew", "whisper", "parakeet"])
def test_training_keeps_layers_and_statistics(name: str, tmp_path: Path) -> None:
    save(CASES[name], tmp_path)
    upstream = load(tmp_path).train()
    before = {key: value.clone() for key, value in upstream.named_buffers() if "running" in key}
    for _ in range(3):  # no block is skipped, nothing is masked
        features = upstream(*pad(noise(upstream, [0.3, 0.5])))
        assert len(features.layers) == upstream.num_layers
    features.layers[-1].square().sum().backward()
    assert all(torch.equal(dict(upstream.named_buffers())[key], value) for key, value in before.items())
    assert any(p.grad is not None and bool(p.grad.any()) for p in upstream.parameters())


def test_rounded_positions_do_not_stay(tmp_path: Path) -> None:
    for name in ("wav2vec2-conformer", "wav2vec2-conformer rotary"):
        save(CASES[name], tmp_path / name)
        upstream = load(tmp_path / name)
        wav = noise(upstream, [0.5])[0][None]
        before = upstream(wav).layers
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            upstream(wav)
        after = upstream(wav).layers
        assert all(map(torch.equal, before, after))
        after[-1].sum().backward()


def test_models_of_fixed_size_refuse_longer_recordings(tmp_path: Path) -> None:
    for name, longest in (("whisper", 32000), ("audio-spectrogram-transformer", 400 + 255 * 160 + 159)):
        save(CASES[name], tmp_path / name)
        upstream = load(tmp_path / name)
        with torch.no_grad():
            assert upstream(torch.zeros(1, longest)).layers[0].shape[1] == upstream.num_frames(longest)
        padded = torch.zeros(2, longest + 4000)  # padding is no recording
        upstream(padded, torch.tensor([longest, 5000]))
        with pytest.raises(AudioError, match=r"Item 1 lasts .* encoder reads at most .* cut the recording into chunks"):
            upstream(padded, torch.tensor([5000, longest + 1]))


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
    with pytest.raises(CheckpointError, match="cannot be read"):
        load(tmp_path)
    assert not marker.exists()


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


def test_model_and_preprocessor_must_belong_together(tmp_path: Path) -> None:
    case = CASES["whisper"]
    save(case, tmp_path)
    transformers.WhisperFeatureExtractor(chunk_length=30).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="reads 200 mel frames and its preprocessor gives 3000"):
        load(tmp_path)


def test_the_name_alone_has_no_architecture() -> None:
    with pytest.raises(CheckpointError, match="architecture without weights"):
        load_upstream("huggingface", model={"model_type": "wav2vec2-bert", "num_hidden_layers": 0})
    with pytest.raises(ConfigError, match="no architecture of its own"):
        load_upstream("huggingface", weights="random")


def test_every_kind_is_tested() -> None:
    tested = {name.split()[0] for name in CASES} - {"parakeet"}
    assert tested | {"parakeet_encoder", "parakeet_ctc", "parakeet_tdt", "parakeet_rnnt"} == set(KINDS)


def test_without_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"pip install audiossl-toolkit\[hf\]"):
        import_transformers()
    with pytest.raises(ConfigError, match=r"pip install audiossl-toolkit\[hf\]"):
        HuggingFace(HuggingFaceConfig({"model_type": "wav2vec2-bert"}))
