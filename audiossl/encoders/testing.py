"""The check that every upstream passes, for the project's own tests and for plug-in authors, and its noise.

from audiossl import check_upstream
report = check_upstream(MyEncoder())       # raises AssertionError with one sentence
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor

from audiossl.core.errors import AudioError
from audiossl.core.tensors import fingerprint
from audiossl.core.types import Features
from audiossl.encoders.frame_encoder import FrameEncoder
from audiossl.encoders.frozen_part import STEM, Divisible, FrozenPart, gone_on
from audiossl.encoders.upstream import Upstream


@dataclass
class UpstreamReport:
    """What `check_upstream` measured.

    padding_error: largest relative L2 distance of a layer between an item in a batch and alone.
    frames: how many each test length gave.
    without_gradient: trainable parameters that the last layer does not depend on.
    """

    padding_error: float = 0.0
    frames: dict[int, int] = field(default_factory=dict)
    without_gradient: list[str] = field(default_factory=list)


def check_upstream(
    upstream: Upstream, *, tolerance: float = 1e-5, seconds: Sequence[float] = (0.31, 1.0, 0.7), seed: int = 0
) -> UpstreamReport:
    """Assert the contract of an encoder on noise of several lengths.

    Padding never changes a result, and garbage beyond the lengths is ignored. `num_frames` is exact down to the
    shortest input and up to the longest, where there is one, beyond which an input is refused. Eval is deterministic. A
    stop at `up_to_layer` gives the full run's layers. Gradients reach every trainable parameter. bfloat16 autocast
    stays finite. Saving and loading is the identity.

    upstream: the encoder, which is in eval mode afterwards.
    tolerance: relative L2 distance of layers that must be equal. Trained large ones with outlier channels need 1e-4:
        their rounding in fp32 alone is 2e-5.
    seconds: lengths of the noise.
    seed: of the noise.
    Returns what was measured. Raises AssertionError with one sentence on the first breach.
    """
    report = UpstreamReport()
    missing = [fact for fact in ("widths", "stride", "receptive_field") if not hasattr(upstream, fact)]
    assert not missing, f"The constructor must set {', '.join(missing)}."
    wavs = noise(upstream, seconds, seed)
    upstream.eval()
    with torch.no_grad():
        alone = [upstream(wav[None]) for wav in wavs]
        _check_shapes(upstream, wavs, alone, report)
        _check_padding(upstream, wavs, alone, tolerance, report)
        _check_repeatable(upstream, wavs[0], alone[0])
        _check_early_stop(upstream, wavs[0], alone[0])
        if hasattr(upstream, "local_features"):
            _check_parts(cast(FrameEncoder, upstream), wavs, alone, tolerance)
        if hasattr(upstream, "go_on"):
            _check_division(upstream, wavs)
        _check_shortest(upstream, report)
        _check_longest(upstream, report)
        _check_bf16(upstream, wavs)
    _check_gradients(upstream, wavs, report)
    _check_reload(upstream, wavs[0], alone[0])
    return report


def noise(upstream: Upstream, seconds: Sequence[float], seed: int = 0) -> list[Tensor]:
    """White noise (S,) of the given lengths at the upstream's rate, each with another level."""
    draw = torch.Generator().manual_seed(seed)
    lengths = [max(round(s * upstream.sample_rate_hz), upstream.min_samples) for s in seconds]
    return [0.1 * (i + 1) * torch.randn(n, generator=draw).clamp(-3, 3) for i, n in enumerate(lengths)]


def perturb(upstream: Upstream, spread: float = 0.05, seed: int = 0) -> None:
    """Move every parameter and running statistic off its initial value, in place.

    A bias of 0 or a norm of 1 hides errors of conversion and parity.
    """
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in upstream.parameters():
            parameter.add_(spread * torch.randn(parameter.shape, generator=draw))
        for name, buffer in upstream.named_buffers():
            if "running_" in name:
                buffer.add_(0.3 * torch.rand(buffer.shape, generator=draw))


def pad(wavs: Sequence[Tensor], filler: float = 0.0) -> tuple[Tensor, Tensor]:
    """Waveforms as one batch (B, S) with `filler` beyond each end, and their lengths (B,)."""
    lengths = torch.tensor([len(wav) for wav in wavs])
    return torch.nn.utils.rnn.pad_sequence(list(wavs), batch_first=True, padding_value=filler), lengths


def relative_distance(a: Tensor, b: Tensor) -> float:
    """||a - b|| / ||b||, in double precision."""
    a, b = a.detach().double(), b.detach().double()
    return float((a - b).norm() / b.norm().clamp(min=1e-30))


def _check_shapes(upstream: Upstream, wavs: list[Tensor], alone: list[Features], report: UpstreamReport) -> None:
    for wav, features in zip(wavs, alone, strict=True):
        frames = upstream.num_frames(len(wav))
        report.frames[len(wav)] = frames
        assert features.widths == upstream.widths, f"widths says {upstream.widths}, the layers are {features.widths}."
        shapes = {layer.shape[1] for layer in features.layers}
        assert shapes == {frames}, f"num_frames({len(wav)}) says {frames}, the layers have {sorted(shapes)} frames."
        assert int(features.lengths[0]) == frames, f"lengths says {int(features.lengths[0])} frames, not {frames}."
        as_tensor = upstream.num_frames(torch.tensor([len(wav)]))
        assert as_tensor.tolist() == [frames], "num_frames of a tensor differs from num_frames of an int."
        for number, layer in enumerate(features.layers):
            assert bool(torch.isfinite(layer).all()), f"layer {number} is not finite."


def _check_padding(
    upstream: Upstream, wavs: list[Tensor], alone: list[Features], tolerance: float, report: UpstreamReport
) -> None:
    for filler in (0.0, 0.9):
        together = upstream(*pad(wavs, filler))
        for index, single in enumerate(alone):
            for number, (a, b) in enumerate(zip(together.item(index), single.item(0), strict=True)):
                error = relative_distance(a, b)
                report.padding_error = max(report.padding_error, error)
                assert error <= tolerance, (
                    f"Layer {number} of item {index} changes by {error:.1e} when it is padded with {filler}: "
                    f"mask what looks across frames or samples by the lengths."
                )
        for number, layer in enumerate(together.layers):
            assert bool(torch.isfinite(layer).all()), f"layer {number} is not finite in the padding."


def _check_repeatable(upstream: Upstream, wav: Tensor, before: Features) -> None:
    again = upstream(wav[None])
    assert all(map(torch.equal, again.layers, before.layers)), "Two passes in eval mode differ."


def _check_early_stop(upstream: Upstream, wav: Tensor, full: Features) -> None:
    for last in range(upstream.num_layers):
        stopped = upstream(wav[None], up_to_layer=last)
        assert len(stopped.layers) == last + 1, f"up_to_layer={last} gave {len(stopped.layers)} layers."
        errors = [relative_distance(a, b) for a, b in zip(stopped.layers, full.layers, strict=False)]
        assert max(errors) <= 1e-6, f"A stop at layer {last} changes its layers by {max(errors):.1e}."


def _check_parts(upstream: FrameEncoder, wavs: list[Tensor], alone: list[Features], tolerance: float) -> None:
    """Front end, embedding and Transformer one by one give what the encoder gives, padding or not."""
    assert isinstance(upstream, Upstream)
    batch, lengths = pad(wavs)
    frames = upstream.num_frames(lengths)
    local = upstream.local_features(batch, lengths)
    assert local.shape[-1] == upstream.num_features, (
        f"num_features says {upstream.num_features}, not {local.shape[-1]}."
    )
    states = upstream.contextualize(upstream.embed(local), frames, upstream.num_layers - 1)
    for number, features in enumerate(alone):
        for layer, state in enumerate(states):
            distance = relative_distance(state[number, : frames[number]], features.layers[layer][0])
            assert distance <= tolerance, (
                f"contextualize(embed(local_features(...))) is off layer {layer} of the encoder by {distance:.1e}."
            )


def _check_division(upstream: Upstream, wavs: list[Tensor]) -> None:
    """What goes on from the part below any block, or from the stem, gives what the encoder gives."""
    batch, lengths = pad(wavs)
    whole = upstream(batch, lengths)
    points = [*([STEM] if cast(Divisible, upstream).divides_at_stem else []), *range(upstream.num_layers - 1)]
    for point in points:
        rest = gone_on(upstream, FrozenPart(upstream, point)(batch, lengths), None)
        for index in range(len(wavs)):
            for number, (a, b) in enumerate(zip(rest.item(index), whole.item(index), strict=True)):
                distance = relative_distance(a, b)
                assert distance <= 1e-5, f"Divided at {point}, layer {number} is off the encoder's by {distance:.1e}."


def _check_shortest(upstream: Upstream, report: UpstreamReport) -> None:
    shortest = upstream.min_samples
    features = upstream(noise(upstream, [0.0])[0][None, :shortest])
    frames = upstream.num_frames(shortest)
    report.frames[shortest] = frames
    assert frames >= 1, f"min_samples={shortest} gives no frame."
    assert features.layers[0].shape[1] == frames, f"num_frames({shortest}) is {frames}, not what the layers have."
    try:
        upstream(torch.zeros(1, shortest - 1))
    except AudioError:
        return
    raise AssertionError(f"{shortest - 1} samples are below min_samples, and no AudioError was raised.")


def _check_longest(upstream: Upstream, report: UpstreamReport) -> None:
    longest = upstream.max_samples
    if longest is None:
        return
    # One sample more must not be cut off in silence, as preprocessors of fixed size do.
    wavs = noise(upstream, [(longest + 1) / upstream.sample_rate_hz])[0][None]
    features = upstream(wavs[:, :longest])
    frames = report.frames[longest] = upstream.num_frames(longest)
    assert features.layers[0].shape[1] == frames, f"num_frames({longest}) is {frames}, not what the layers have."
    try:
        upstream(wavs)
    except AudioError:
        return
    raise AssertionError(f"{longest + 1} samples are beyond max_samples, and no AudioError was raised.")


def _check_bf16(upstream: Upstream, wavs: list[Tensor]) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        features = upstream(*pad(wavs))
    for number, layer in enumerate(features.layers):
        assert bool(torch.isfinite(layer).all()), f"layer {number} is not finite under bfloat16 autocast."


def _check_gradients(upstream: Upstream, wavs: list[Tensor], report: UpstreamReport) -> None:
    trainable = {
        name: p for name, p in upstream.named_parameters() if p.requires_grad and name not in upstream.training_only
    }
    if not trainable:
        return
    upstream.zero_grad(set_to_none=True)
    features = upstream(*pad(wavs))
    # A random direction for each layer: the plain sum of a layer-normalised state is constant.
    draw = torch.Generator().manual_seed(0)
    sum((layer * torch.randn(layer.shape, generator=draw)).sum() for layer in features.layers).backward()  # type: ignore[union-attr]
    report.without_gradient = [name for name, p in trainable.items() if p.grad is None or not bool(p.grad.any())]
    upstream.zero_grad(set_to_none=True)
    assert not report.without_gradient, f"No gradient reaches {', '.join(report.without_gradient)}."


def _check_reload(upstream: Upstream, wav: Tensor, before: Features) -> None:
    twin = copy.deepcopy(upstream)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
        twin.load_state_dict(upstream.state_dict(), strict=True)
        assert fingerprint(twin) == fingerprint(upstream), "The state dict does not hold all of the weights."
        again = twin.eval()(wav[None])
    assert all(map(torch.equal, again.layers, before.layers)), "Loading its own state dict changes the upstream."
