"""Which family of waveform encoders a checkpoint belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from audiossl.encoders.formats.original import Original

FAMILIES = ("wav2vec2", "hubert", "wavlm", "data2vec", "unispeech_sat", "distilhubert")

# transformers' model_type -> our family.
_HF_FAMILIES = {
    "wav2vec2": "wav2vec2",
    "unispeech": "wav2vec2",
    "hubert": "hubert",
    "mert_model": "hubert",
    "wavlm": "wavlm",
    "data2vec-audio": "data2vec",
    "unispeech-sat": "unispeech_sat",
}


def family_of(original: Original) -> str:
    """The family of waveform encoders that a checkpoint belongs to, '' for none of them."""
    if original.kind == "huggingface":
        config = original.described["config"]
        family = _HF_FAMILIES.get(str(config.get("model_type", "")), "")
        return "distilhubert" if family == "hubert" and config.get("feat_proj_layer_norm") is False else family
    names = list(original.state)
    if not any("feature_extractor.conv_layers.0." in name for name in names):
        return ""
    return _family_by_tensors(names) or _family_by_description(original) or "wav2vec2"


def _family_by_tensors(names: Sequence[str]) -> str:
    """Where tensors can tell: parts that only one family has."""
    for sign, family in (
        (r"self_attn\.grep_a|gru_rel_pos_const", "wavlm"),
        (r"pos_conv\.1\.0\.weight|pos_conv_embed\.layers\.1\.", "data2vec"),
        (r"(^|\.)spk_proj\.|speaker_proj\.", "unispeech_sat"),
        (r"(^|\.)output_layer\.2\.bias", "distilhubert"),
    ):
        if any(re.search(sign, name) for name in names):
            return family
    return ""


def _family_by_description(original: Original) -> str:
    """The name that a configuration gives the architecture."""
    if "Distiller" in original.content:
        return "distilhubert"
    if original.kind == "microsoft":  # WavLM's tensors would have shown; the class serves this model too
        return "unispeech_sat"
    model = architecture(original)
    described = " ".join(
        str(value)
        for value in (model.get("_name"), model.get("arch"), original.described.get("task", {}).get("_name"))
        if value
    ).replace("wav2vec_ctc", "wav2vec2")
    for sign in ("unispeech_sat", "data2vec", "hubert", "wavlm", "wav2vec"):
        if sign in described:
            return "wav2vec2" if sign == "wav2vec" else sign.replace("-", "_")
    named_by_training = {"label_embs_concat": "hubert", "quantizer.vars": "wav2vec2"}
    names = [f".{name}" for name in original.state]  # perhaps under the prefix of a model that contains it
    found = [family for sign, family in named_by_training.items() if any(n.endswith(f".{sign}") for n in names)]
    return found[0] if found else ("hubert" if "label_rate" in model else "")


def architecture(original: Original) -> dict[str, Any]:
    """The section that describes the encoder: of a model with a recogniser on top, the one nested in it."""
    model = original.described.get("model")
    if original.kind == "s3prl" and "Config" in original.described:
        model = (original.described["Config"] or {}).get("distiller")
    model = dict(model) if isinstance(model, Mapping) else {}
    nested = model.get("w2v_args")
    if isinstance(nested, Mapping):
        inner = nested.get("model", nested)
        return {**dict(inner), "_outer": model}
    return model
