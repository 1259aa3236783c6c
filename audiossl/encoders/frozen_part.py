"""The part of an encoder that fine-tuning leaves as it is, as an encoder of its own: what it gives can be kept.

With `finetune=top_k` the blocks below the lowest that trains give the same states in every step. An encoder that can be
divided there (`Divisible`) goes on from them. Where its Transformer's input trains or is masked, the stem may still be
as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import ClassVar, Protocol, cast, overload

from torch import Tensor, nn

from audiossl.core.errors import ConfigError
from audiossl.core.tensors import fingerprint as fingerprint_of
from audiossl.core.types import Features
from audiossl.encoders.joined import JoinedUpstream
from audiossl.encoders.layers import last_layer
from audiossl.encoders.upstream import Upstream

STEM = -1  # in place of the number of a hidden state: what the stem gives


class Divisible(Protocol):
    """An encoder that can stop at a hidden state and go on from there, which `audiossl.check_upstream` asserts.

    Together both give what `encode` gives, in training mode too, with the same numbers drawn.
    """

    divides_at_stem: ClassVar[bool]
    """Whether it divides at the stem as well, which then has all of its parameters in `stem`."""
    num_features: int
    masks_input: bool
    """Whether training masks the input of the Transformer."""

    def begin(self, wavs: Tensor, lengths: Tensor, point: int) -> list[Tensor]:
        """Hidden states 0 to `point`, and last what `go_on` needs, (B, T, D) each. For STEM the latter alone."""

    def go_on(self, carried: Tensor, frames: Tensor, point: int, last: int) -> list[Tensor]:
        """Hidden states `point` to `last`, each (B, T, D), or all up to `last` from the stem.

        State `point` comes again, for what it is read through, such as a norm of the next block, may train.

        carried: what `begin` gave last, (B, T, D), of any precision.
        frames: (B,) real frames.
        point: where it was divided.
        last: the last state to compute.
        """


def kept_up_to(upstream: Upstream) -> int | None:
    """The last hidden state that training leaves as it is, STEM for the stem's output alone, None for nothing.

    upstream: of which some parameter trains.
    """
    blocks: list[nn.Module] = list(getattr(upstream, "blocks", ()))
    stem: nn.Module | None = getattr(upstream, "stem", None)
    if not hasattr(upstream, "go_on") or len(blocks) != upstream.num_layers - 1:
        return None
    if _trains(stem):
        return None
    parts = [*blocks, *([] if stem is None else [stem])]
    inside = {id(parameter) for part in parts for parameter in part.parameters()}
    input_trains = any(p.requires_grad and id(p) not in inside for p in upstream.parameters())
    divisible = cast(Divisible, upstream)
    if input_trains or divisible.masks_input:
        return STEM if divisible.divides_at_stem else None
    return next((number for number, block in enumerate(blocks) if _trains(block)), None)


def _trains(part: nn.Module | None) -> bool:
    return part is not None and any(parameter.requires_grad for parameter in part.parameters())


class FrozenPart(Upstream):
    """An encoder up to where fine-tuning changes it.

    Its layers are the hidden states 0 to `point` and, as the last, what the rest of the encoder goes on from.

    whole: the encoder, which stays as it is.
    point: the last hidden state, or STEM.
    """

    def __init__(self, whole: Upstream, point: int) -> None:
        super().__init__()
        self.whole, self.point, self.name = whole, point, whole.name
        self.divisible = cast(Divisible, whole)
        self.sample_rate_hz, self.stride, self.edge = whole.sample_rate_hz, whole.stride, whole.edge
        self.receptive_field, self.max_samples = whole.receptive_field, whole.max_samples
        width = self.divisible.num_features if point == STEM else whole.widths[point]
        self.widths = (*whole.widths[: point + 1], width)

    @property
    def fingerprint(self) -> str:
        """Of the weights that do not train, which are the same before and after a training."""
        return fingerprint_of(self.whole, {name for name, p in self.whole.named_parameters() if p.requires_grad})

    @property
    def gives_numbers(self) -> bool:
        """Whether what it gives are numbers of units, which no rounding may change."""
        return self.point == STEM and bool(getattr(self.whole, "num_units", 0))

    @property
    def min_samples(self) -> int:
        return self.whole.min_samples

    @overload
    def num_frames(self, num_samples: int) -> int: ...
    @overload
    def num_frames(self, num_samples: Tensor) -> Tensor: ...
    def num_frames(self, num_samples: int | Tensor) -> int | Tensor:
        """Those of the encoder."""
        return self.whole.num_frames(num_samples)

    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> Sequence[Tensor]:
        return self.divisible.begin(wavs, lengths, self.point)[: last + 1]

    def statistics(self, blocks: Iterable[Tensor]) -> tuple[Tensor, ...]:
        """Raises ConfigError: parts of a recording would need those of the whole."""
        raise ConfigError(
            f"A recording is too long for {self.display_name} to be encoded whole, of which fine-tuning keeps the "
            f"states below what trains; cut it, or set features=off."
        )

    def layers_for(self, read: Iterable[int]) -> tuple[int, ...]:
        """Which of its layers have to be kept.

        read: the hidden states of the encoder that an interface reads.
        """
        return (*(layer for layer in read if layer < self.point), len(self.widths) - 1)


class JoinedFrozenPart(JoinedUpstream):
    """Joined encoders up to where fine-tuning changes them: of each member its own part, all of one that is frozen.

    whole: the joined encoders, which stay as they are.
    members: a `FrozenPart` of each that trains, and the others.
    """

    def __init__(self, whole: JoinedUpstream, members: Sequence[Upstream]) -> None:
        super().__init__(members, whole.join)
        self.places_of_whole = whole.places

    def layers_for(self, read: Iterable[int]) -> tuple[int, ...]:
        """As `FrozenPart.layers_for`, among the layers of all."""
        wanted, chosen, start = [self.places_of_whole[layer] for layer in read], list[int](), 0
        for number, part in enumerate(self.parts):
            own = tuple(place.layer for place in wanted if place.member == number)
            if isinstance(part, FrozenPart) and own:
                own = part.layers_for(own)
            chosen += [start + layer for layer in own]
            start += part.num_layers
        return tuple(chosen)


def frozen_part(upstream: Upstream) -> FrozenPart | JoinedFrozenPart | None:
    """The part of an encoder that training leaves as it is, None for nothing.

    Of joined encoders, None where one of them has no such part.
    """
    if not isinstance(upstream, JoinedUpstream):
        point = kept_up_to(upstream)
        return None if point is None else FrozenPart(upstream, point)
    members: list[Upstream] = []
    for member in upstream.parts:
        if not _trains(member):
            members.append(member)
            continue
        point = kept_up_to(member)
        if point is None:
            return None
        members.append(FrozenPart(member, point))
    return JoinedFrozenPart(upstream, members)


def gone_on(upstream: Upstream, begun: Features, up_to_layer: int | None, lengths: Tensor | None = None) -> Features:
    """Hidden states of an encoder from the layers of its frozen part, with gradients of what trains.

    upstream: the encoder.
    begun: the layers of its frozen part. Those that nobody reads may have no frames.
    up_to_layer: the last hidden state that is needed. None for all.
    lengths: (B,) samples, by which joined encoders are aligned. None for others.
    """
    last = last_layer(up_to_layer, upstream.num_layers)
    if not isinstance(upstream, JoinedUpstream):
        return Features(tuple(_states_from(upstream, begun.layers, begun.lengths, last)), begun.lengths)
    assert lengths is not None
    given, states = iter(begun.layers), list[Sequence[Tensor]]()
    for member, stop in upstream.stops(last):
        point = kept_up_to(member) if _trains(member) else None
        count = member.num_layers if point is None else point + 2
        own = list(islice(given, count))
        frames = member.num_frames(lengths)
        states.append(own[: stop + 1] if point is None else _states_from(member, own, frames, stop))
    return upstream.of_states(states, lengths, last)


def _states_from(upstream: Upstream, layers: Sequence[Tensor], frames: Tensor, last: int) -> list[Tensor]:
    """Hidden states 0 to `last` of one encoder from the layers of its `FrozenPart`."""
    *below, carried = layers
    above = cast(Divisible, upstream).go_on(carried, frames, len(below) - 1, last)
    return [*(layer.to(above[0].dtype) for layer in below[:-1]), *above]
