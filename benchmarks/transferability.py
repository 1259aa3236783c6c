"""Do scores that need no training rank encoders and layers as trained probes do?

    audiossl analyse ENCODER ... --data MANIFEST --with phones=phones.ctm --out ANALYSIS
    python benchmarks/transferability.py ANALYSIS phones MANIFEST phones.ctm ENCODER ...

Printed is Spearman's correlation of each measure of the analysis with the unweighted average recall of ridge probes on
held-out speakers, over all layers of all encoders and of their random weights, then over the layers of one encoder at a
time (the mean of their correlations). Intervals leave out one speaker after the other, in measures and recalls alike.
The loss is the recall of the best layer less that of the layer that the measure is highest at, in points, both over all
encoders.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy import stats

from audiossl.analysis.layerwise.curves import LayerPoint, read_points
from audiossl.analysis.segment_probes.config import SegmentProbeOptions
from audiossl.analysis.segment_probes.study import RANDOM_WEIGHTS, study_segments
from audiossl.core.files import read_json
from audiossl.features.config import CacheConfig
from audiossl.metrics.clusters import Clusters, Floats
from audiossl.metrics.jackknife import Estimate, correlation_metric

MEASURES = ("logme", "ped", "tmi", "pwcca", "cka", "pnmi")
Place = tuple[str, int]  # an encoder and its layer


def recalls(manifest: Path, alignment: str, encoders: list[str], out: Path) -> tuple[dict[Place, Floats], Clusters]:
    """(G + 1,) the recall of each layer, with all speakers and then without each."""
    options = SegmentProbeOptions(alignment=alignment, most_items=5000, controls="")
    study = study_segments(encoders, [manifest], out, options, CacheConfig())
    clusters, targets = study.asked.clusters, study.asked.targets
    found: dict[Place, Floats] = {}
    for each in study.curves:
        name = Path(each.curve.encoder).name + (", random" if each.curve.what == RANDOM_WEIGHTS else "")
        for layer, told in each.curve.layers.items():
            right = (told.predicted == targets).astype(float)
            masks = [np.ones(len(right), dtype=bool), *(clusters.of != number for number in range(clusters.num))]
            found[name, layer] = np.array([_recall(right[mask], targets[mask]) for mask in masks])
    return found, clusters


def _recall(right: Floats, targets: np.ndarray) -> float:
    _, labels = np.unique(targets, return_inverse=True)
    return float((np.bincount(labels, right) / np.bincount(labels)).mean())


def points(analysis: Path, view: str, measure: str) -> dict[Place, Floats]:
    """(G + 1,) a measure of each layer."""
    found: dict[Place, Floats] = {}
    for path in sorted((analysis / "encoders").glob("*/points.json")):
        own: list[LayerPoint] = [each for each in read_points(path) if (each.view, each.measure) == (view, measure)]
        name = str(read_json(path)["encoder"])
        found |= {(name, each.layer): np.append(each.estimate.value, each.estimate.without) for each in own}
    return found


def _correlation(first: Floats, second: Floats) -> Floats:
    """(G + 1,) Spearman's, of (P, G + 1) and (P, G + 1)."""
    pairs = zip(first.T, second.T, strict=True)
    return np.array([stats.spearmanr(ours, theirs).statistic for ours, theirs in pairs])


def _written(values: Floats, clusters: Clusters) -> str:
    made = correlation_metric(Estimate(float(values[0]), values[1:]), clusters)
    ends = "" if made.low is None or made.high is None else f" [{made.low:.2f}, {made.high:.2f}]"
    return f"{made.value:.2f}{ends}"


def main(analysis: str, view: str, manifest: str, alignment: str, *encoders: str) -> None:
    """Print the table."""
    told, clusters = recalls(Path(manifest), alignment, list(encoders), Path(analysis) / "probes")
    best = max(values[0] for values in told.values())
    print(f"{len(told)} layers\n| measure | all layers | layers of one encoder | loss |\n| --- | --- | --- | ---: |")
    for measure in MEASURES:
        found = points(Path(analysis), view, measure)
        places = [place for place in told if place in found]
        ours, theirs = (np.stack([each[place] for place in places]) for each in (found, told))
        own = [
            _correlation(ours[rows], theirs[rows])
            for name in dict.fromkeys(name for name, _ in places)
            if "random" not in name and len(rows := [n for n, place in enumerate(places) if place[0] == name]) > 3
        ]
        loss = best - theirs[int(ours[:, 0].argmax()), 0]
        every, inside = _written(_correlation(ours, theirs), clusters), _written(np.mean(own, axis=0), clusters)
        print(f"| {measure} | {every} | {inside} | {100 * loss:.1f} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
