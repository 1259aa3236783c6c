"""Emotion on nEMO by logistic regression on means over time: three encoders alone, every pair, and all three joined.

    python benchmarks/joined_upstreams.py data/nemo/all.jsonl.gz

Each speaker is tested by a regression that has not heard them. UA with jackknife intervals over speakers, and the
paired differences to each encoder alone. Hidden states come from the feature cache of each encoder.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.stats import t
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from audiossl import load_upstream
from audiossl.data.fields import read_field
from audiossl.data.manifests import read_manifest
from audiossl.features.access import open_states
from audiossl.features.config import CacheConfig

Array = npt.NDArray[np.generic]


def views_of(names: str, cuts: list[object]) -> dict[str, Array]:
    """(N, D) of each encoder: the means over time of all its layers."""
    upstream = load_upstream(names, join="pooled")
    source = open_states(upstream, "", CacheConfig(), "pooled", layers=range(upstream.num_layers))
    layers = source.batch(cuts).features.layers
    source.close()
    parts: dict[str, list[Array]] = {}
    for place, layer in zip(upstream.places, layers, strict=True):
        parts.setdefault(upstream.names[place.member], []).append(layer[:, 0].float().numpy())
    return {name: np.concatenate(found, axis=1) for name, found in parts.items()}


def held_out(x: Array, labels: Array, speakers: Array) -> Array:
    """(N,) predictions, of each speaker by a regression on all others."""
    found = np.empty_like(labels)
    for speaker in np.unique(speakers):
        test = speakers == speaker
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
        found[test] = model.fit(x[~test], labels[~test]).predict(x[test])
    return found


def with_interval(figure: Callable[[Array], float], speakers: Array) -> str:
    """A figure of the rows of a mask in percent, and half its 95 % interval by the jackknife over speakers."""
    names = np.unique(speakers)
    left_out = np.array([figure(speakers != name) for name in names])
    error = np.sqrt((len(names) - 1) / len(names) * np.square(left_out - left_out.mean()).sum())
    whole = figure(np.ones(len(speakers), bool))
    return f"{100 * whole:.1f} +- {100 * t.ppf(0.975, len(names) - 1) * error:.1f}"


def main(path: str) -> None:
    cuts = list(read_manifest(path))
    labels, speakers = (np.array([read_field(cut, name) for cut in cuts]) for name in ("label", "speaker"))
    views = views_of("tera_mini + distil_mini + log_mel", cuts)
    groups = [group for size in (1, 2, 3) for group in combinations(views, size)]
    found = {g: held_out(np.concatenate([views[n] for n in g], axis=1), labels, speakers) for g in groups}

    def ua(group: tuple[str, ...], mask: Array) -> float:
        right = found[group] == labels
        return float(np.mean([right[mask & (labels == label)].mean() for label in np.unique(labels)]))

    for group in groups:
        print(" + ".join(group), with_interval(lambda mask, g=group: ua(g, mask), speakers))
        for one in group if len(group) > 1 else ():
            gain = with_interval(lambda mask, g=group, o=one: ua(g, mask) - ua((o,), mask), speakers)
            print("    minus", one, gain)


if __name__ == "__main__":
    main(sys.argv[1])
