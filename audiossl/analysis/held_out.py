"""What a fresh probe tells from vectors: each item is predicted by a logistic regression that was not fitted on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from audiossl.analysis.functionals import Functionals, Vectors
from audiossl.analysis.probes import run_probes
from audiossl.core.errors import LabelError
from audiossl.metrics.clusters import Clusters
from audiossl.metrics.jackknife import no_intervals

PARTS = 5  # of the items of each label: one is predicted, one chooses C, the others are fitted on


def predicted_held_out(ids: Sequence[str], labels: Sequence[str], vectors: Vectors) -> list[tuple[str, str, str]]:
    """The id of each item that has enough others of its label, with its label and the one that is predicted.

    Items of each label are dealt to `PARTS` parts in the order of their ids. Each part in turn is predicted by the
    linear probe of `PROBES`, whose C the next part chooses and which the others are fitted on.

    ids, labels: (N,). Labels of fewer than `PARTS` items are left out.
    vectors: (N, V).
    Raises LabelError for fewer than two labels with enough items.
    """
    counts = Counter(labels)
    known = {label for label, count in counts.items() if count >= PARTS}
    if len(known) < 2:
        raise LabelError(
            f"A probe needs two labels with {PARTS} items each, and of the {len(counts)} labels {len(known)} have so "
            f"many."
        )
    order = [place for place in np.argsort(np.array(ids)).tolist() if labels[place] in known]
    dealt: Counter[str] = Counter()
    part_of = np.empty(len(order), dtype=np.int64)
    for place, item in enumerate(order):
        part_of[place] = dealt[labels[item]] % PARTS
        dealt[labels[item]] += 1
    items, found = np.array(order), {}
    for part in range(PARTS):
        chosen = {"test": part_of == part, "dev": part_of == (part + 1) % PARTS}
        chosen["train"] = ~(chosen["test"] | chosen["dev"])
        splits = {name: _taken(items[mask], ids, labels, vectors) for name, mask in chosen.items()}
        found.update(_predicted(splits))
    return [(ids[item], labels[item], found[ids[item]]) for item in order]


def _taken(items: Sequence[int], ids: Sequence[str], labels: Sequence[str], vectors: Vectors) -> Functionals:
    clusters = Clusters(np.arange(len(items), dtype=np.int64))
    return Functionals([ids[item] for item in items], [labels[item] for item in items], clusters, {0: vectors[items]})


def _predicted(splits: dict[str, Functionals]) -> dict[str, str]:
    with no_intervals():
        (result,) = run_probes(splits, ["linear"], metric="accuracy")
    assert result.linear is not None
    labels, scaling, weight, bias = result.linear
    logits = scaling.scaled(splits["test"].layers[0]) @ weight.T + bias
    return {item: labels[best] for item, best in zip(splits["test"].ids, logits.argmax(axis=1), strict=True)}
