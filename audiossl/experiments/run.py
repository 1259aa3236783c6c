"""A trained run: predictions for new recordings, and metrics on a split.

RUN/<split>/predictions.jsonl, metrics.json and pictures, for each split that was evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from lhotse import CutSet
from lhotse.cut import Cut

from audiossl.core.files import write_json, write_jsonl
from audiossl.core.types import Metric, Table, metrics_as_json
from audiossl.data.loader import make_loader
from audiossl.data.manifests import read_manifest
from audiossl.data.reading import path_of
from audiossl.data.stream import StreamPlan
from audiossl.experiments.cached_batches import feed_of
from audiossl.experiments.config import Experiment
from audiossl.experiments.folder import form_of
from audiossl.training.downstream import Downstream
from audiossl.training.prediction import predict_all
from audiossl.training.task import Prediction


@dataclass(frozen=True)
class Run:
    """A trained downstream, ready to predict."""

    folder: Path
    config: Experiment
    task: Downstream
    device: torch.device
    fingerprint: str = ""

    def predict(self, cuts: CutSet, *, check: bool = False, where: str = "the input") -> list[Prediction]:
        """Predictions of all rows, longest first. check: insist on labels that were seen in training."""
        if check:
            self.task.check_cuts(cuts, where)
        return self._predict(cuts, self._encoded)

    def evaluate(self, split: str = "test") -> dict[str, Metric]:
        """Predict a split, write `<split>/predictions.jsonl` and `<split>/metrics.json`, and return the metrics.

        Hidden states are kept in the form that the run was trained with.
        """
        predictions = self.predictions_of(split)
        write_jsonl(self.folder / split / "predictions.jsonl", predictions)
        return rescore(self, split, predictions)

    def predictions_of(self, split: str) -> list[Prediction]:
        """What `evaluate` writes: the rows of a split that are scored, sorted by id."""
        path = self.config.data.path(split)
        cuts = read_manifest(path)
        self.task.check_cuts(cuts, str(path))
        self.task.check_split(cuts, split)
        predicted = self._predict(cuts, self._from_cache)
        predictions = self.task.assemble(sorted(predicted, key=lambda row: row["id"]), split)
        return _with_audio(predictions, cuts)

    def _predict(self, cuts: CutSet, predict_whole: Callable[[CutSet], list[Prediction]]) -> list[Prediction]:
        """Long rows part by part, the others by `predict_whole`."""
        longest_s = self.task.longest_s
        if longest_s is None:
            return predict_whole(cuts)
        rows, whole = [], []
        for cut in cuts:
            if cut.duration > longest_s:
                rows.append(self.task.predict_long(cut))
            else:
                whole.append(cut)
        return rows + (predict_whole(CutSet.from_cuts(whole)) if whole else [])

    def _encoded(self, cuts: CutSet) -> list[Prediction]:
        loader = make_loader(cuts, StreamPlan.of(self.task.upstream, self.config.data))
        return predict_all(self.task, loader, self.device)

    def _from_cache(self, cuts: CutSet) -> list[Prediction]:
        """From hidden states that are kept, where they are."""
        feed = feed_of(self.config, self.task, self.fingerprint, form_of(self.folder), device=self.device)
        batches = feed.evaluate(cuts) if self.fingerprint and self.config.features != "off" else None
        return self._encoded(cuts) if batches is None else predict_all(self.task, batches, self.device)


def rescore(
    run: Run,
    split: str,
    predictions: Sequence[Prediction],
    *,
    tables: Sequence[Table] = (),
    facts: Mapping[str, Any] | None = None,
) -> dict[str, Metric]:
    """Metrics, tables and pictures from predictions alone; tables, facts: more of them, where the caller has any."""
    metrics = run.task.score(predictions)
    config, folder = run.config, run.folder / split
    written = {
        "upstream": config.upstream,
        "interface": config.interface,
        "finetune": config.finetune.mode,
        "downstream": config.downstream,
        "setting": config.setting or "default",
        "split": split,
        "num_items": len(predictions),
        "monitor": run.task.monitor.name,
        "metrics": metrics_as_json(metrics),
        **run.task.facts(predictions),
        **(facts or {}),
        "tables": [table._asdict() for table in [*tables, *run.task.tables(predictions)]],
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(folder / "metrics.json", written)
    run.task.figures(folder, predictions)
    return metrics


def _with_audio(predictions: Iterable[Prediction], cuts: Iterable[Cut]) -> list[Prediction]:
    """Rows that are named like an item say where its sound is, for players in the report."""
    places = {
        cut.id: {"path": path, "start_s": round(cut.start, 6), "duration_s": round(cut.duration, 6)}
        for cut in cuts
        if (path := path_of(cut)) is not None
    }
    return [{**row, "audio": places[row["id"]]} if row["id"] in places else row for row in predictions]
