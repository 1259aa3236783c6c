"""Interfaces of several encoders side by side: each on the layers of its own member."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from audiossl.core.errors import ConfigError
from audiossl.core.joined_names import names_in, options_of_parts
from audiossl.core.types import Features
from audiossl.encoders.joined import JoinedUpstream
from audiossl.encoders.upstream import Upstream
from audiossl.training.interface import Interface, build_interface


class JoinedInterface(Interface):
    """The sequences that interfaces make of their members' layers, concatenated: (B, T, sum of their widths).

    Where every interface gives the same number of parts side by side, so does this one: part by part, those of all.

    parts: the interfaces, in the order of the members.
    labels: what the members are called.
    """

    def __init__(self, parts: Sequence[Interface], labels: Sequence[str]) -> None:
        super().__init__([width for part in parts for width in part.widths])
        self.parts = nn.ModuleList(parts)
        self.labels = list(labels)
        self.width = sum(part.width for part in parts)
        self.commutes_with_mean = all(part.commutes_with_mean for part in parts)
        self.stackable = all(part.stackable for part in parts)
        kinds = {part.num_parts for part in parts}
        self.num_parts = kinds.pop() if len(kinds) == 1 else 1
        starts = [sum(len(part.widths) for part in parts[:number]) for number in range(len(parts) + 1)]
        self.spans = list(pairwise(starts))

    @property
    def interfaces(self) -> list[Interface]:
        """The parts, typed."""
        return [part for part in self.parts if isinstance(part, Interface)]

    @property
    def depths(self) -> list[int | None]:
        """The last layer of each member that is read, None for all."""
        return [part.up_to_layer for part in self.interfaces]

    @property
    def up_to_layer(self) -> int | None:
        last = self.depths[-1]
        return None if last is None else self.spans[-1][0] + last

    @property
    def layers_read(self) -> tuple[int, ...]:
        spans = zip(self.interfaces, self.spans, strict=True)
        return tuple(start + layer for part, (start, _) in spans for layer in part.layers_read)

    def combine(self, layers: Sequence[Tensor]) -> Tensor:
        made = []
        for part, (start, stop) in zip(self.interfaces, self.spans, strict=True):
            part.stacked = self.stacked
            needed = stop if part.up_to_layer is None else start + part.up_to_layer + 1
            made.append(part.combine(layers[start:needed]))
        if self.num_parts == 1:
            return torch.cat(made, dim=-1)
        chunks = [sequence.chunk(self.num_parts, dim=-1) for sequence in made]
        return torch.cat([part for group in zip(*chunks, strict=True) for part in group], dim=-1)

    def layer_weights(self) -> dict[str, list[float]]:
        """As the parts say, under the names of the members."""
        named = zip(self.labels, self.interfaces, strict=True)
        return {
            f"{label}: {group}": weights for label, part in named for group, weights in part.layer_weights().items()
        }

    @property
    def needs_fit(self) -> bool:
        return any(part.needs_fit for part in self.interfaces)

    def fit(self, features: Iterable[Features]) -> None:
        """Each part that waits for it, one after the other. `features` is walked through once for each."""
        for part, span in zip(self.interfaces, self.spans, strict=True):
            if part.needs_fit:
                part.fit(_of_span(features, *span))


def _of_span(features: Iterable[Features], start: int, stop: int) -> Iterator[Features]:
    return (replace(each, layers=each.layers[start:stop]) for each in features)


def interface_for(upstream: Upstream, name: str, options: Mapping[str, Any]) -> Interface:
    """What makes one sequence of an encoder's layers: an interface, or one for each member of a joined encoder.

    upstream: the encoder.
    name: of the interface. Of a joined encoder one for all, or as many as members with " + " between them.
    options: of the interface. Of a joined encoder those of all members, and under a member's name or number its own.
    Raises UnknownNameError, ConfigError.
    """
    if not isinstance(upstream, JoinedUpstream):
        return build_interface(name, upstream.widths, options)
    names, members = names_in(name), upstream.parts
    if len(names) not in (1, len(members)):
        raise ConfigError(
            f"interface={name} names {len(names)} interfaces for {len(members)} upstreams; name one for all, or one "
            f"for each."
        )
    chosen = names * (len(members) // len(names))
    own = options_of_parts(upstream.names, options, key="interface_options")
    built = [
        build_interface(each, member.widths, given) for each, member, given in zip(chosen, members, own, strict=True)
    ]
    return JoinedInterface(built, upstream.labels)
