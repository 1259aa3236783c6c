"""An adversary against a column of the training rows, for any task, and what a fresh probe still tells of it.

The adversary is in training alone. The probe comes with every evaluation of a run that names a column, also of one with
weight 0: it reads the vectors by which the trained head knows the training rows, and predicts items that it was not
fitted on, of the same speakers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from lhotse import CutSet
from lhotse.cut import Cut

from audiossl.analysis.held_out import PARTS, predicted_held_out
from audiossl.core.errors import LabelError
from audiossl.core.types import Batch, Table
from audiossl.data.fields import read_field, rows_without
from audiossl.experiments.config import Experiment
from audiossl.metrics.classification import classification_metrics
from audiossl.metrics.clusters import Clusters
from audiossl.metrics.formatting import cells_written
from audiossl.training.adversary import Adversary, represented
from audiossl.training.downstream import Downstream

MOST_PROBED = 3000  # training rows


class Told(NamedTuple):
    """What a fresh probe says of a column.

    facts: for metrics.json.
    tables: for the report.
    rows: one for each item, with id, target and predicted.
    """

    facts: dict[str, Any]
    tables: list[Table]
    rows: list[dict[str, Any]]


def build_adversary(config: Experiment, task: Downstream, train: Iterable[Cut]) -> Adversary | None:
    """The adversary that a configuration asks for, with parameters drawn from the seed. None for none.

    config: of the experiment.
    task: whose vectors it reads.
    train: the training rows, which are checked also where the weight is 0.
    Raises LabelError for rows without the column, or with one value of it alone.
    """
    chosen, rows = config.adversary, list(train)
    if not chosen.field:
        return None
    if lacking := rows_without(rows, chosen.field, "training"):
        raise LabelError(f"{lacking}; fill it in, drop them, or set adversary.field to another column.")
    values = sorted({str(read_field(cut, chosen.field)) for cut in rows})
    if len(values) < 2:
        raise LabelError(
            f"All {len(rows)} training rows have {values[0]!r} in the field {chosen.field!r}, so there is nothing to "
            f"hide; name another column by adversary.field, or leave it out."
        )
    if not chosen.trains:
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed + 2)
        return Adversary(chosen, task.represented_width, values, config.trainer.steps)


def probe_adversary(
    config: Experiment, task: Downstream, batches_of: Callable[[CutSet], Iterable[Batch]], device: torch.device
) -> Told | None:
    """What a fresh probe tells of the column from the head's vectors. None where no column is named.

    config: of the run.
    task: with trained weights, in evaluation.
    batches_of: the batches of rows, from the cache where that has them.
    device: where the task is.
    """
    if not config.adversary.field:
        return None
    rows = config.data.rows("train")
    if len(rows) > MOST_PROBED:
        rows = CutSet.from_cuts(sorted(rows, key=lambda cut: _hash_of(cut.id))[:MOST_PROBED])
    ids: list[str] = []
    labels: list[str] = []
    vectors = []
    with torch.no_grad():
        for batch in batches_of(rows):
            vectors.append(represented(task, batch.to(device)).float().cpu().numpy())
            ids += [cut.id for cut in batch.cuts]
            labels += [str(read_field(cut, config.adversary.field)) for cut in batch.cuts]
    try:
        told = predicted_held_out(ids, labels, np.concatenate(vectors))
    except LabelError as error:
        return Told({"adversary": {"field": config.adversary.field, "remark": str(error)}}, [], [])
    return told_of([{"id": item, "target": target, "predicted": found} for item, target, found in told], config)


def told_of(rows: Sequence[Mapping[str, Any]], config: Experiment) -> Told:
    """Facts and a table of predicted rows, of which some may be of one item, in several folds.

    config: of the run.
    """
    chosen, targets = config.adversary, [row["target"] for row in rows]
    number = {item: place for place, item in enumerate(sorted({str(row["id"]) for row in rows}))}
    clusters = Clusters(np.array([number[str(row["id"])] for row in rows]), "recording")
    accuracy = classification_metrics(targets, [row["predicted"] for row in rows], clusters)["accuracy"]
    values, counts = np.unique(targets, return_counts=True)
    most = float(counts.max() / len(targets))
    facts = {
        "field": chosen.field,
        "weight": chosen.weight,
        "reaches": chosen.reaches,
        "probe_accuracy": accuracy.as_json(),
        "most_frequent": round(most, 4),
        "num_values": len(values),
        "num_items": len(number),
    }
    cells = cells_written("accuracy", accuracy)
    table = Table(
        "Probe of the adversary's column",
        ["column", "weight", "accuracy of a fresh probe (%)", "95 % interval", "values", "items"],
        [[chosen.field, chosen.weight, cells[1], cells[2], len(values), len(number)]],
        f"A logistic regression on the head's vectors of training items, each of which is predicted by one that was "
        f"fitted on other items of the same values ({PARTS} parts). Naming the most frequent value is right for "
        f"{100 * most:.1f} %. Weight 0 is a training without an adversary.",
    )
    return Told({"adversary": facts}, [table], [dict(row) for row in rows])


def _hash_of(item: str) -> str:
    """What sorts items in an order that has nothing to do with their names, and stays."""
    return hashlib.sha256(item.encode()).hexdigest()
