"""Known encoders that are not here. A checkpoint of one is better named than half recognised."""

from __future__ import annotations

from collections.abc import Mapping

from audiossl.core.errors import CheckpointError
from audiossl.encoders.formats.original import Original, require_merged
from audiossl.encoders.waveform.names import prefixes_of

# (what a tensor's name contains, what the file is).
_SIGNS = (
    ("modality_encoders.", "data2vec 2.0 (a Transformer of another layout)"),
    ("patch_embedding.weight", "BEATs"),
    ("module.v.", "an SSAST or AST spectrogram Transformer"),
    ("patch_embed.proj", "a spectrogram Transformer on patches, such as AudioMAE"),
    ("cls_token", "a spectrogram Transformer on patches, such as AudioMAE"),
    ("features.0.weight", "a convolutional network on spectrograms, such as BYOL-A"),
    ("conv_module.", "a wav2vec 2.0 Conformer of fairseq; load its transformers conversion with `hf:` instead"),
    ("layer_proj.", "a ContentVec file with its speaker parts; take the `legacy` file of the same model"),
    ("decoder.token_embedding", "an OpenAI Whisper file; load its transformers conversion with `hf:` instead"),
)


def refuse_by_name(original: Original) -> None:
    """Raise CheckpointError for encoders that are known but not supported, saying what they are."""
    if original.kind != "huggingface":  # of a folder, the tensors are read by whoever knows its kind
        require_merged(original.path, original.state)
    if name := _name_of(original):
        raise CheckpointError(f"{original.path} is {name}, which audiossl does not have.")


def _name_of(original: Original) -> str:
    """What the checkpoint is, if it is known and not supported, else ''."""
    if original.kind == "huggingface":
        return ""
    section = original.described.get("model")
    if isinstance(section, Mapping) and section.get("layer_type") == "conformer":
        return "a wav2vec 2.0 Conformer of fairseq; load its transformers conversion with `hf:` instead"
    # Of a model that contains a waveform encoder, the rest may be anything.
    prefix = next(iter(prefixes_of(original.state)), "")
    names = [name for name in original.state if name.startswith(prefix)]
    for sign, known in _SIGNS:
        if any(sign in name for name in names):
            return known
    return ""
