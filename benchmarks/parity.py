"""How far the hidden states of the waveform encoders are from those of other implementations, one item at a time.

Random weights go to transformers and torchaudio through a folder; recorded states of s3prl are read from the folder
that AUDIOSSL_GOLDEN names (<encoder>.pt beside <encoder>.npz), where there is one.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from audiossl import load_upstream
from audiossl.encoders.testing import noise, pad, perturb, relative_distance
from audiossl.encoders.upstream import Upstream
from audiossl.encoders.waveform.model import WaveformEncoder
from audiossl.encoders.waveform.to_transformers import write_folder
from benchmarks.common import parser, publish, table

SMALL: dict[str, Any] = {
    "conv_widths": (32,) * 7,
    "width": 48,
    "num_layers": 3,
    "num_heads": 4,
    "ffn_width": 64,
    "position_kernel": 16,
    "position_groups": 4,
}
LARGE: dict[str, Any] = {"conv_norm": "layer", "pre_norm": True, "normalize": "layer_norm"}
CASES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("wav2vec2", "base", {}),
    ("wav2vec2", "large", {**LARGE, "conv_bias": True}),
    ("wav2vec2", "large with adapters", {**LARGE, "conv_bias": True, "adapter_width": 16}),
    ("hubert", "base", {}),
    ("hubert", "large", LARGE),
    ("hubert", "batch-normed positions", {"position_norm": "batch"}),
    ("wavlm", "base", {}),
    ("wavlm", "large", LARGE),
    ("data2vec", "base", {}),
    ("unispeech_sat", "base", {}),
    ("unispeech_sat", "large", LARGE),
    ("distilhubert", "base", {}),
)


class Row(NamedTuple):
    """One comparison: the worst layer of the worst item."""

    family: str
    style: str
    source: str
    absolute: float
    relative: float


def main() -> None:
    warnings.filterwarnings("ignore", category=UserWarning)
    arguments = parser(__doc__).parse_args()
    rows = [*_random(), *_golden(), *_padding()]
    cells = [[r.family, r.style, r.source, f"{r.absolute:.1e}", f"{r.relative:.1e}"] for r in rows]
    publish(
        arguments,
        "Parity",
        "Float32 on a CPU. Small: 3 blocks of 48; base size: 12 blocks of 768 (2 for DistilHuBERT); weights drawn at "
        "random, no bias and no norm at its initial value; noise of 0.03 to 2 s, one item at a time, all L + 1 hidden "
        "states, the last one of the large style after its final norm. Batch: three items padded to the longest "
        "against each alone, packed (no padding computed) and padded (masked).",
        table(["family", "style", "against", "max abs", "relative L2"], cells),
        f"Largest relative L2: {max(r.relative for r in rows):.1e}.",
    )


def _random() -> Iterator[Row]:
    for size, options in (("small", SMALL), ("base size", {})):
        for family, style, more in CASES:
            shape = {**options, **more}
            if family == "data2vec" and size == "small":
                shape |= {"position_kernel": 35, "position_depth": 5}
            encoder = perturbed(family, shape)
            wavs = noise(encoder, [2.0, 0.7, 0.03])
            with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
                write_folder(encoder, Path(folder))
                ours = load_upstream(f"hf:{folder}")
                theirs = _transformers(folder)
                made = [ours(wav[None]).layers for wav in wavs]
                prepared = [encoder.normalized(wav[None], torch.tensor([len(wav)])) for wav in wavs]
                yield row(family, style, f"transformers, {size}", made, [_hf_states(theirs, x) for x in prepared])
                if family in ("wav2vec2", "wavlm") and "adapter_width" not in shape:
                    other = _torchaudio(theirs)
                    blocks = [_torchaudio_states(other, x, encoder) for x in prepared]
                    yield row(family, style, f"torchaudio, {size}", [layers[1:] for layers in made], blocks)


def perturbed(family: str, options: dict[str, Any]) -> WaveformEncoder:
    """Random weights with nothing at its initial value."""
    made = load_upstream(family, weights="random", **options)
    perturb(made, spread=0.02)
    assert isinstance(made, WaveformEncoder)
    return made


def _transformers(folder: str) -> Any:
    from transformers import AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    return AutoModel.from_pretrained(folder, attn_implementation="eager").eval()


def _hf_states(model: Any, wavs: Tensor) -> list[Tensor]:
    output = model(wavs, output_hidden_states=True)
    return [*output.hidden_states[:-1], output.last_hidden_state]


def _torchaudio(model: Any) -> Any:
    from torchaudio.models.wav2vec2.utils import import_huggingface_model

    return import_huggingface_model(model).eval()


def _torchaudio_states(model: Any, wavs: Tensor, encoder: WaveformEncoder) -> list[Tensor]:
    """The outputs of all blocks; torchaudio leaves the final norm of the large style to its heads."""
    states = list(model.extract_features(wavs)[0])
    if encoder.config.pre_norm:
        states[-1] = encoder.norm(states[-1])
    return states


def _golden() -> Iterator[Row]:
    folder = os.environ.get("AUDIOSSL_GOLDEN")
    for path in sorted(Path(folder, "s3prl").glob("*.pt")) if folder else []:
        recorded = np.load(path.with_suffix(".npz"))
        wavs = [torch.from_numpy(recorded[f"wav{number}"]) for number in range(3)]
        upstream = load_upstream(f"s3prl:{path}")
        with torch.inference_mode():
            made = [upstream(wav[None]).layers for wav in wavs]
            expected = [list(torch.from_numpy(recorded[f"hidden{number}"])) for number in range(3)]
            yield row(upstream.name, path.stem, "s3prl, recorded", made, expected)
            if isinstance(upstream, WaveformEncoder):
                padded = load_upstream(f"s3prl:{path}", padding="legacy")(*pad(wavs)).layers
                theirs = list(torch.from_numpy(recorded["legacy_padded_batch"]))
                yield row(
                    upstream.name, path.stem, 's3prl, recorded padded batch (padding="legacy")', [padded], [theirs]
                )


def _padding() -> Iterator[Row]:
    for family, style, more in CASES:
        encoder = perturbed(family, {**SMALL, **more, **({"position_depth": 5} if family == "data2vec" else {})})
        wavs = noise(encoder, [2.0, 0.7, 0.03])
        for layout in ("packed", "padded"):
            encoder.layout = layout  # type: ignore[assignment]
            with torch.inference_mode():
                yield row(family, style, f"itself alone, in a batch ({layout})", *_batch_and_alone(encoder, wavs))


def _batch_and_alone(encoder: Upstream, wavs: list[Tensor]) -> tuple[list[Any], list[Any]]:
    together = encoder(*pad(wavs))
    return [together.item(i) for i in range(len(wavs))], [encoder(wav[None]).item(0) for wav in wavs]


def row(family: str, style: str, source: str, made: list[Any], expected: list[Any]) -> Row:
    pairs = [pair for mine, theirs in zip(made, expected, strict=True) for pair in zip(mine, theirs, strict=True)]
    absolute = max(float((a - b).abs().max()) for a, b in pairs)
    return Row(family, style, source, absolute, max(relative_distance(a, b) for a, b in pairs))


if __name__ == "__main__":
    main()
