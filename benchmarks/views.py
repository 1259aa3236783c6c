"""Does pre-training on several views help where labels are few? Emotion on nEMO, by labels of each class.

    python -m benchmarks.views data/nemo/all.jsonl.gz --write

The claim of Pairwise-CL (arXiv:2406.07900), on unseen speakers: the speakers are three groups, and each group is tested
by what the other two have taught. The recordings of the two are what the views are pre-trained on, without labels. Of
each class 1, 5, 10 or all of their recordings have labels, drawn anew for each seed.

Views: `distil_mini`, `log_mel` and `paralinguistic_functionals`, frozen, of which means over time are seen. Logistic
regression reads what the views see, what their encoders make of it as they are drawn, and as they are pre-trained.
And a linear layer on the encoders, all of it trained, from random and from pre-trained encoders, as in the paper.

UA is the mean over seeds, its intervals are the jackknife's over speakers. Differences are paired.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from audiossl import Batch, CacheConfig, Objective, Upstream, fingerprint, load_objective, read_manifest
from audiossl.core.types import Features
from audiossl.data.config import LoaderConfig
from audiossl.data.fields import read_field
from audiossl.encoders.building import build_upstream
from audiossl.features.access import open_states
from audiossl.metrics.clusters import Clusters, clusters_of
from audiossl.metrics.jackknife import Estimate, difference_of, mean_of, metric_of
from audiossl.training.objective import Surroundings
from benchmarks.common import parser, publish, table

MEMBERS = ("distil_mini", "log_mel", "paralinguistic_functionals")
LABELS: tuple[int | None, ...] = (1, 5, 10, None)  # of each class, None for all
SEEDS, GROUPS = 5, 3
PRETRAINING = {"steps": 300, "batch_size": 128, "lr": 1e-3}
TUNING = {"steps": 60, "lr": 1e-3}
MEANS, DRAWN, TAUGHT = "means", "random encoders", "pre-trained encoders"
TUNED_DRAWN, TUNED_TAUGHT = "random, tuned", "pre-trained, tuned"
PAIRS = ((TAUGHT, DRAWN), (TAUGHT, MEANS), (TUNED_TAUGHT, TUNED_DRAWN), (TUNED_TAUGHT, MEANS))
Texts = npt.NDArray[np.str_]
Numbers = npt.NDArray[np.int64]


class Rows(NamedTuple):
    """The recordings: manifest rows, means over time of the members' layers, class by number, speaker."""

    cuts: list[Any]
    layers: tuple[Tensor, ...]
    labels: Numbers
    speakers: Texts

    def states(self, places: Sequence[int] | Numbers) -> Features:
        chosen = torch.as_tensor(np.asarray(places))
        return Features(tuple(layer[chosen] for layer in self.layers), torch.ones(len(chosen), dtype=torch.int64))


def multi_view(seed: int) -> Any:
    """The encoder with its views' encoders drawn from a seed. The members have their own weights."""
    options = {"members": list(MEMBERS), "weights": "pretrained"}
    return build_upstream("multi_view", options, seed)


def read_rows(path: str) -> Rows:
    cuts = list(read_manifest(path))
    views: Upstream = multi_view(0).views.eval()
    source = open_states(views, fingerprint(views), CacheConfig(), "pooled", layers=range(views.num_layers))
    try:
        features = source.batch(cuts).features
    finally:
        source.close()
    assert features is not None
    labels, speakers = (np.array([read_field(cut, name) or "" for cut in cuts]) for name in ("label", "speaker"))
    layers = tuple(layer.float() for layer in features.layers)
    return Rows(cuts, layers, np.unique(labels, return_inverse=True)[1], speakers)


def objective_for(rows: Rows, known: Numbers, seed: int) -> Objective:
    """The objective on an encoder from the seed, with the statistics of the recordings that may be known."""
    objective: Objective = load_objective("multi_view", multi_view(seed))
    places = {cut.id: place for place, cut in enumerate(rows.cuts)}
    data = LoaderConfig(batch_size=int(PRETRAINING["batch_size"]))

    def states_of(cuts: Sequence[Any]) -> Features:
        return rows.states([places[cut.id] for cut in cuts])

    objective.prepare(Surroundings({}, data, torch.device("cpu"), lambda _encoder, _layers: states_of))
    objective.fit([batch_of(rows, known)])
    return objective


def batch_of(rows: Rows, places: Numbers) -> Batch:
    cuts = tuple(rows.cuts[place] for place in places)
    return Batch(torch.zeros(len(cuts), 0), torch.ones(len(cuts), dtype=torch.int64), cuts)


def pretrain(objective: Objective, rows: Rows, known: Numbers, seed: int) -> None:
    """As `audiossl pretrain` does, in minutes less: AdamW, a rate that falls to 0."""
    draw, steps = np.random.default_rng(seed), int(PRETRAINING["steps"])
    optimizer = torch.optim.AdamW([p for p in objective.parameters() if p.requires_grad], lr=PRETRAINING["lr"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    size = min(int(PRETRAINING["batch_size"]), len(known))
    objective.train()
    for _ in range(steps):
        optimizer.zero_grad()
        objective.loss(batch_of(rows, draw.choice(known, size, replace=False))).total.backward()
        optimizer.step()
        schedule.step()
    objective.eval()


def drawn(labels: Numbers, known: Numbers, count: int | None, seed: int) -> Numbers:
    """Which recordings have labels: so many of each class, more where fewer were drawn before."""
    if count is None:
        return known
    order = np.random.default_rng(seed).permutation(known)
    return np.concatenate([order[labels[order] == label][:count] for label in np.unique(labels)])


def regression(train: Tensor, labels: Numbers, test: Tensor) -> Numbers:
    """Predictions by logistic regression on columns of unit variance (of all recordings that may be known)."""
    model = LogisticRegression(C=0.01, max_iter=300)
    found: Numbers = model.fit(train.numpy(), labels).predict(test.numpy())
    return found


def tuned(blocks: nn.Module, seen: Sequence[Tensor], labels: Numbers, test: Sequence[Tensor], seed: int) -> Numbers:
    """Predictions of a linear layer on the views' encoders, all of which train by the labels."""
    torch.manual_seed(seed)
    encoders: Any = blocks
    width = sum(encoder[-1].out_features for encoder in encoders)
    head, targets = nn.Linear(width, int(labels.max()) + 1), torch.from_numpy(labels)
    optimizer = torch.optim.AdamW([*blocks.parameters(), *head.parameters()], lr=TUNING["lr"])

    def scores(views: Sequence[Tensor]) -> Tensor:
        made = [encoder(view) for encoder, view in zip(encoders, views, strict=True)]
        return head(torch.cat(made, dim=-1))  # type: ignore[no-any-return]

    for _ in range(int(TUNING["steps"])):
        optimizer.zero_grad()
        F.cross_entropy(scores(seen), targets).backward()
        optimizer.step()
    with torch.no_grad():
        found: Numbers = scores(test).argmax(1).numpy()
    return found


def standardised(encoder: Any, rows: Rows, places: Numbers) -> list[Tensor]:
    """(N, D) of each view, as its encoder reads it."""
    seen = encoder.seen(rows.states(places).layers)
    moments = [(encoder.get_buffer(f"mean_{n}"), encoder.get_buffer(f"deviation_{n}")) for n in range(len(seen))]
    return [((view - mean) / deviation)[:, 0] for view, (mean, deviation) in zip(seen, moments, strict=True)]


def unit(train: Tensor, others: Sequence[Tensor]) -> list[Tensor]:
    """Columns of mean 0 and variance 1 by those of `train`."""
    mean, deviation = train.mean(0), train.std(0).clamp(min=1e-6)
    return [(each - mean) / deviation for each in others]


def predictions(rows: Rows, known: Numbers, test: Numbers, seed: int) -> dict[tuple[str, int | None], Numbers]:
    """Of the test recordings, by classifier and number of labels."""
    objective = objective_for(rows, known, seed)
    encoder: Any = objective.upstream
    states = {DRAWN: copy.deepcopy(encoder.blocks[0])}
    pretrain(objective, rows, known, seed)
    states[TAUGHT] = encoder.blocks[0]
    known_views, test_views = standardised(encoder, rows, known), standardised(encoder, rows, test)
    inputs = {MEANS: (torch.cat(known_views, 1), torch.cat(test_views, 1))}
    with torch.no_grad():
        for name, blocks in states.items():
            made = [
                torch.cat([each(view) for each, view in zip(blocks, views, strict=True)], 1)
                for views in (known_views, test_views)
            ]
            first, second = unit(made[0], made)
            inputs[name] = (first, second)
    place = {row: number for number, row in enumerate(known)}
    found = {}
    for count in LABELS:
        chosen = drawn(rows.labels, known, count, seed)
        own = [place[row] for row in chosen]
        labels = rows.labels[chosen]
        for name, (train, held_out) in inputs.items():
            found[name, count] = regression(train[own], labels, held_out)
        views = [view[own] for view in known_views]
        for name, start in ((TUNED_DRAWN, DRAWN), (TUNED_TAUGHT, TAUGHT)):
            found[name, count] = tuned(copy.deepcopy(states[start]), views, labels, test_views, seed)
    return found


def ua_of(right: npt.NDArray[np.bool_], labels: Numbers, clusters: Clusters) -> Estimate:
    """Mean recall of the classes, and without each speaker."""
    kinds = np.unique(labels)

    def ua(mask: npt.NDArray[np.bool_]) -> float:
        return float(np.mean([right[mask & (labels == kind)].mean() for kind in kinds]))

    without = np.array([ua(clusters.of != number) for number in range(clusters.num)])
    return Estimate(ua(np.ones(len(labels), bool)), without, "share")


def estimates(rows: Rows, clusters: Clusters) -> dict[tuple[str, int | None], Estimate]:
    names = np.unique(rows.speakers)
    groups = np.array_split(np.random.default_rng(0).permutation(names), GROUPS)
    found: dict[tuple[str, int | None], list[Estimate]] = {}
    for seed in range(SEEDS):
        right: dict[tuple[str, int | None], npt.NDArray[np.bool_]] = {}
        for group in groups:
            test = np.flatnonzero(np.isin(rows.speakers, group))
            known = np.flatnonzero(~np.isin(rows.speakers, group))
            for key, made in predictions(rows, known, test, seed).items():
                right.setdefault(key, np.zeros(len(rows.cuts), bool))[test] = made == rows.labels[test]
        for key, hits in right.items():
            found.setdefault(key, []).append(ua_of(hits, rows.labels, clusters))
        print(f"seed {seed} of {SEEDS}", flush=True)
    return {key: mean_of(each) for key, each in found.items()}


def percent(value: float, low: float | None, high: float | None, sign: str = "") -> str:
    interval = "" if low is None or high is None else f" [{100 * low:{sign}.1f}, {100 * high:{sign}.1f}]"
    return f"{100 * value:{sign}.1f}{interval}"


def pages(found: Mapping[tuple[str, int | None], Estimate], clusters: Clusters) -> list[str]:
    counts = ["all" if count is None else str(count) for count in LABELS]
    names = list(dict.fromkeys(name for name, _ in found))
    figures = []
    for name in names:
        metrics = [metric_of(found[name, count], clusters) for count in LABELS]
        figures.append([name, *(percent(each.value, each.low, each.high) for each in metrics)])
    gaps = []
    for ours, theirs in PAIRS:
        made = [difference_of(found[ours, count], found[theirs, count], clusters) for count in LABELS]
        gaps.append([f"{ours} minus {theirs}", *(percent(each.value, each.low, each.high, "+") for each in made)])
    return [
        table(["UA (%), labels of each class:", *counts], figures),
        table(["difference, labels of each class:", *counts], gaps),
    ]


def draw_curves(found: Mapping[tuple[str, int | None], Estimate], out: Path) -> None:
    """UA by labels of each class."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for name in dict.fromkeys(name for name, _ in found):
        axes.plot(range(len(LABELS)), [100 * found[name, count].value for count in LABELS], marker="o", label=name)
    axes.set_xticks(range(len(LABELS)), ["all" if count is None else str(count) for count in LABELS])
    axes.set_xlabel("labels of each class")
    axes.set_ylabel("UA (%)")
    axes.legend()
    figure.savefig(out, dpi=120)
    plt.close(figure)


def main() -> None:
    made = parser(__doc__)
    made.add_argument("manifest", type=Path, help="what recipes/nemo has prepared")
    made.add_argument("--figure", type=Path, help="a PNG of the curves")
    arguments = made.parse_args()
    rows = read_rows(str(arguments.manifest))
    clusters = clusters_of(list(rows.speakers), len(rows.cuts))
    found = estimates(rows, clusters)
    if arguments.figure:
        draw_curves(found, arguments.figure)
    publish(arguments, "Views of a recording, pre-trained or not, where labels are few", *pages(found, clusters))


if __name__ == "__main__":
    main()
