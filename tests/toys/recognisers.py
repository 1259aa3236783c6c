"""Tiny recognisers of other toolkits with random weights, as transformers saves them and as fairseq does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from audiossl.encoders.waveform.names import hf_to_fairseq

transformers = pytest.importorskip("transformers")
LETTERS = "ETAONIHS'"
TOKENS = {token: row for row, token in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|", *LETTERS])}
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "conv_dim": [8] * 7,
    "vocab_size": len(TOKENS),
    "pad_token_id": 0,
}
LARGE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True}  # the style that reads padded batches


def save_recogniser(folder: Path, kind: str = "Wav2Vec2", *, normalize: bool = True, **config: Any) -> tuple[Any, Any]:
    """A `<kind>ForCTC` in a folder, and its processor beside it. Returns both."""
    torch.manual_seed(0)
    settings = getattr(transformers, f"{kind}Config")(**{**SIZES, **config})
    model = getattr(transformers, f"{kind}ForCTC")(settings).eval()
    model.lm_head.weight.data.normal_(std=3)  # so that more than one class is ever the best
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps(TOKENS), encoding="utf-8")
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=normalize, return_attention_mask=True)
    processor = transformers.Wav2Vec2Processor(feature_extractor=extractor, tokenizer=tokenizer)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return model, processor


def logits_of(model: Any, processor: Any, wavs: list[Tensor]) -> list[Tensor]:
    """(T, C) of each recording, all in one padded batch."""
    read = processor([wav.numpy() for wav in wavs], sampling_rate=16000, padding=True, return_tensors="pt")
    with torch.no_grad():
        found = model(**read).logits
    frames = model._get_feat_extract_output_lengths(torch.tensor([len(wav) for wav in wavs]))
    return [logits[:count] for logits, count in zip(found, frames.tolist(), strict=True)]


def text_of(processor: Any, logits: Tensor) -> str:
    """As transformers decodes (T, C), with single spaces."""
    return " ".join(processor.decode(logits.argmax(-1)).split())


def save_for_fairseq(path: Path, model: Any, normalize: bool = True) -> None:
    """The same model as a file of fairseq, whose first row is the blank, with its dictionary beside it."""
    inner = {name.removeprefix("wav2vec2."): value for name, value in model.state_dict().items()}
    head = {part: inner.pop(f"lm_head.{part}") for part in ("weight", "bias")}
    state = {f"w2v_encoder.w2v_model.{name}": value for name, value in hf_to_fairseq(inner).items()}
    # Of transformers' rows the blank is 0 and <s> is 1: the other way round in fairseq, as `<s>` is the blank there.
    state |= {f"w2v_encoder.proj.{part}": value for part, value in head.items()}
    encoder = {
        "_name": "wav2vec2",
        "encoder_attention_heads": 2,
        "encoder_layers": 2,
        "layer_norm_first": model.config.do_stable_layer_norm,
    }
    config = {
        "model": {"_name": "wav2vec_ctc", "w2v_args": {"model": encoder}},
        "task": {"_name": "audio_finetuning", "labels": "ltr", "normalize": normalize},
    }
    torch.save({"cfg": config, "model": state}, path)
    lines = [f"{token} 1" for token in ["|", *LETTERS]]
    (path.parent / "dict.ltr.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
