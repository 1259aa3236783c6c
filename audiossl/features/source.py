"""Batches of hidden states instead of sound: from the store, or from the encoder where the store lacks them.

What is read from the store and what is computed now is the same: the encoder's states go through the codec first.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from audiossl.core.errors import ConfigError
from audiossl.core.terminal import share_bar
from audiossl.core.types import Batch, Features, Position
from audiossl.data.augmenting import CopyChange
from audiossl.data.config import LoaderConfig
from audiossl.data.fields import read_field
from audiossl.data.loader import collate
from audiossl.data.stream import BatchStream, pack
from audiossl.encoders.devices import best_device_for, place
from audiossl.encoders.encoding import Encoded, check_finite, encode_batch, encode_rows
from audiossl.encoders.frozen_part import FrozenPart
from audiossl.encoders.long_audio import longest_whole_s
from audiossl.encoders.long_states import long_moments, long_states
from audiossl.encoders.upstream import Upstream
from audiossl.features.codec import Codec
from audiossl.features.config import Form
from audiossl.features.contract import StateSource, Survey
from audiossl.features.identity import Utterances, named_beside, sound_digest
from audiossl.features.store import Store
from audiossl.nn.pooling import statistics_of

if TYPE_CHECKING:
    from lhotse.cut import Cut


_log = logging.getLogger(__name__)


class _Item(NamedTuple):
    """One recording: its bytes as they are stored, or the states themselves where the type cannot hold them."""

    record: Tensor | None
    states: list[Tensor]
    num_frames: int
    num_samples: int


class FeatureSource:
    """Hidden states of a frozen upstream, stored in an entry of the cache. Any number of heads can read its batches.

    A batch has the layers up to the last of `layers`. Those between that are not stored have no frames.

    upstream: the encoder.
    store: the open entry.
    layers: the numbers of those that are stored.
    form: 'frames', 'pooled' for the mean of each layer over the frames, or 'statistics' for mean and deviation, (2 D_l)
    numbers as `StatisticsPooling` gives them. The latter two count as one frame.
    dtype: in which they are stored.
    precision: of autocast.
    device: where the encoder runs, the best one where it is left out.
    batch_s: most seconds of sound that are encoded at once, 0 for one recording at a time. 0, or 160 on a GPU, where it
    is left out.
    utterances: names of utterances that another source has looked up.
    change: makes the sound of marked copies. None where no row is one.
    """

    def __init__(
        self,
        upstream: Upstream,
        store: Store,
        *,
        layers: Sequence[int],
        form: Form,
        dtype: str = "fp16",
        precision: str = "fp32",
        device: torch.device | str | None = None,
        batch_s: float | None = None,
        utterances: Utterances | None = None,
        change: CopyChange | None = None,
    ) -> None:
        self.upstream, self.store, self.layers, self.form = upstream, store, tuple(layers), form
        self.widths = tuple(2 * width if form == "statistics" else width for width in upstream.widths)
        self.codec = Codec(dtype, tuple(self.widths[layer] for layer in layers))
        self.precision, self.device = precision, torch.device(device or best_device_for(upstream))
        # Matrix products round differently beside other recordings. Alone, the states of one are the same to the bit
        # whatever else is stored, which costs a CPU little. A GPU would idle.
        self.batch_s = (0.0 if self.device.type == "cpu" else 160.0) if batch_s is None else batch_s
        self.utterances = utterances or Utterances(change.identity if change else "")
        self._change = change
        self._warned = False

    @property
    def keys(self) -> list[str]:
        return [self.store.key]

    @property
    def room(self) -> int:
        return self.store.budget.left

    def refresh(self) -> None:
        """Take notice of what other processes have stored."""
        self.store.refresh()

    def close(self) -> None:
        """Finish what is being written. It can go on being read."""
        self.store.close()

    def batches(self, stream: BatchStream, *, means: bool = False) -> Iterator[Batch]:
        """The stream's batches in their order, without sound.

        stream: the rows of each batch.
        means: whether frames become their mean over time, as in the form 'pooled'.
        """
        for item in stream:
            yield self.batch(item.cuts, item.position, means=means)

    def batch(self, cuts: Sequence[Cut], position: Position | None = None, *, means: bool = False) -> Batch:
        """Hidden states of rows: `features` has them, `wavs` has no samples, `lengths` has their numbers.

        cuts: the rows.
        position: of the batch in its stream.
        means: whether frames become their mean over time.
        """
        items = self._items(cuts)
        whole = [self._mean(item) if means else item for item in items]
        lengths = torch.tensor([item.num_samples for item in whole])
        return Batch(torch.zeros(len(cuts), 0), lengths, tuple(cuts), position, self._features(whole))

    def survey(self, cuts: Iterable[Cut]) -> Survey:
        """Sizes from the rows alone. No sound is read."""
        num_rows = num_bytes = missing_rows = missing_bytes = 0
        audio_s = missing_s = 0.0
        for cut in cuts:
            size = self.codec.num_bytes(self._num_frames(cut))
            num_rows, audio_s, num_bytes = num_rows + 1, audio_s + cut.duration, num_bytes + size
            utterance = self._utterance(cut)
            if utterance is None or utterance not in self.store:
                missing_rows, missing_s = missing_rows + 1, missing_s + cut.duration
                missing_bytes += size
        return Survey(num_rows, audio_s, num_bytes, missing_rows, missing_s, missing_bytes)

    def extract(
        self,
        cuts: Iterable[Cut],
        *,
        share: tuple[int, int] = (0, 1),
        num_workers: int = 0,
        total_s: float | None = None,
        others: Sequence[StateSource] = (),
    ) -> int:
        """Compute and store what is missing, the longest first. Ends early where nothing more can be stored.

        Batches are those of all rows, of which finished ones are left out, so that what is stored does not depend on
        what was stored before.

        cuts: the rows.
        share: (which, of how many) disjoint parts of the rows.
        num_workers: processes that read sound ahead.
        total_s: seconds of sound that are missing in the share, for the time left. None for a bar without an end.
        others: sources of the same upstream, which store what they lack from the same run of it.
        Returns the number of rows that were computed.
        """
        rows, num_computed = iter(cuts), 0
        every = [self, *(other for other in others if isinstance(other, FeatureSource))]
        last = max(max(source.layers) for source in every)
        try:
            with share_bar(total_s, shown=share[0] == 0) as progress:
                bar = progress.add_task("Encoding once", total=total_s)
                while _any_writable(every) and (pool := list(islice(rows, LoaderConfig.pool_size))):
                    short, long = self._lacking(every, pool, share)
                    for cut in long:
                        # Each source sums up what it keeps of it, and holds no more.
                        for source in every:
                            if source._is_missing(cut):
                                source._compute_long(cut)
                        num_computed += 1
                        progress.advance(bar, cut.duration)
                    for batch, features in self._encode(short, self._batching(pool, num_workers), last):
                        for source in every:
                            source._add_batch(batch, features)
                        num_computed += len(batch)
                        progress.advance(bar, sum(cut.duration for cut in batch.cuts))
                        if not _any_writable(every):
                            break
        finally:
            for source in every:
                source.store.flush()  # Ctrl-C keeps what is done
        return num_computed

    def _num_frames(self, cut: Cut) -> int:
        if self.form != "frames":
            return 1
        num_samples: int = round(cut.duration * self.upstream.sample_rate_hz)
        return self.upstream.num_frames(num_samples)

    def _utterance(self, cut: Cut) -> str | None:
        """The name of what is stored of a row: that of its sound, and of what else of the row the encoder reads."""
        name = self.utterances.of(cut)
        if name is None or not self.upstream.reads:
            return name
        return named_beside(name, [read_field(cut, field) for field in self.upstream.reads])

    def _is_missing(self, cut: Cut) -> bool:
        utterance = self._utterance(cut)
        return utterance is not None and utterance not in self.store

    def _lacking(
        self, sources: Sequence[FeatureSource], pool: Sequence[Cut], share: tuple[int, int]
    ) -> tuple[list[Cut], list[Cut]]:
        """The rows of those batches in a share of the pool's of which any source lacks something, and long rows."""
        ordered = sorted(pool, key=lambda cut: (-cut.duration, cut.id))
        short = [cut for cut in ordered if not self._is_long(cut)]
        batches = [[cut] for cut in ordered if self._is_long(cut)]
        batches += pack(short, self._batching(pool), lambda cut: float(cut.duration))
        missing = (
            batch
            for batch in batches[share[0] :: share[1]]
            if any(source._is_missing(cut) for cut in batch for source in sources)
        )
        rows = [cut for batch in missing for cut in batch]
        return [cut for cut in rows if not self._is_long(cut)], [cut for cut in rows if self._is_long(cut)]

    def _batching(self, pool: Sequence[Cut], num_workers: int = 0) -> LoaderConfig:
        """How rows are encoded together: one by one, or those of about the same length, so that little is padding."""
        if self.batch_s == 0:
            return LoaderConfig(batch_size=1, num_workers=num_workers)
        longest_s = max((cut.duration for cut in pool if not self._is_long(cut)), default=0.0)
        return LoaderConfig(batch_size=None, max_duration_s=max(self.batch_s, longest_s), num_workers=num_workers)

    def _encode(self, cuts: Sequence[Cut], config: LoaderConfig, last: int) -> Iterator[Encoded]:
        """Layers 0 to `last`. Whole batches of the rows from which these were taken stay whole.

        A batch is full when one more of its first and longest row does not fit, whatever comes next.
        """
        from lhotse import CutSet

        how: Any = {"up_to_layer": last, "device": self.device, "precision": self.precision, "change": self._change}
        for encoded in encode_rows(self.upstream, CutSet.from_cuts(cuts), config, **how) if cuts else ():
            _check_exact(encoded.features)
            yield encoded

    def _items(self, cuts: Sequence[Cut]) -> list[_Item]:
        """What is stored of a batch's rows, and what the encoder gives for the others."""
        items = [self._read(cut) for cut in cuts]
        if self.batch_s == 0 and self.form != "statistics":
            return [item or self._compute_alone(cut) for cut, item in zip(cuts, items, strict=True)]
        # A batch as a whole, so that no state depends on which rows were there before. Sums over it likewise.
        short = [place for place, cut in enumerate(cuts) if not self._is_long(cut)]
        if any(items[place] is None for place in short):
            for place, computed in zip(short, self._compute([cuts[place] for place in short]), strict=True):
                items[place] = items[place] or computed
        return [item or self._compute_alone(cut) for cut, item in zip(cuts, items, strict=True)]

    def _compute_alone(self, cut: Cut) -> _Item:
        return self._compute_long(cut) if self._is_long(cut) else self._compute([cut])[0]

    def _read(self, cut: Cut) -> _Item | None:
        """What the store has of a row, of the size that it must have."""
        utterance = self._utterance(cut)
        record = None if utterance is None else self.store.read(utterance)
        if record is None or len(record.data) != self.codec.num_bytes(record.num_frames):
            return None
        return _Item(record.data, [], record.num_frames, record.num_samples)

    def _mean(self, item: _Item) -> _Item:
        """One frame instead of many. Each layer is read once, and nothing is padded."""
        states = [state.float().mean(dim=0, keepdim=True) for state in self._states(item)]
        return _Item(None, states, 1, item.num_samples)

    def _states(self, item: _Item) -> list[Tensor]:
        if item.record is None:
            return item.states
        return self.codec.decode(item.record, item.num_frames, range(len(self.layers)))

    def _is_long(self, cut: Cut) -> bool:
        """Whether a row is encoded chunk by chunk."""
        return bool(cut.duration > longest_whole_s(self.upstream))

    def _collate(self, cuts: Sequence[Cut]) -> Batch:
        change = self._change
        return collate(
            cuts,
            self.upstream.sample_rate_hz,
            min_samples=self.upstream.min_samples,
            change=None if change is None else lambda number, sound: change(cuts[number], sound),
        )

    def _compute_long(self, cut: Cut) -> _Item:
        """As `_compute`, of a row that is too long to be encoded whole."""
        sounds, upstream, layers = self._collate([cut]), self.upstream, self.layers
        place(upstream, self.device)
        how: Any = {"name": cut.id}
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            if self.form == "frames":
                features = long_states(upstream, sounds.wavs[0], layers, **how)
            else:
                features = long_moments(upstream, sounds.wavs[0], layers, deviation=self.form == "statistics", **how)
        check_finite(sounds, features)
        states = [features.layers[layer][0] for layer in layers]
        return self._store(cut, states, sounds.wavs[0])

    def _compute(self, cuts: Sequence[Cut]) -> list[_Item]:
        """Run the encoder, and store what may be stored. What is read now and what is read later is the same."""
        sounds, last = self._collate(cuts), max(self.layers)
        features = encode_batch(self.upstream, sounds, up_to_layer=last, device=self.device, precision=self.precision)
        _check_exact(features)
        return self._add_batch(sounds, features)

    def _add_batch(self, sounds: Batch, features: Features) -> list[_Item]:
        """Store what the store lacks of a batch. Returns its items as they are read, stored or not."""
        items = []
        for index, (cut, chosen) in enumerate(zip(sounds.cuts, self._states_to_store(features), strict=True)):
            items.append(self._store(cut, chosen, sounds.wavs[index, : int(sounds.lengths[index])]))
        return items

    def _store(self, cut: Cut, states: list[Tensor], sound: Tensor) -> _Item:
        """What is read of a row from now on, stored or not, from the states of its layers and its samples (S,)."""
        record = self.codec.encode(states)
        item = _Item(record, [] if record is not None else states, len(states[0]), len(sound))
        self._add(cut, item, sound)
        return item

    def _states_to_store(self, features: Features) -> Iterator[list[Tensor]]:
        """What is stored of each item, layer by layer."""
        if self.form == "statistics":
            # Of the whole batch at once, so that sums round as they do for a reader of the batch.
            pooled = [statistics_of(features.layers[layer], features.lengths) for layer in self.layers]
            yield from ([layer[index, None] for layer in pooled] for index in range(len(features.lengths)))
            return
        for index in range(len(features.lengths)):
            states = features.item(index)
            chosen = [states[layer] for layer in self.layers]
            if self.form == "pooled":
                chosen = [state.float().mean(dim=0, keepdim=True) for state in chosen]
            yield chosen

    def _add(self, cut: Cut, item: _Item, sound: Tensor) -> None:
        if item.record is None:
            if not self._warned:
                _log.warning(
                    "Hidden states of row %s are beyond what %s can hold, so they are not kept; set cache.dtype=fp32.",
                    cut.id,
                    self.codec.dtype,
                )
            self._warned = True
            return
        utterance = self._utterance(cut)
        if utterance is None or not self.store.writable or utterance in self.store:
            return
        # A file that has changed since its utterance was named may have been read before or after.
        if not self.utterances.unchanged(cut):
            return
        facts = {"row": str(cut.id), "num_frames": item.num_frames, "num_samples": item.num_samples}
        facts["sound"] = sound_digest(sound)
        self.store.add(item.record, utterance=utterance, **facts)

    def _features(self, items: Sequence[_Item]) -> Features:
        lengths = torch.tensor([item.num_frames for item in items])
        records = [item.record for item in items if item.record is not None]
        if len(records) == len(items) and len(set(lengths.tolist())) == 1:
            # One copy of everything, none for a single item; the layers are views.
            together = records[0][None] if len(records) == 1 else torch.stack(records)
            layers = self.codec.decode(together, int(lengths[0]), range(len(self.layers)))
        else:
            layers = self._padded(items, int(lengths.max()))
        places = {layer: place for place, layer in enumerate(self.layers)}
        upto = range(max(self.layers) + 1)
        empty = (len(items), 0)
        found = tuple(
            layers[places[n]] if n in places else torch.zeros(*empty, self.widths[n], dtype=self.codec.read_as)
            for n in upto
        )
        return Features(found, lengths, begun=isinstance(self.upstream, FrozenPart))

    def _padded(self, items: Sequence[_Item], num_frames: int) -> list[Tensor]:
        whole = all(item.record is not None for item in items)
        kind = self.codec.read_as if whole else torch.float32
        made = [torch.zeros(len(items), num_frames, width, dtype=kind) for width in self.codec.widths]
        for index, item in enumerate(items):
            for layer, state in zip(made, self._states(item), strict=True):
                layer[index, : item.num_frames] = state
        return made


def _any_writable(sources: Sequence[FeatureSource]) -> bool:
    return any(source.store.writable for source in sources)


def _check_exact(features: Features) -> None:
    if not features.exact:
        raise ConfigError(
            "Hidden states of this upstream depend on the batch that a recording is in (padding=legacy), so they "
            "cannot be kept; set features=off."
        )
