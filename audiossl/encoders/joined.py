"""Several encoders as one: the layers of all, on one grid of frames, or one mean over time of each.

`load_upstream("hubert_base + log_mel")` makes one. Frames of unlike rates are joined by time. The grid is that of the
member with the fewest frames a second, the first of those where several have as few. A frame of the grid has, of each
other member, the mean of the frames whose centres lie within half a frame of its own centre. One that lies exactly
between two frames of the grid counts half to each. Where there is none, as at an end, it is the frame next to it. A
member that gives a recording one frame has no rate: that frame stands beside all frames of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, get_args, overload

import torch
from torch import Tensor, nn

from audiossl.core.errors import ConfigError
from audiossl.core.joined_names import SEPARATOR, labels_of
from audiossl.core.tensors import config_of
from audiossl.core.types import Batch, Features
from audiossl.encoders.devices import device_of
from audiossl.encoders.layers import last_layer
from audiossl.encoders.upstream import Upstream

Join = Literal["frames", "pooled"]
JOINS: tuple[str, ...] = get_args(Join)


@dataclass(frozen=True)
class JoinedConfig:
    """What a joined encoder is, beside its weights."""

    join: str
    """How members are joined: frame by frame ('frames'), or the mean over time of each ('pooled')."""
    members: list[dict[str, Any]]
    """Class and configuration of each."""


class LayerPlace(NamedTuple):
    """Which layer of which member a layer of all is."""

    member: int
    layer: int


class JoinedUpstream(Upstream):
    """The layers of several encoders one after the other, the first member's first.

    members: encoders at one sample rate.
    join: 'frames', frame by frame. 'pooled', one frame a recording: the mean over the frames of each member.
    one_grid: whether frame k of every member is at the same time, for recordings of any length.
    depths: the last layer of each member that is computed where it is read at all. None for all.
    Raises ConfigError for members that cannot be joined.
    """

    members: nn.ModuleList

    def __init__(self, members: Sequence[Upstream], join: str = "frames") -> None:
        super().__init__()
        _check_members(members, join)
        self.members = nn.ModuleList(members)
        self.join = join
        self.names = [member.display_name for member in members]
        self.name = SEPARATOR.join(self.names)
        self.labels = labels_of(self.names)
        self.config = JoinedConfig(join, [_described(member) for member in members])
        self.reference = _reference(members)
        self.sample_rate_hz, self.stride = self.reference.sample_rate_hz, self.reference.stride
        self.receptive_field, self.edge = self.reference.receptive_field, self.reference.edge
        self.widths = tuple(width for member in members for width in member.widths)
        self.cpu_only = any(member.cpu_only for member in members)  # type: ignore[misc]
        self.depths: list[int | None] = [None] * len(members)
        self._on_grid = [_same_frames(self.reference, member, self.min_samples) for member in members]
        # One frame beside many is its own mean, and where it is none of them, of any grid.
        self.one_grid = all(same or part.one_frame for same, part in zip(self._on_grid, members, strict=True))
        self.engine, self.precision = (_of_all(members, name, plain) for name, plain in _RUNNING)

    def __setattr__(self, name: str, value: Any) -> None:
        # One of the members, and no module of its own beside them.
        if name == "reference":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    @property
    def parts(self) -> list[Upstream]:
        """The members, typed."""
        return [member for member in self.members if isinstance(member, Upstream)]

    @property
    def places(self) -> list[LayerPlace]:
        """Which layer of which member each layer is."""
        return [LayerPlace(m, layer) for m, part in enumerate(self.parts) for layer in range(part.num_layers)]

    @property
    def training_only(self) -> tuple[str, ...]:  # type: ignore[override]
        """As the members say."""
        return tuple(f"members.{n}.{name}" for n, part in enumerate(self.parts) for name in part.training_only)

    @property
    def reads(self) -> Sequence[str]:  # type: ignore[override]
        """What any member reads."""
        return tuple(dict.fromkeys(field for part in self.parts for field in part.reads))

    @property
    def reused_parts(self) -> Sequence[nn.Module]:
        return [part for member in self.parts for part in member.reused_parts]

    @property
    def min_samples(self) -> int:
        return max(part.min_samples for part in self.parts)

    @property
    def max_samples(self) -> int | None:  # type: ignore[override]
        """The shortest of the members' limits."""
        return min((part.max_samples for part in self.parts if part.max_samples is not None), default=None)

    @overload
    def num_frames(self, num_samples: int) -> int: ...
    @overload
    def num_frames(self, num_samples: Tensor) -> Tensor: ...
    def num_frames(self, num_samples: int | Tensor) -> int | Tensor:
        """Those of the member with the longest stride. 1 where members are pooled."""
        frames = self.reference.num_frames(num_samples)
        if self.join == "frames":
            return frames
        return frames.clamp(max=1) if isinstance(frames, Tensor) else min(frames, 1)

    def read_to(self, depths: Sequence[int | None]) -> None:
        """Compute no more of each member than this layer, None for all. Those above it then have no frames."""
        self.depths = list(depths)

    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> Sequence[Tensor]:
        states = [part.encode(wavs, lengths, stop) for part, stop in self.stops(last)]
        return self._joined(states, lengths, wavs, last)

    def of_batch(self, batch: Batch, *, up_to_layer: int | None = None) -> Features:
        if not self.reads:
            return super().of_batch(batch, up_to_layer=up_to_layer)
        wavs, lengths = self._checked(batch.wavs, batch.lengths)
        last, checked = last_layer(up_to_layer, self.num_layers), replace(batch, wavs=wavs, lengths=lengths)
        states = [part.of_batch(checked, up_to_layer=stop).layers for part, stop in self.stops(last)]
        return Features(tuple(self._joined(states, lengths, wavs, last)), self.num_frames(lengths))

    def encode_even(self, wavs: Tensor, last: int, statistics: Sequence[Tensor] = ()) -> Sequence[Tensor]:
        lengths = torch.full((wavs.shape[0],), wavs.shape[1], dtype=torch.int64, device=wavs.device)
        own = self._statistics_of_parts(statistics)
        stops = self.stops(last)
        states = [_even_states(part, wavs, stop, given) for (part, stop), given in zip(stops, own, strict=False)]
        return self._joined(states, lengths, wavs, last)

    def statistics(self, blocks: Iterable[Tensor]) -> tuple[Tensor, ...]:
        """Those of all members after how many each has: of one with a frame for the whole recording, its layers.

        Such a member, and several that have statistics, need the recording in memory.
        """
        asked = [part.one_frame or type(part).statistics is not Upstream.statistics for part in self.parts]
        held = list(blocks) if sum(asked) > 1 or any(part.one_frame for part in self.parts) else blocks
        found = [_statistics(part, held) if asks else () for part, asks in zip(self.parts, asked, strict=True)]
        counts = [len(each) for each in found]
        return (torch.tensor(counts), *(value for each in found for value in each)) if any(counts) else ()

    def align(
        self, states: Sequence[Tensor], member: int, lengths: Tensor, num_samples: int | None = None
    ) -> list[Tensor]:
        """Layers (B, T_m, D_l) of a member on the grid of all, (B, T, D_l), or as one mean (B, 1, D_l).

        states: of a batch, which may be padded.
        member: its number.
        lengths: (B,) samples of each recording.
        num_samples: of the batch, for the T frames that are wanted. None for the longest of `lengths`.
        """
        part = self.parts[member]
        own = part.num_frames(lengths).to(lengths.device)
        if self.join == "pooled":
            return [means_over_time(state, own) for state in states]
        if self._on_grid[member]:
            return list(states)
        if part.one_frame:
            longest = self.reference.num_frames(int(lengths.max()) if num_samples is None else num_samples)
            return [state.expand(-1, longest, -1) for state in states]
        num_frames = self.reference.num_frames(int(lengths.max()) if num_samples is None else num_samples)
        weights = _weights(self.reference, part, num_frames, own)
        return [_combined(state, *weights) for state in states]

    def of_states(self, states: Sequence[Sequence[Tensor]], lengths: Tensor, last: int) -> Features:
        """Layers 0 to `last` of all, of hidden states that the members have given already.

        states: of each member up to that of `last`. Those that nobody reads may have no frames, and keep none.
        lengths: (B,) samples of each recording.
        """
        layers: list[Tensor] = []
        for number, own in enumerate(states):
            stored = [state for state in own if state.shape[1]]
            moved = iter(self.align(stored, number, lengths) if stored else [])
            layers += [next(moved) if state.shape[1] else state for state in own]
            missing = self.parts[number].widths[len(own) :]
            layers += [own[0].new_zeros(len(lengths), 0, width) for width in missing]
        return Features(tuple(layers[: last + 1]), self.num_frames(lengths))

    def stops(self, last: int) -> list[tuple[Upstream, int]]:
        """The members that are run for layers 0 to `last` of all, and the last layer of each."""
        stop = self.places[last]
        found = []
        for number, part in enumerate(self.parts[: stop.member + 1]):
            depth = self.depths[number]
            whole = part.num_layers - 1 if depth is None else depth
            found.append((part, stop.layer if number == stop.member else whole))
        return found

    def _joined(self, states: Sequence[Sequence[Tensor]], lengths: Tensor, wavs: Tensor, last: int) -> list[Tensor]:
        layers: list[Tensor] = []
        for number, own in enumerate(states):
            layers += self.align(own, number, lengths, wavs.shape[1])
            missing = self.parts[number].widths[len(own) :]  # beyond its depth, where it is not the last
            layers += [wavs.new_zeros(wavs.shape[0], 0, width) for width in missing]
        return layers[: last + 1]

    def _statistics_of_parts(self, statistics: Sequence[Tensor]) -> list[Sequence[Tensor]]:
        if not statistics:
            return [()] * len(self.parts)
        counts, *values = statistics
        rest: Iterator[Tensor] = iter(values)
        return [[next(rest) for _ in range(count)] for count in counts.tolist()]


def _statistics(part: Upstream, blocks: Iterable[Tensor]) -> Sequence[Tensor]:
    """What a part of a recording must know of the whole for one member. The layers of one that has a frame for it."""
    if not part.one_frame:
        return part.statistics(blocks)
    with torch.inference_mode():
        return part.encode_even(torch.cat(list(blocks))[None].to(device_of(part)), part.num_layers - 1)


def _even_states(part: Upstream, wavs: Tensor, last: int, given: Sequence[Tensor]) -> Sequence[Tensor]:
    """Layers 0 to `last` of a member for parts of a recording, of which `given` is what `_statistics` gave."""
    if given and part.one_frame:
        return [layer.to(wavs.device).expand(len(wavs), -1, -1) for layer in given[: last + 1]]
    return part.encode_even(wavs, last, given)


_RUNNING = (("engine", "eager"), ("precision", "fp32"))  # attributes that say how an encoder is run


def _of_all(members: Sequence[Upstream], name: str, plain: str) -> str:
    found = [getattr(member, name, plain) for member in members]
    return found[0] if len(set(found)) == 1 else SEPARATOR.join(found)


def _check_members(members: Sequence[Upstream], join: str) -> None:
    if join not in JOINS:
        raise ConfigError(f"upstream_options.join={join}: choose {' or '.join(JOINS)}.")
    if len(members) < 2:
        raise ConfigError("Joining takes at least two encoders; name one by itself.")
    first = members[0]
    longest = _reference(members)
    for member in members:
        if member.sample_rate_hz != first.sample_rate_hz:
            raise ConfigError(
                f"{first.display_name} hears {first.sample_rate_hz} Hz and {member.display_name} "
                f"{member.sample_rate_hz} Hz, so they cannot be joined; take encoders of one rate, or fuse finished "
                f"runs by `audiossl fuse`."
            )
        if getattr(getattr(member, "config", None), "padding", "exact") != "exact":
            raise ConfigError(
                f"upstream_options.{member.display_name}.padding: encoders are joined with exact padding alone; leave "
                f"it out."
            )
        if join == "frames" and not member.one_frame and longest.stride % member.stride:
            raise ConfigError(
                f"A frame of {longest.display_name} comes every {longest.stride} samples and one of "
                f"{member.display_name} every {member.stride}, which is no whole share of it; set "
                f"upstream_options.join=pooled, which joins their means over time."
            )


def _described(member: Upstream) -> dict[str, Any]:
    own = getattr(member, "eager", member)
    return {"class": f"{type(own).__module__}:{type(own).__qualname__}", "config": config_of(member)}


def _reference(members: Sequence[Upstream]) -> Upstream:
    """The member whose frames are the grid: of those that have several a recording, the one with the longest stride."""
    framed = [member for member in members if not member.one_frame]
    return max(framed or members, key=lambda member: member.stride)


def _centre(upstream: Upstream) -> int:
    """Twice the place of the first frame's centre, in samples."""
    return upstream.receptive_field - 1 - 2 * upstream.edge


def _same_frames(one: Upstream, other: Upstream, shortest: int) -> bool:
    """Whether two encoders have as many frames of any recording, at the same times."""
    if (one.stride, _centre(one)) != (other.stride, _centre(other)):
        return False
    # Both gain a frame every stride, but for the first few where one of them mirrors.
    counts = torch.arange(shortest, shortest + 4 * one.stride)
    return one is other or torch.equal(one.num_frames(counts), other.num_frames(counts))


def _weights(grid: Upstream, part: Upstream, num_frames: int, own: Tensor) -> tuple[Tensor, Tensor]:
    """Which frames of a member make a frame of the grid, (B, T, K), and how much each counts, of sum 1.

    grid: whose frames are wanted.
    part: the member.
    num_frames: T.
    own: (B,) frames of the member, beyond which there are none.
    """
    # Everything in half samples, which are whole numbers.
    step, half = 2 * part.stride, grid.stride
    centres = _centre(grid) + 2 * grid.stride * torch.arange(num_frames, device=own.device)  # (T,)
    first = -((_centre(part) - centres + half) // step)  # the first that is not before the frame's beginning
    frames = first[:, None] + torch.arange(2 * half // step + 1, device=own.device)  # (T, K)
    distance = (_centre(part) + step * frames - centres[:, None]).abs()
    weight = torch.where(distance < half, 2.0, torch.where(distance == half, 1.0, 0.0))
    there = (frames >= 0) & (frames < own[:, None, None])  # (B, T, K)
    weight = weight * there
    # Where nothing lies within, the nearest frame that there is.
    nearest = torch.div(centres - _centre(part) + part.stride, step, rounding_mode="floor")
    nearest = torch.minimum(nearest.clamp(min=0)[None], own[:, None] - 1)  # (B, T)
    alone = weight.sum(-1) == 0
    frames = torch.where(alone[..., None], nearest[..., None], frames.clamp(min=0).minimum(own[:, None, None] - 1))
    only = torch.zeros_like(weight)
    only[..., 0] = 1.0
    weight = torch.where(alone[..., None], only, weight)
    return frames, weight / weight.sum(-1, keepdim=True)


def _combined(state: Tensor, frames: Tensor, weights: Tensor) -> Tensor:
    """(B, T_m, D) -> (B, T, D): for each frame the weighted sum of those that make it, one after the other."""
    items = torch.arange(state.shape[0], device=state.device)[:, None]
    total = state.new_zeros(())
    for place in range(frames.shape[-1]):
        total = total + weights[..., place, None] * state[items, frames[..., place]].float()
    return total


def means_over_time(state: Tensor, lengths: Tensor) -> Tensor:
    """(B, T, D) -> (B, 1, D), the mean over each item's own frames."""
    inside = torch.arange(state.shape[1], device=state.device) < lengths[:, None]
    summed = torch.where(inside[..., None], state.float(), 0.0).sum(dim=1, keepdim=True)
    return summed / lengths[:, None, None]
