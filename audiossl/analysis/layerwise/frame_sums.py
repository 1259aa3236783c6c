"""Sums over the frames of any number of recordings: of each layer, of what it is compared with, and of the two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiossl.metrics.moment_sums import CrossSums, OwnSums

Frames = NDArray[np.float32]
Arrays = dict[str, NDArray[Any]]

_BLOCK = 2048  # frames that are summed at once: products of few are slow


class FrameSums:
    """Sums of all layers and views, in memory that does not grow.

    layers: numbers of the layers.
    views: names of the views.
    """

    def __init__(self, layers: Sequence[int], views: Sequence[str]) -> None:
        self.layers, self.views = tuple(layers), tuple(views)
        self._own: dict[str, OwnSums] = {}
        self._cross: dict[str, CrossSums] = {}
        self._waiting: list[tuple[Mapping[int, Frames], Mapping[str, Frames]]] = []
        self._num_waiting = 0

    def add(self, states: Mapping[int, Frames], views: Mapping[str, Frames]) -> None:
        """The frames of a recording: (T, D_l) of each layer and (T, E) of each view."""
        self._waiting.append((states, views))
        self._num_waiting += len(next(iter(states.values())))
        if self._num_waiting >= _BLOCK:
            self._sum_up()

    def arrays(self) -> Arrays:
        """All sums by name, to be kept (`own_sums` and `cross_sums` read them)."""
        self._sum_up()
        made: Arrays = {}
        for kind, all_sums in (("own", self._own), ("cross", self._cross)):
            for name, sums in all_sums.items():
                for field, value in sums._asdict().items():  # type: ignore[attr-defined]
                    made[f"{kind}.{name}.{field}"] = np.asarray(value)
        return made

    def _sum_up(self) -> None:
        if not self._waiting:
            return
        views = {name: np.concatenate([each[name] for _, each in self._waiting]) for name in self.views}
        for name, values in views.items():
            self._add_own(f"view.{name}", values)
        for layer in self.layers:
            states = np.concatenate([each[layer] for each, _ in self._waiting]).astype(np.float64)
            self._add_own(str(layer), states)
            for name, values in views.items():
                made, key = CrossSums.of(states, values), f"{name}.{layer}"
                self._cross[key] = self._cross[key].plus(made) if key in self._cross else made
        self._waiting, self._num_waiting = [], 0

    def _add_own(self, key: str, values: NDArray[np.floating]) -> None:
        made = OwnSums.of(values)
        self._own[key] = self._own[key].plus(made) if key in self._own else made


def own_sums(arrays: Mapping[str, NDArray[np.floating]], name: str) -> OwnSums:
    """The sums of a layer, by its number, or of `view.NAME`."""
    return OwnSums(**_fields(arrays, f"own.{name}", OwnSums._fields))


def cross_sums(arrays: Mapping[str, NDArray[np.floating]], view: str, layer: int) -> CrossSums:
    """The sums of a layer with a view."""
    return CrossSums(**_fields(arrays, f"cross.{view}.{layer}", CrossSums._fields))


def _fields(arrays: Mapping[str, NDArray[np.floating]], key: str, fields: Sequence[str]) -> dict[str, Any]:
    found = {field: arrays[f"{key}.{field}"] for field in fields}
    return {field: float(value) if value.ndim == 0 else value for field, value in found.items()}
