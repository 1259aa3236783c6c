"""All hidden states of a batch on a device: audiossl against transformers with the same weights, and against itself."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from audiossl import load_upstream
from audiossl.encoders.testing import pad, relative_distance
from audiossl.encoders.waveform.to_transformers import write_folder
from benchmarks.common import (
    LARGE_STYLE,
    LENGTHS_S,
    RATE_HZ,
    hf_model,
    hf_prepared,
    hf_states,
    sample_mask,
    table,
)
from benchmarks.session import Session, mib, sentence_of, spread

LARGE_SIZE = {"width": 1024, "num_layers": 24, "num_heads": 16, "ffn_width": 4096}
STYLES: Mapping[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2, base style": ("wav2vec2", {}),
    "wav2vec2, large style at base size": ("wav2vec2", LARGE_STYLE),
    "wavlm, base": ("wavlm", {}),
    "wav2vec2, large": ("wav2vec2", {**LARGE_STYLE, **LARGE_SIZE}),
    "wavlm, large": ("wavlm", {**LARGE_STYLE, **LARGE_SIZE, "conv_bias": False}),
    "hubert, base": ("hubert", {}),
}
BASE_STYLES = tuple(STYLES)[:3]
LEFT_OUT = ("transformers, padded, eager", "transformers, one at a time")  # of a short run
TINY = {"num_layers": 2, "width": 48, "num_heads": 4, "ffn_width": 64, "conv_widths": (32,) * 7}
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# Our contestants, and how frames lie in them: where nothing but padding fits, and where attention takes any lengths.
OURS = {"audiossl": "auto"}
LAYOUTS = {"audiossl, padded": "padded", "audiossl, packed (varlen)": "auto", "audiossl, packed, stem too": "packed"}
# Relative L2 of the worst layer of the worst recording, a batch against its items, with convolutions as they are told.
AS_IT_COMES = 5e-3
AGAINST_ITEMS = {"float32": 1e-5, "bfloat16": 1e-1}
AGAINST_OTHERS = {"float32": 1e-4, "bfloat16": 1e-1}
States = list[tuple[Tensor, ...]]  # of each recording, every layer (T_i, D)


@dataclass(frozen=True)
class Runner:
    """A contestant on the batch and on one recording alone. attention: in the words of its makers."""

    batch: Callable[[], Sequence[Tensor]]
    alone: Callable[[int], Sequence[Tensor]]
    attention: str
    one_by_one: bool = False


def measure_forward(session: Session) -> None:
    """A section for each style at base size."""
    wavs = work(session.quick)
    useful_s, longest_s = sum(map(len, wavs)) / RATE_HZ, max(map(len, wavs)) / RATE_HZ
    padded_s = longest_s * len(wavs)
    session.sections["Forward pass"] = (
        f"{len(wavs)} recordings of noise, of {', '.join(f'{s:g}' for s in sorted({len(w) / RATE_HZ for w in wavs}))} "
        f"s: {useful_s:g} s of sound, padded {padded_s:g} s, a padding factor of {padded_s / useful_s:.2f}. Random "
        f"weights, all hidden states, median and quartiles of {session.rounds} passes of each, taking turns. Peak "
        "memory: tensors on the card above the weights. transformers gets sound that is normalised already, and the "
        "attention mask; it is also run one recording at a time, which is how its base models must be run to give each "
        "recording its own states. float32 as PyTorch comes: convolutions may use TF32, matrix products do not. Errors "
        "are the relative L2 of the worst layer of the worst recording, with TF32 off: against transformers in float32 "
        "one recording at a time, and of a batch against its items by the same contestant. audiossl in half precision: "
        "padded throughout; padded up to the Transformer, whose blocks get real frames alone and attend by one call of "
        "`varlen_attn` (which is what it does by itself); and without padding anywhere, the stem item by item."
    )
    measure_styles(session, BASE_STYLES[: 2 if session.short else None], wavs)


def measure_large(session: Session) -> None:
    """As `measure_forward`, of what is left where there is time."""
    measure_styles(session, [style for style in STYLES if style not in BASE_STYLES], work(session.quick))


def measure_styles(session: Session, styles: Sequence[str], wavs: list[Tensor]) -> None:
    for style in styles:
        if session.late(0.75):
            session.say(f"left out for want of time: {style}")
            continue
        with session.part(f"Forward pass: {style}"):
            session.sections[f"Forward pass: {style}"] = section(session, style, wavs)


def work(quick: bool) -> list[Tensor]:
    """Noise of the lengths of the benchmark on CPUs, four of each."""
    copies, scale = (1, 0.05) if quick else (4, 1.0)
    counts = [int(s * scale * RATE_HZ) for s in LENGTHS_S * copies]
    noise = np.random.default_rng(0).standard_normal(sum(counts)).astype(np.float32)
    return list(torch.from_numpy(0.05 * noise).split(counts))


def section(session: Session, style: str, wavs: list[Tensor]) -> str:
    family, options = STYLES[style]
    options = {**options, **TINY} if session.quick else options
    useful_s = sum(map(len, wavs)) / RATE_HZ
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory() as scratch, torch.inference_mode():
        folder = Path(scratch)
        write_folder(load_upstream(family, weights="random", **options), folder)
        reference = _reference(session, folder, wavs)
        for name in ["bfloat16"] if session.short else DTYPES:
            rows += _of_dtype(session, style, name, folder, wavs, reference, useful_s)
            session.free()
    header = ["contestant", "ms", "audio s / s", "speed against the first", "peak MiB", "error", "batch against items"]
    return table(header, rows)


def _of_dtype(
    session: Session, style: str, dtype: str, folder: Path, wavs: list[Tensor], reference: States, useful_s: float
) -> list[list[str]]:
    """Rows of the contestants of one type, which share the device while they take turns."""
    runners, rows, facts = {}, [], {}
    made = builders(session.device, folder, wavs, DTYPES[dtype], layouts_of(style, dtype))
    for name, build in made.items():
        if session.short and name in LEFT_OUT:
            continue
        title = f"{name}, {dtype}"
        try:
            runner = build()
            peak = session.peak_mib(runner.batch)
            facts[title] = (peak, *_errors(session, runner, wavs, reference))
            runners[title] = runner
        except Exception as failure:  # noqa: BLE001  one contestant that cannot run leaves the others
            rows.append([title, sentence_of(failure), "", "", "", "", ""])
            if name.startswith("audiossl"):
                session.check(f"{style}: {title} runs", sentence_of(failure), passed=False)
    timings = session.time({title: runner.batch for title, runner in runners.items()})
    first = next(iter(timings.values())).median
    for title, timing in timings.items():
        peak, error, padding = facts[title]
        shown = f"{title} (attention: {runners[title].attention})"
        speed = [f"{useful_s / timing.median:.0f}", f"{first / timing.median:.2f}"]
        rows.append(
            [shown, spread(timing), *speed, mib(peak), f"{error:.1e}", "" if padding is None else f"{padding:.1e}"]
        )
        raw = {"seconds": timing.seconds, "peak_mib": peak, "error": error, "batch_against_items": padding}
        session.numbers.setdefault("forward", {})[f"{style}; {title}"] = raw
        session.say(f"{style}; {title}: {spread(timing)} ms, {mib(peak)} MiB, error {error:.1e}")
    for title in runners:
        if title.startswith("audiossl"):
            what = f"{style}, {title.removeprefix('audiossl, ')}"
            _check(session, what, runners[title], wavs, facts[title])
    return rows


def _check(
    session: Session, what: str, runner: Runner, wavs: list[Tensor], facts: tuple[float, float, float | None]
) -> None:
    """Our own errors, and the one that float32 has as PyTorch comes."""
    dtype = what.rpartition(" ")[2]
    session.check(f"{what}: a batch gives what its items give", facts[2] or 0.0, most=AGAINST_ITEMS[dtype])
    session.check(f"{what}: states of transformers, one at a time", facts[1], most=AGAINST_OTHERS[dtype])
    if dtype == "float32":
        found = distance(by_item(runner.batch(), wavs), alone(runner, wavs))
        session.check(f"{what} with TF32 as PyTorch comes: a batch gives what its items give", found, most=AS_IT_COMES)


def _errors(session: Session, runner: Runner, wavs: list[Tensor], reference: States) -> tuple[float, float | None]:
    """Against the reference, and of the batch against its items (None for what takes items one by one)."""
    with plain_float32():
        together = by_item(runner.batch(), wavs)
        error = distance(together, reference)
        return error, None if runner.one_by_one else distance(together, alone(runner, wavs))


def _reference(session: Session, folder: Path, wavs: list[Tensor]) -> States:
    with plain_float32():
        return alone(_theirs(session.device, folder, wavs, torch.float32, "sdpa", one_by_one=True), wavs)


@contextmanager
def plain_float32() -> Iterator[None]:
    """Without TF32, so that what differs is rounding of float32."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def layouts_of(style: str, dtype: str) -> Mapping[str, str]:
    """Our contestants, and the layout of each."""
    return OURS if dtype == "float32" or STYLES[style][0] == "wavlm" else LAYOUTS


def builders(
    device: torch.device, folder: Path, wavs: list[Tensor], dtype: torch.dtype, layouts: Mapping[str, str]
) -> dict[str, Callable[[], Runner]]:
    """The contestants, each made when it is called. The first is what the others are compared with."""
    precision = "bf16" if dtype == torch.bfloat16 else "fp32"
    ours = cache(lambda: load_upstream(f"hf:{folder}", precision=precision).to(device))
    return {
        "transformers, padded, eager": lambda: _theirs(device, folder, wavs, dtype, "eager"),
        "transformers, padded, SDPA": lambda: _theirs(device, folder, wavs, dtype, "sdpa"),
        "transformers, one at a time": lambda: _theirs(device, folder, wavs, dtype, "sdpa", one_by_one=True),
        **{
            name: (lambda layout=layout: _ours(ours(), device, wavs, layout))  # type: ignore[misc]
            for name, layout in layouts.items()
        },
    }


def _theirs(
    device: torch.device, folder: Path, wavs: list[Tensor], dtype: torch.dtype, attention: str, one_by_one: bool = False
) -> Runner:
    model = hf_model(folder, attention).to(device, dtype)
    padded, lengths = (tensor.to(device) for tensor in pad(wavs))
    ready, mask = hf_prepared(model, padded, lengths).to(dtype), sample_mask(padded, lengths)
    items = [hf_prepared(model, wav[None], torch.tensor([len(wav)])).to(device, dtype) for wav in wavs]

    def item(index: int) -> Sequence[Tensor]:
        return [state[0] for state in hf_states(model, items[index])]

    def each() -> Sequence[Any]:
        return [item(index) for index in range(len(wavs))]

    used = getattr(model.config, "_attn_implementation", attention)
    batch = each if one_by_one else (lambda: hf_states(model, ready, mask))
    return Runner(batch, item, used, one_by_one)


def _ours(upstream: Any, device: torch.device, wavs: list[Tensor], layout: str) -> Runner:
    """A contestant that shares its weights with the others of its type."""
    padded, lengths = (tensor.to(device) for tensor in pad(wavs))
    items = [wav[None].to(device) for wav in wavs]

    def item(index: int) -> Sequence[Tensor]:
        upstream.layout = layout
        made: Sequence[Tensor] = upstream(items[index]).item(0)
        return made

    def batch() -> Sequence[Tensor]:
        upstream.layout = layout
        made: Sequence[Tensor] = upstream(padded, lengths).layers
        return made

    return Runner(batch, item, f"layout={layout}")


def alone(runner: Runner, wavs: list[Tensor]) -> States:
    return [tuple(runner.alone(index)) for index in range(len(wavs))]


def by_item(states: Sequence[Any], wavs: list[Tensor]) -> States:
    """Layers (B, T, D) of a batch, or the states of each item, without padding."""
    if not isinstance(states[0], Tensor):
        return [tuple(item) for item in states]
    frames = [num_frames(len(wav)) for wav in wavs]
    return [tuple(state[index, :count] for state in states) for index, count in enumerate(frames)]


def num_frames(samples: int) -> int:
    """Of the stem that all these models share: 20 ms apart, 25 ms seen."""
    return (samples - 400) // 320 + 1


def distance(made: States, expected: States) -> float:
    return max(
        relative_distance(a, b)
        for mine, theirs in zip(made, expected, strict=True)
        for a, b in zip(mine, theirs, strict=True)
    )
