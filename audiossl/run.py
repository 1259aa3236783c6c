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

from audiossl.checkpoint import fingerprint
from audiossl.config import structured
from audiossl.data.manifests import read_manifest
from audiossl.data.reading import path_of
from audiossl.downstream import Downstream
from audiossl.errors import AudiosslError, CheckpointError
from audiossl.evaluate import metrics_as_json, predict_all, write_json, write_jsonl
from audiossl.experiment import (
    Experiment,
    batches_of,
    build_downstream,
    feed_of,
    parse_settings,
    read_settings,
)
from audiossl.run_folder import form_of, read_facts, restore
from audiossl.sweep import best_member, is_sweep
from audiossl.task import Prediction
from audiossl.types import Metric, Table
from audiossl.upstream import load_upstream


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
        return predict_all(self.task, batches_of(cuts, self.config.data, self.task.upstream), self.device)

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


def load_run(folder: str | Path, checkpoint: str = "", device: str | None = None, overrides: Sequence[str] = ()) -> Run:
    """A trained run for prediction. Raises AudiosslError for a folder that is none.

    checkpoint: best, last or averaged; overrides: changes to its configuration, for instance data.dir=elsewhere. Of a
    cross-validation, the runs of all its folds as one; of a sweep, the member that is best on dev.
    """
    folder = best_member(Path(folder)) if is_sweep(Path(folder)) else Path(folder)
    if not (folder / "config.yaml").is_file():
        raise AudiosslError(f"{folder} is not a run folder (it has no config.yaml); give what `audiossl train` wrote.")
    if (read_settings(folder / "config.yaml").get("folds") or {}).get("by"):
        from audiossl.cross_validation import load_folds

        return load_folds(folder, checkpoint, device, overrides)
    stored = read_facts(folder).get("upstream_fingerprint")
    if stored is None:
        raise AudiosslError(f"{folder} is a pre-training run, which predicts nothing; use it as upstream={folder}.")
    layers = [read_settings(folder / "config.yaml"), parse_settings(overrides)]
    config: Experiment = structured(Experiment, *layers, where=f"{folder / 'config.yaml'}")
    upstream = load_upstream(config.upstream, **config.upstream_options)
    if stored != fingerprint(upstream):
        raise CheckpointError(
            f"The upstream {config.upstream!r} is not the one that {folder} was trained with (its weights or settings "
            f"changed); restore it, or train again."
        )
    task = build_downstream(config, upstream)
    restore(task, folder, checkpoint or config.checkpoint)
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return Run(folder, config, task.to(where).eval(), where, stored)


def _with_audio(predictions: Iterable[Prediction], cuts: Iterable[Cut]) -> list[Prediction]:
    """Rows that are named like an item say where its sound is, for players in the report."""
    places = {
        cut.id: {"path": path, "start_s": round(cut.start, 6), "duration_s": round(cut.duration, 6)}
        for cut in cuts
        if (path := path_of(cut)) is not None
    }
    return [{**row, "audio": places[row["id"]]} if row["id"] in places else row for row in predictions]
