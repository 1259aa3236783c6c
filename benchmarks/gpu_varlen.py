"""Attention within packed items of any lengths on a device: that it gives what the padded layout gives.

Both are compared with float32: in half precision two right answers differ by rounding, and neither may lose more by it
than the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from audiossl import load_upstream
from audiossl.encoders.engines.running import to_bf16
from audiossl.encoders.testing import pad, relative_distance
from audiossl.nn import transformer
from audiossl.nn.transformer import Packed
from audiossl.nn.varlen import varlen_attention
from benchmarks.common import RATE_HZ
from benchmarks.gpu_forward import AGAINST_ITEMS, STYLES, TINY, States, by_item, distance, plain_float32
from benchmarks.session import Session

LENGTHS_S = (0.1, 0.5, 1.3, 3.5, 7.0, 10.0, 16.0)
CHECKED = ("wav2vec2, base style", "wav2vec2, large style at base size", "hubert, base")
NUM_BLOCKS = 4
PLAIN = {**dict.fromkeys(("dropout", "attention_dropout", "activation_dropout", "feature_dropout"), 0.0)}
# How much more of its states or its gradient one layout may lose by rounding than the other.
ROUNDING = 1.5


class Run(NamedTuple):
    """Hidden states of each item, and the gradient of every parameter, one after the other."""

    states: States
    gradient: Tensor


def measure_varlen(session: Session) -> None:
    session.sections["Variable lengths"] = (
        f"Recordings of {', '.join(f'{s:g}' for s in LENGTHS_S)} s in a batch, {NUM_BLOCKS} blocks at base size with "
        "random weights, padded and as layout=auto has it: real frames alone in the Transformer, one call of "
        "`varlen_attn` a block. Against float32, padded: the worst layer of the worst recording, relative L2, and the "
        "gradient of all parameters. Checked is the error of layout=auto divided by that of layout=padded."
    )
    for style in CHECKED:
        if session.late(0.6):
            session.say(f"left out for want of time: variable lengths, {style}")
            continue
        with session.part(f"Variable lengths: {style}"):
            check_style(session, style)
    with session.part("Variable lengths: dropout"):
        check_dropout(session)


def check_style(session: Session, style: str) -> None:
    """Both layouts against float32: trained by autocast, and frozen with weights in bfloat16."""
    encoder = encoder_of(session, style, PLAIN)
    wavs = noises(session)
    with plain_float32():
        exact = trained(encoder, wavs, "padded", torch.float32)
        with counted() as calls:
            packed = trained(encoder, wavs, "auto", torch.bfloat16)
        padded = trained(encoder, wavs, "padded", torch.bfloat16)
    expected = len(encoder.blocks) if session.device.type == "cuda" else 0
    session.check(f"{style}: calls of varlen_attn", f"{len(calls)}", passed=len(calls) == expected)
    for what in ("states", "gradient"):
        ours, theirs = _error(packed, exact, what), _error(padded, exact, what)
        session.say(f"{style}: {what} from float32: {ours:.2e} packed, {theirs:.2e} padded")
        session.check(f"{style}, autocast: {what}, error packed / padded", ours / theirs, most=ROUNDING)
    encoder.zero_grad()
    frozen = to_bf16(encoder.eval())
    with torch.inference_mode():
        together = {layout: states_of(frozen, wavs, layout) for layout in ("auto", "padded")}
        single = [states_of(frozen, [wav], "auto")[0] for wav in wavs]
    errors = {layout: distance(states, exact.states) for layout, states in together.items()}
    session.check(f"{style}, bfloat16: states, error packed / padded", errors["auto"] / errors["padded"], most=ROUNDING)
    found = distance(together["auto"], single)
    session.check(f"{style}, bfloat16: a batch gives what its items give", found, most=AGAINST_ITEMS["bfloat16"])


def _error(run: Run, exact: Run, what: str) -> float:
    if what == "states":
        return distance(run.states, exact.states)
    return relative_distance(run.gradient, exact.gradient)


def check_dropout(session: Session) -> None:
    """That what was dropped is the same in the backward pass, and again where blocks are computed twice."""
    if session.device.type == "cuda":
        _check_kernel(session)
    encoder, wavs = encoder_of(session, CHECKED[0], {}), noises(session)
    runs = []
    for again in (False, True):
        encoder.config = replace(encoder.config, gradient_checkpointing=again)
        torch.manual_seed(1)
        runs.append(trained(encoder, wavs, "auto", torch.bfloat16).gradient)
    found = relative_distance(runs[1], runs[0])
    session.check("dropout: gradient with and without gradient_checkpointing", found, most=2e-2)


def _check_kernel(session: Session) -> None:
    """The kernel by itself. Of one draw, the output is a linear map of the values, and the gradient its transpose."""
    draw = torch.Generator(session.device).manual_seed(0)
    layout = Packed.of(torch.tensor([1, 40, 130, 700], device=session.device))
    assert layout.starts is not None
    shape = (3, sum(layout.lengths), 12, 64)
    q, k, v = torch.randn(shape, generator=draw, device=session.device).bfloat16().unbind(0)
    whole = varlen_attention(q, k, v, layout.starts, layout.longest, 0.0)
    draws = [varlen_attention(q, k, v, layout.starts, layout.longest, 0.1) for _ in range(64)]
    found = relative_distance(torch.stack(draws).float().mean(0), whole)
    # One draw is off by sqrt(p / (1 - p)) of the output or less.
    session.check("dropout: mean of 64 draws, from none dropped", found, most=2 * math.sqrt(0.1 / 0.9 / 64))
    session.check("dropout: one draw, from none dropped", f"{relative_distance(draws[0], whole):.2g}", passed=True)
    v = v.clone().requires_grad_()
    made = varlen_attention(q, k, v, layout.starts, layout.longest, 0.1)
    weights = torch.randn(made.shape, generator=draw, device=session.device).bfloat16()
    (made * weights).sum().backward()
    assert v.grad is not None
    forward, backward = made.detach().double() * weights.double(), v.grad.double() * v.detach().double()
    found = float((forward.sum() - backward.sum()).abs() / forward.square().sum().sqrt())
    session.check("dropout: what is dropped in the backward pass is what was", found, most=5e-2)


def encoder_of(session: Session, style: str, options: Mapping[str, Any]) -> Any:
    family, own = STYLES[style]
    sizes = TINY if session.quick else {"num_layers": NUM_BLOCKS}
    settings = {**own, **options, **sizes, "layer_drop": 0.0}
    return load_upstream(family, weights="random", **settings).to(session.device)


def noises(session: Session) -> list[Tensor]:
    draw = torch.Generator().manual_seed(0)
    scale = 0.2 if session.quick else 1.0
    counts = [max(1600, int(scale * seconds * RATE_HZ)) for seconds in LENGTHS_S]
    return [0.05 * torch.randn(count, generator=draw) for count in counts]


def states_of(encoder: Any, wavs: list[Tensor], layout: str) -> States:
    encoder.layout = layout
    device = next(encoder.parameters()).device
    return by_item(encoder(*(tensor.to(device) for tensor in pad(wavs))).layers, wavs)


def trained(encoder: Any, wavs: list[Tensor], layout: str, dtype: torch.dtype) -> Run:
    """One pass in training, with a loss that sees every layer of every item.

    encoder: with weights in float32.
    wavs: items (S_i,).
    layout: how their frames lie.
    dtype: of autocast, float32 for none.
    """
    encoder.train().zero_grad()
    device = next(encoder.parameters()).device
    probe = torch.randn(encoder.config.width, generator=torch.Generator().manual_seed(0)).to(device)
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        states = states_of(encoder, wavs, layout)
    loss = torch.stack([(state.float() @ probe).square().mean() for item in states for state in item]).mean()
    loss.backward()
    gradients = [p.grad.flatten() for p in encoder.parameters() if p.grad is not None]
    return Run([tuple(state.detach() for state in item) for item in states], torch.cat(gradients))


@contextmanager
def counted() -> Iterator[list[int]]:
    """The list grows by the longest item of each call of `varlen_attention`."""
    calls: list[int] = []
    inner = varlen_attention

    def counting(q: Tensor, k: Tensor, v: Tensor, starts: Tensor, longest: int, dropout: float) -> Tensor:
        calls.append(longest)
        return inner(q, k, v, starts, longest, dropout)

    setattr(transformer, "varlen_attention", counting)  # noqa: B010  a name that the module imports, not its own
    try:
        yield calls
    finally:
        setattr(transformer, "varlen_attention", inner)  # noqa: B010
