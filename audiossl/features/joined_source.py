"""Hidden states of several encoders, each from the entry of the cache that it has alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import tee
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from audiossl.core.types import Batch, Features, Position
from audiossl.data.stream import BatchStream
from audiossl.encoders.frozen_part import JoinedFrozenPart
from audiossl.encoders.joined import JoinedUpstream, means_over_time
from audiossl.features.config import Form
from audiossl.features.contract import StateSource, Survey, joint_survey
from audiossl.features.source import FeatureSource

if TYPE_CHECKING:
    from lhotse.cut import Cut


class JoinedSource:
    """What `FeatureSource` is for one encoder, for joined ones. Its batches are what the joined encoder gives.

    upstream: the joined encoder.
    members: a source for each of its members, None for one of which no layer is read. A member that is there twice has
    one source.
    form: of all of them.
    """

    def __init__(self, upstream: JoinedUpstream, members: Sequence[FeatureSource | None], form: Form) -> None:
        self.upstream, self.members, self.form = upstream, list(members), form
        self.sources = list({id(each): each for each in members if each is not None}.values())
        self.utterances = self.sources[0].utterances

    @property
    def keys(self) -> list[str]:
        return [key for source in self.sources for key in source.keys]

    @property
    def room(self) -> int:
        return self.sources[0].room  # they draw on one budget

    def batches(self, stream: BatchStream, *, means: bool = False) -> Iterator[Batch]:
        """As `FeatureSource.batches`."""
        for item in stream:
            yield self.batch(item.cuts, item.position, means=means)

    def batch(self, cuts: Sequence[Cut], position: Position | None = None, *, means: bool = False) -> Batch:
        """As `FeatureSource.batch`. Frames are aligned first, and averaged then."""
        upstream = self.upstream
        # Where frames need not be aligned, each member averages its own, and nothing is padded.
        begun = isinstance(upstream, JoinedFrozenPart)  # the members that train go on from their own frames
        alone = self.form != "frames" or upstream.join == "pooled" or (means and upstream.one_grid)
        read = {id(source): source.batch(cuts, position, means=alone and not begun) for source in self.sources}
        some = next(iter(read.values()))
        members: list[list[Tensor]] = []
        for number, source in enumerate(self.members):
            states = [] if source is None else list(_states(read[id(source)]).layers)
            widths = (upstream.parts[number] if source is None else source).widths[len(states) :]
            members.append([*states, *(torch.zeros(len(cuts), 0, width) for width in widths)])
        if alone or begun:
            layers = tuple(layer for states in members for layer in states)
            features = Features(layers, _states(some).lengths, begun=begun)
        else:
            features = upstream.of_states(members, some.lengths, upstream.num_layers - 1)
        if means and not alone:
            features = _averaged(features)
        return replace(some, features=features)

    def survey(self, cuts: Iterable[Cut]) -> Survey:
        """As `FeatureSource.survey`, of all members together."""
        walks = tee(cuts, len(self.sources))
        return joint_survey([source.survey(walk) for source, walk in zip(self.sources, walks, strict=True)])

    def extract(
        self,
        cuts: Iterable[Cut],
        *,
        share: tuple[int, int] = (0, 1),
        num_workers: int = 0,
        total_s: float | None = None,
        others: Sequence[StateSource] = (),
    ) -> int:
        """As `FeatureSource.extract`, one member after the other. Returns how many rows any of them computed.

        cuts, share, num_workers, total_s: as there.
        others: joined sources of the same upstream.
        """
        rows, computed = list(cuts), 0
        beside = [other for other in others if isinstance(other, JoinedSource)]
        done: set[int] = set()
        for number, source in enumerate(self.members):
            if source is None or id(source) in done:
                continue
            same = [member for other in beside if (member := other.members[number]) is not None]
            missing = [each for each in {id(one): one for one in same}.values() if each is not source]
            left_s = source.survey(rows).missing_s / share[1]
            found = source.extract(rows, share=share, num_workers=num_workers, total_s=left_s, others=missing)
            computed, done = max(computed, found), done | {id(source)}
        return computed

    def refresh(self) -> None:
        """Take notice of what other processes have stored."""
        for source in self.sources:
            source.refresh()

    def close(self) -> None:
        """Finish what is being written."""
        for source in self.sources:
            source.close()


def _states(batch: Batch) -> Features:
    assert batch.features is not None
    return batch.features


def _averaged(features: Features) -> Features:
    layers = [means_over_time(layer, features.lengths) if layer.shape[1] else layer for layer in features.layers]
    return Features(tuple(layers), torch.ones_like(features.lengths))
