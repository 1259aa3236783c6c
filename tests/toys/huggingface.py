"""Tiny models of every kind that transformers writes, and their hidden states by its documented calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

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
