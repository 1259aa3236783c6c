"""One pass over the hidden states of an encoder: sums over frames, pooled segments, and what is heard at some moments.

Recordings are read group by group. What a group gives is written when it is done, so that memory holds one group, an
interrupted pass goes on with the next, and a measure reads one layer of all groups.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiossl.analysis.layerwise.config import AnalyseOptions
from audiossl.analysis.layerwise.crossing import SumsCell
from audiossl.analysis.layerwise.frame_sums import Arrays, Frames, FrameSums, cross_sums, own_sums
from audiossl.analysis.layerwise.views import LAYERS, MEL, AskedView, ViewItems
from audiossl.core.config import as_dict
from audiossl.core.errors import AudioError, ConfigError
from audiossl.core.files import atomic_write, read_json, write_json
from audiossl.data.frame_labels import first_centre_s
from audiossl.data.loader import collate
from audiossl.data.segments import Segment
from audiossl.encoders.encoding import encode_batch
from audiossl.encoders.kept import Identified
from audiossl.encoders.upstream import Upstream
from audiossl.features.config import CacheConfig
from audiossl.features.segment_states import frames_of, pool_spans
from audiossl.features.states import row_states
from audiossl.metrics.clusters import Clusters, Ints
from audiossl.metrics.moment_sums import PairSums
from audiossl.nn.draws import keyed_generator

if TYPE_CHECKING:
    from lhotse.cut import Cut

_KEY = "gathering.json"
_FORMAT = 1  # another one where the same pass would give something else


class Moments(NamedTuple):
    """Moments of a row: seconds in it (m,), and their numbers (m,) among all M."""

    times_s: NDArray[np.float64]
    places: Ints


class Material(NamedTuple):
    """What is analysed, the same for all encoders.

    cuts: the rows, R of them.
    clusters: of the rows, which intervals are over.
    views: what layers are compared with.
    items: the segments and columns among them.
    options: how.
    """

    cuts: list[Cut]
    clusters: Clusters
    views: list[AskedView]
    items: list[ViewItems]
    options: AnalyseOptions

    @property
    def frame_views(self) -> list[str]:
        """Of the views, those that have a value for each frame."""
        return [view.name for view in self.views if view.kind == "frames"]

    def groups_of(self, items: ViewItems) -> Ints:
        """(N,) the cluster of each item."""
        place = {str(cut.id): number for number, cut in enumerate(self.cuts)}
        return np.array([self.clusters.of[place[each.recording]] for each in items.segments], dtype=np.int64)

    @property
    def num_moments(self) -> Ints:
        """(R,) at how many moments of each row layers are compared with one another, as many a second in all rows."""
        seconds = np.cumsum([cut.duration for cut in self.cuts])
        ends = np.floor(seconds * self.options.moments / seconds[-1] + 1e-9).astype(np.int64)
        made: Ints = np.diff(ends, prepend=0)
        return made

    @property
    def groups_of_moments(self) -> Ints:
        """(M,) the cluster of each moment, row by row."""
        return np.repeat(self.clusters.of, self.num_moments)

    @property
    def moments(self) -> dict[str, Moments]:
        """The moments of each row, by its id."""
        made, counts = {}, self.num_moments
        for cut, first, count in zip(self.cuts, np.cumsum(counts) - counts, counts, strict=True):
            draw = keyed_generator(self.options.seed, cut.id, "moments")
            times_s = torch.rand(int(count), dtype=torch.float64, generator=draw).numpy() * cut.duration
            made[str(cut.id)] = Moments(times_s, np.arange(first, first + count))
        return made


class Gathered:
    """What a pass has kept, read layer by layer.

    folder: where it lies.
    material: what was analysed.
    layers: numbers of the layers.
    """

    def __init__(self, folder: Path, material: Material, layers: Sequence[int]) -> None:
        self.folder, self.material, self.layers = folder, material, tuple(layers)

    def frame_cells(self, view: str, layer: int, folds: Ints) -> list[SumsCell]:
        """Sums of the frames of a layer and a view. folds: (G,) of each group."""
        made = []
        for group, arrays in self._groups():
            of_view = own_sums(arrays, "view." + view if view != LAYERS else str(self.layers[0]))
            sums = PairSums(own_sums(arrays, str(layer)), of_view, cross_sums(arrays, view, layer))
            made.append(SumsCell(int(folds[group]), group, sums))
        return made

    def vectors(self, items: ViewItems, layer: int) -> Frames:
        """(N, D) the pooled states of segments, in their order."""
        places, vectors = f"items.{items.name}.places", f"items.{items.name}.{layer}"
        return _placed([(arrays[places], arrays[vectors]) for _, arrays in self._groups()], len(items.segments))

    def num_short(self, items: ViewItems) -> int:
        """How many segments are shorter than a frame, and have the one that is nearest."""
        return sum(int(arrays[f"items.{items.name}.short"].sum()) for _, arrays in self._groups())

    def at_moments(self, name: str) -> Frames:
        """(M, D) what is heard at the moments, row by row: a layer by its number, or mel."""
        parts = [(arrays["moments.places"], arrays[f"moments.{name}"]) for _, arrays in self._groups()]
        return _placed(parts, int(self.material.num_moments.sum()))

    def remove(self) -> None:
        """Give back the room that it takes."""
        for path in [*self.folder.glob("group_*.npz"), self.folder / _KEY]:
            path.unlink(missing_ok=True)

    def _groups(self) -> Iterator[tuple[int, Any]]:
        for group in range(self.material.clusters.num):
            with np.load(_path_of(self.folder, group)) as arrays:
                yield group, arrays


def gather(
    encoder: Identified,
    layers: Sequence[int],
    material: Material,
    folder: Path,
    *,
    mel: Upstream | None = None,
    cache: CacheConfig | None = None,
    title: str = "Encoding",
) -> Gathered:
    """Pass over all rows, or go on where a pass of the same was interrupted.

    encoder: the frozen encoder.
    layers: numbers of the layers.
    material: what is analysed.
    folder: where sums and states are kept.
    mel: log mel frames, where they are among the views.
    cache: where hidden states are read and kept. None for nowhere.
    title: of the progress bar.
    Raises AudioError for states that are not finite, ManifestError.
    """
    from lhotse import CutSet

    folder.mkdir(parents=True, exist_ok=True)
    _begin(folder, key_of(encoder, layers, material))
    made = Gathered(folder, material, layers)
    moments = material.moments
    for group in range(material.clusters.num):
        path = _path_of(folder, group)
        if path.is_file():
            continue
        rows = CutSet.from_cuts(cut for cut, of in zip(material.cuts, material.clusters.of, strict=True) if of == group)
        one = _Group(encoder.upstream, layers, material, moments, mel)
        for cut, states in row_states(encoder.upstream, rows, layers, cache=cache, title=title):
            one.add(cut, states)
        with atomic_write(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, **one.arrays())  # type: ignore[arg-type]
    return made


class _Group:
    """What one group of recordings gives."""

    def __init__(
        self,
        upstream: Upstream,
        layers: Sequence[int],
        material: Material,
        moments: Mapping[str, Moments],
        mel: Upstream | None,
    ) -> None:
        self.upstream, self.layers, self.options, self.mel = upstream, layers, material.options, mel
        self.moments, self.views = moments, material.frame_views
        self.sums = FrameSums(layers, self.views)
        self._places = {items.name: _by_row(items) for items in material.items}
        self._items = {items.name: items for items in material.items}
        self._parts: dict[str, list[NDArray[Any]]] = {}

    def add(self, cut: Cut, states: Mapping[int, Tensor]) -> None:
        """A recording and its states (T, D_l)."""
        for layer, state in states.items():
            if not bool(state.isfinite().all()):
                raise AudioError(
                    f"Layer {layer} of {self.upstream.display_name} has NaN or infinity in row {cut.id}; look at its "
                    f"sound, or keep states in fp32 (--no-cache does)."
                )
        frames = {layer: state.detach().float().cpu().numpy() for layer, state in states.items()}
        views = self._views_of(cut, frames)
        if self.views:
            self.sums.add(frames, views)
        self._keep_moments(str(cut.id), {**{str(layer): each for layer, each in frames.items()}, **views})
        for name, places in self._places.items():
            self._keep_items(name, places.get(str(cut.id), []), states)

    def arrays(self) -> Arrays:
        """All that is kept of the group, by name."""
        joined = {name: np.concatenate(parts) for name, parts in self._parts.items()}
        return {**self.sums.arrays(), **joined, **self._of_nothing(joined)}

    def _views_of(self, cut: Cut, frames: Mapping[int, Frames]) -> dict[str, Frames]:
        made = {}
        if LAYERS in self.views:
            made[LAYERS] = frames[self.layers[0]]
        if MEL in self.views and self.mel is not None:
            made[MEL] = mel_at_frames(self.mel, cut, self.upstream, len(frames[self.layers[0]]))
        return made

    def _keep_moments(self, row: str, arrays: Mapping[str, Frames]) -> None:
        upstream, (times_s, numbers) = self.upstream, self.moments[row]
        self._parts.setdefault("moments.places", []).append(numbers)
        step_s = upstream.stride / upstream.sample_rate_hz
        nearest = np.floor((times_s - first_centre_s(upstream)) / step_s + 0.5).astype(np.int64)
        for name, frames in arrays.items():
            self._parts.setdefault(f"moments.{name}", []).append(frames[nearest.clip(0, len(frames) - 1)])

    def _keep_items(self, name: str, places: list[int], states: Mapping[int, Tensor]) -> None:
        if not places:
            return
        segments = [self._items[name].segments[place] for place in places]
        spans = frames_of(segments, len(states[self.layers[0]]), self.upstream, self.options.pool)
        self._parts.setdefault(f"items.{name}.places", []).append(np.array(places, dtype=np.int64))
        self._parts.setdefault(f"items.{name}.short", []).append(spans.is_short)
        for layer, state in states.items():
            self._parts.setdefault(f"items.{name}.{layer}", []).append(pool_spans(state, spans))

    def _of_nothing(self, joined: Mapping[str, Any]) -> Arrays:
        """Empty arrays for items of which the group has none."""
        made: Arrays = {}
        for name in self._places:
            if f"items.{name}.places" not in joined:
                made |= {f"items.{name}.{key}": np.zeros(0, dtype=np.int64) for key in ("places", "short")}
                for layer in self.layers:
                    made[f"items.{name}.{layer}"] = np.zeros((0, self.upstream.widths[layer]), dtype=np.float32)
        return made


def mel_at_frames(mel: Upstream, cut: Cut, encoder: Upstream, num_frames: int) -> Frames:
    """(num_frames, E) log mel frames at the rate of an encoder: the mean of those that its step covers.

    mel: the log mel features.
    cut: the row.
    encoder: whose frames they are brought to.
    num_frames: T of the row.
    """
    batch = collate([cut], mel.sample_rate_hz, min_samples=mel.min_samples)
    states = encode_batch(mel, batch).layers[-1][0]
    step_s = encoder.stride / encoder.sample_rate_hz
    centres = first_centre_s(encoder) + step_s * np.arange(num_frames)
    steps = [Segment(str(cut.id), float(at - step_s / 2), float(at + step_s / 2), "") for at in centres]
    return pool_spans(states, frames_of(steps, len(states), mel))


def _placed(parts: Sequence[tuple[Ints, Frames]], num: int) -> Frames:
    """(num, D) of parts, each with the places of its rows."""
    made = np.empty((num, parts[0][1].shape[1]), dtype=np.float32)
    for places, vectors in parts:
        made[places] = vectors
    return made


def _by_row(items: ViewItems) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for place, each in enumerate(items.segments):
        rows.setdefault(each.recording, []).append(place)
    return rows


def key_of(encoder: Identified, layers: Sequence[int], material: Material) -> str:
    """A hash of all that decides what a pass gives, but for the sound."""
    said = [
        _FORMAT,
        encoder.fingerprint,
        list(layers),
        {name: value for name, value in as_dict(material.options).items() if name not in ("random", "layers")},
        [list(view) for view in material.views],
        [[str(cut.id), cut.duration, int(of)] for cut, of in zip(material.cuts, material.clusters.of, strict=True)],
        [[each.recording, each.start_s, each.end_s, each.label] for items in material.items for each in items.segments],
        [items.values.tolist() for items in material.items if items.labels is None],
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _begin(folder: Path, key: str) -> None:
    """Remove what is there of another pass."""
    there = [*folder.glob("group_*.npz")]
    if (folder / _KEY).is_file():
        if read_json(folder / _KEY).get("key") == key:
            return
        for path in there:
            path.unlink()
    elif there:
        raise ConfigError(f"{folder} has files of another program, {there[0].name} for instance; choose another --out.")
    write_json(folder / _KEY, {"key": key})


def _path_of(folder: Path, group: int) -> Path:
    return folder / f"group_{group:03d}.npz"
