"""How fast waveform encoders give all hidden states, against transformers and torchaudio with the same random weights.

Real speech (or synthetic sound) of mixed lengths in one batch. Before anything is timed, what each contestant computes
is compared with transformers in float32, one recording at a time.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import tempfile
from argparse import Namespace
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audiossl import load_upstream
from audiossl.data.reading import read_audio
from audiossl.data.sources import cuts_from_csv
from audiossl.encoders.testing import pad, relative_distance
from audiossl.encoders.upstream import Upstream
from audiossl.encoders.waveform.to_transformers import write_folder
from benchmarks.common import (
    LARGE_STYLE,
    LENGTHS_S,
    RATE_HZ,
    hf_model,
    hf_prepared,
    hf_states,
    interleaved,
    parser,
    publish,
    sample_mask,
    table,
)

STYLES: Mapping[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2, base style": ("wav2vec2", {}),
    "wav2vec2, large style": ("wav2vec2", LARGE_STYLE),
    "wavlm, base style": ("wavlm", {}),
}
Contestant = Callable[[], list[tuple[Tensor, ...]]]  # hidden states (T_i, D) of each recording


def main() -> None:
    made = parser(__doc__)
    made.set_defaults(rounds=5)
    made.add_argument("--styles", nargs="+", default=list(STYLES), choices=list(STYLES))
    made.add_argument("--num-layers", type=int, default=12, help="12 is base size")
    arguments = made.parse_args()
    name, wavs = sounds(arguments.data)
    padded_s = len(wavs) * max(map(len, wavs)) / RATE_HZ
    useful_s = sum(map(len, wavs)) / RATE_HZ
    parts = [
        f"{len(wavs)} recordings ({name}) of {', '.join(f'{len(wav) / RATE_HZ:g}' for wav in wavs)} s: {useful_s:g} s "
        f"of sound; padded to the longest {padded_s:g} s, a padding factor of {padded_s / useful_s:.2f}. "
        f"{arguments.num_layers} blocks of 768, random weights, all hidden states, {arguments.rounds} passes of each, "
        "taking turns. Error: relative L2 of the worst layer of the worst recording against transformers in float32, "
        "one recording at a time. Peak memory: what one pass adds in a process that does it alone. Graph engines are "
        "measured on the first style. torchaudio stops before the final norm of the large style: hence its error there."
    ]
    parts += [section(style, arguments, wavs, useful_s) for style in arguments.styles]
    publish(arguments, "Forward pass", *parts)


def section(style: str, arguments: Namespace, wavs: list[Tensor], useful_s: float) -> str:
    """One style's table."""
    family, options = STYLES[style]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_folder(load_upstream(family, weights="random", num_layers=arguments.num_layers, **options), folder)
        engines = style == next(iter(STYLES))
        contestants = {what: build() for what, build in builders(folder, wavs, engines).items()}
        with torch.inference_mode():
            reference = contestants["transformers, one at a time, SDPA"]()
            errors = {what: worst_error(action(), reference) for what, action in contestants.items()}
            timings = interleaved(contestants, arguments.rounds, warmup=0)
        memory = {what: peak_mib(folder, wavs, what) for what in contestants}
    first = next(iter(timings.values())).median
    rows = [
        [
            what,
            f"{t.median:.2f}",
            f"{useful_s / t.median:.1f}",
            f"{first / t.median:.2f}",
            f"{errors[what]:.1e}",
            f"{memory[what]:.0f}",
        ]
        for what, t in timings.items()
    ]
    header = ["contestant", "median s", "audio s / s", "speed against the first", "error", "peak MiB"]
    return f"## {style}\n\n{table(header, rows)}"


def sounds(data: Path | None) -> tuple[str, list[Tensor]]:
    """Recordings of LENGTHS_S, cut from longer ones or joined from shorter ones."""
    if data is None:
        noise = np.random.default_rng(0).standard_normal(int(sum(LENGTHS_S) * RATE_HZ)).astype(np.float32)
        return "noise", list(torch.from_numpy(0.05 * noise).split([int(s * RATE_HZ) for s in LENGTHS_S]))
    cuts = cuts_from_csv(data / "libri_mini" / "manifest.csv")
    paths = [cut.recording.sources[0].source for split in sorted(cuts) for cut in cuts[split].subset(first=12)]
    joined = torch.from_numpy(np.concatenate([read_audio(path, sample_rate_hz=RATE_HZ) for path in paths]))
    wanted = [int(s * RATE_HZ) for s in LENGTHS_S]
    return "libri_mini", [part.clone() for part in joined[: sum(wanted)].split(wanted)]


def builders(folder: Path, wavs: list[Tensor], engines: bool) -> dict[str, Callable[[], Contestant]]:
    """What can run here, each made when it is called; the first is what the others are compared with."""
    padded, lengths = pad(wavs)
    made: dict[str, Callable[[], Contestant]] = {
        "transformers, padded, eager": lambda: partial(_hf_padded, hf_model(folder, "eager"), padded, lengths),
        "transformers, padded, SDPA": lambda: partial(_hf_padded, hf_model(folder, "sdpa"), padded, lengths),
        "transformers, one at a time, SDPA": lambda: partial(_hf_alone, hf_model(folder, "sdpa"), wavs),
        "torchaudio, one at a time": lambda: partial(_torchaudio_alone, _torchaudio(folder), wavs),
        "audiossl, float32": lambda: partial(_ours, load_upstream(f"hf:{folder}"), padded, lengths),
        "audiossl, bfloat16": lambda: partial(_ours, load_upstream(f"hf:{folder}", precision="bf16"), padded, lengths),
    }
    for package, engine, precision in (("onnxruntime", "onnx", "fp32"), ("openvino", "openvino", "bf16")):
        if engines and importlib.util.find_spec(package):
            title = f"audiossl, {package}, {'float32' if precision == 'fp32' else 'bfloat16'}"
            options = {"engine": engine, "precision": precision}
            made[title] = lambda options=options: partial(  # type: ignore[misc]
                _ours, load_upstream(f"hf:{folder}", **options), padded, lengths
            )
    return made


def _hf_padded(model: Any, wavs: Tensor, lengths: Tensor) -> list[tuple[Tensor, ...]]:
    states = hf_states(model, hf_prepared(model, wavs, lengths), sample_mask(wavs, lengths))
    frames = model._get_feat_extract_output_lengths(lengths).tolist()
    return [tuple(state[i, :n] for state in states) for i, n in enumerate(frames)]


def _hf_alone(model: Any, wavs: list[Tensor]) -> list[tuple[Tensor, ...]]:
    made = []
    for wav in wavs:
        prepared = hf_prepared(model, wav[None], torch.tensor([len(wav)]))
        made.append(tuple(state[0] for state in hf_states(model, prepared)))
    return made


def _torchaudio(folder: Path) -> Any:
    from torchaudio.models.wav2vec2.utils import import_huggingface_model

    return import_huggingface_model(hf_model(folder, "eager")).eval()


def _torchaudio_alone(model: Any, wavs: list[Tensor]) -> list[tuple[Tensor, ...]]:
    """The outputs of all blocks (those of the large style before the final norm)."""
    return [tuple(state[0] for state in model.extract_features(wav[None])[0]) for wav in wavs]


def _ours(upstream: Upstream, wavs: Tensor, lengths: Tensor) -> list[tuple[Tensor, ...]]:
    features = upstream(wavs, lengths)
    return [features.item(i) for i in range(len(wavs))]


def worst_error(made: list[tuple[Tensor, ...]], reference: list[tuple[Tensor, ...]]) -> float:
    """Relative L2 of the worst layer of the worst recording; torchaudio leaves the first state out."""
    return max(
        relative_distance(a.float(), b)
        for mine, theirs in zip(made, reference, strict=True)
        for a, b in zip(mine, theirs[len(theirs) - len(mine) :], strict=True)
    )


def peak_mib(folder: Path, wavs: list[Tensor], what: str) -> float:
    """Peak resident memory that one pass adds to what the loaded encoder takes, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, (folder, [wav.numpy() for wav in wavs], what, torch.get_num_threads()))


def _peak(folder: Path, wavs: list[Any], what: str, threads: int) -> float:
    torch.set_num_threads(threads)
    contestant = builders(folder, [torch.from_numpy(wav) for wav in wavs], engines=True)[what]()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the high-water mark starts anew
    before = _status_kib("VmRSS")
    with torch.inference_mode():
        contestant()
    return (_status_kib("VmHWM") - before) / 1024


def _status_kib(key: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


if __name__ == "__main__":
    main()
