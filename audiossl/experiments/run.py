"""A trained run: predictions for new recordings, and metrics on a split.

Each split that is evaluated has predictions, metrics and pictures in the run's folder (`SplitFolder`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from lhotse import CutSet
from lhotse.cut import Cut

from audiossl.core.config import as_dict
from audiossl.core.errors import ManifestError, OutputError, TrainingError
from audiossl.core.files import read_jsonl, write_json, write_jsonl
from audiossl.core.outputs import check_out
from audiossl.core.types import Batch, Metric, Table, metrics_as_json
from audiossl.data.inputs import rows_of
from audiossl.data.loader import make_loader
from audiossl.data.reading import path_of
from audiossl.data.stream import StreamPlan
from audiossl.encoders.devices import best_device
from audiossl.encoders.encoder_file import EncoderFile
from audiossl.encoders.kept import load_identified
from audiossl.encoders.loading import require_fingerprint
from audiossl.encoders.naming import named_by
from audiossl.experiments.adversary import probe_adversary, told_of
from audiossl.experiments.building import build_downstream
from audiossl.experiments.cached_batches import FeatureNeeds
from audiossl.experiments.config import Experiment
from audiossl.experiments.embedding_store import EmbeddingStore, EmissionStore, items_named
from audiossl.experiments.folder import RunFolder, checkpoint_prefix, now
from audiossl.experiments.grouping import grouped_by
from audiossl.metrics.clusters import Floats
from audiossl.nn.pooling import MeanPooling
from audiossl.training.downstream import Downstream
from audiossl.training.prediction import predict_all
from audiossl.training.task import Monitor, Prediction


class PredictedVector(NamedTuple):
    """A prediction, and (D,) the mean over time of what the head reads."""

    row: Prediction
    vector: Floats


@dataclass(frozen=True)
class Run:
    """A trained downstream, ready to predict.

    folder: of the run.
    config: its completed configuration.
    task: the head on its encoder, with trained weights.
    device: where it is.
    fingerprint: of the encoder as it was loaded. '' where it is not known, so that nothing is stored.
    checkpoint: the name of its weights. '' where it has none of its own.
    """

    folder: Path
    config: Experiment
    task: Downstream
    device: torch.device
    fingerprint: str = ""
    checkpoint: str = ""

    def predict(self, cuts: Any, *, check: bool = False, where: str = "the input") -> list[Prediction]:
        """Predictions of all rows, longest first.

        cuts: the rows: a cut set, a pandas frame, a `datasets.Dataset`, or paths (see `rows_of`).
        check: insist on labels that were seen in training.
        where: what an error then calls the rows.
        """
        with rows_of(cuts) as rows:
            if check:
                self.task.check_cuts(rows, where)
            return self._predict(rows, self._encoded)

    def evaluate(self, split: str = "test") -> dict[str, Metric]:
        """Predict a split, write `<split>/predictions.jsonl` and `<split>/metrics.json`, and return the metrics.

        Hidden states are kept in the form that the run was trained with.
        """
        run = RunFolder(self.folder)
        check_evaluable(run, split)
        predictions = self.predictions_of(split)
        write_jsonl(run.split(split).predictions, predictions)
        run.add_encoder(encoder_file_of(run, self.config, self.task, self.fingerprint))
        told = probe_adversary(self.config, self.task, self._batches, self.device)
        if told is None:
            return rescore(self, split, predictions)
        write_jsonl(run.split(split).told, told.rows)
        return rescore(self, split, predictions, tables=told.tables, facts=told.facts)

    def score_stored(self, split: str = "test") -> dict[str, Metric]:
        """Score what an earlier evaluation predicted by the configuration of now. Nothing is predicted.

        Raises TrainingError where no evaluation has.
        """
        place = RunFolder(self.folder).split(split)
        check_evaluable(RunFolder(self.folder), split)
        require_stored(place.predictions)
        stored = read_jsonl(place.predictions)
        predictions = list(self.task.revise(stored))
        if predictions != stored:
            write_jsonl(place.predictions, predictions)
        if not (self.config.adversary.field and place.told.is_file()):
            return rescore(self, split, predictions)
        told = told_of(read_jsonl(place.told), self.config)
        return rescore(self, split, predictions, tables=told.tables, facts=told.facts)

    def predictions_of(self, split: str) -> list[Prediction]:
        """What `evaluate` writes: the rows of a split that are scored, sorted by id."""
        path, cuts = self.manifest(split), self.config.data.rows(split)
        self.task.check_cuts(cuts, str(path))
        self.task.check_split(cuts, split)
        self.task.prepare(self.items_of)
        predicted = self._items(cuts, self._store(split, cuts))
        return _with_audio(self.task.assemble(predicted, split), cuts)

    def items_of(self, name: str, parts_s: float | None = None) -> list[Prediction]:
        """The predictions of the items of a split or a manifest, sorted by id, as they are before `assemble`.

        Embeddings that are kept of the same weights and rows are taken as they are.

        name: of the split, or the path of the manifest.
        parts_s: seconds of the consecutive parts that each item is cut into first. None for whole items.
        """
        cuts = items_named(self.config.data, name, parts_s)
        store = self._store(name, cuts, parts_s)
        if store and (kept := store.read()) is not None:
            return kept
        return self._items(cuts, store, parts=parts_s is not None)

    def _items(self, cuts: CutSet, store: EmbeddingStore | None, *, parts: bool = False) -> list[Prediction]:
        """Predictions sorted by id, whose embeddings are kept where there is a store. States of parts are not kept."""
        rows = self._predict(cuts, self._encoded if parts else self._from_cache)
        rows.sort(key=lambda row: str(row["id"]))
        if store:
            store.write(rows)
        return rows

    def _store(self, name: str, cuts: CutSet, parts_s: float | None = None) -> EmbeddingStore | None:
        """Where embeddings or emissions are kept. None where the task keeps none, or the weights have no file."""
        keeps = self.task.keeps_embeddings or self.task.keeps_emissions
        if not (keeps and self.checkpoint):
            return None
        kind = EmissionStore if self.task.keeps_emissions else EmbeddingStore
        return kind(self.folder, RunFolder(self.folder).checkpoint(self.checkpoint), name, cuts, parts_s)

    def manifest(self, split: str) -> Path:
        """Where the rows of a split are.

        Raises ManifestError for a relative path that leads nowhere from here, and says from where it did.
        """
        manifest = self.config.data.path(split)
        if manifest.exists() or manifest.is_absolute():
            return manifest
        made = RunFolder(self.folder).facts.folder
        there = f"; the run was made in {made}, from where it may be found" if made else ""
        raise ManifestError(
            f"There is no {manifest} in the working folder {Path.cwd()}{there}: go to the folder that has it, or give "
            f"data.dir=FOLDER."
        )

    def predict_with_vectors(self, cuts: CutSet) -> dict[str, PredictedVector]:
        """The prediction of each row by its id, with the mean over time of what the head reads. The encoder runs once.

        cuts: rows that are no longer than `longest_s` of the task.
        """
        made: dict[str, PredictedVector] = {}
        pooling = MeanPooling(self.task.interface.width)
        with torch.no_grad():
            for batch in self._batches(cuts):
                here = batch.to(self.device)
                sequence, lengths = self.task.sequence(here)
                vectors = pooling(sequence.float(), lengths).double().cpu().numpy()
                for row, vector in zip(self.task.predict(here), vectors, strict=True):
                    made[str(row["id"])] = PredictedVector(row, vector)
        return made

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
        return predict_all(self.task, lambda: self._sound(cuts), self.device)

    def _from_cache(self, cuts: CutSet) -> list[Prediction]:
        return predict_all(self.task, lambda: self._batches(cuts), self.device)

    def _sound(self, cuts: CutSet) -> Iterable[Batch]:
        return make_loader(cuts, StreamPlan.of(self.task.upstream, self.config.data))

    def _batches(self, cuts: CutSet) -> Iterable[Batch]:
        """From stored hidden states, where the cache has them or may have them."""
        config, form = self.config, RunFolder(self.folder).facts.features
        cache = config.data, config.cache, config.features
        needs = FeatureNeeds(self.task, self.fingerprint, *cache, form, device=self.device)
        batches = needs.evaluation_batches(cuts) if self.fingerprint and config.features != "off" else None
        return self._sound(cuts) if batches is None else batches


def check_evaluable(run: RunFolder, split: str) -> None:
    """Raise OutputError, before anything is predicted, where the evaluation of a split cannot be written into a run."""
    run.refuse_links(split)
    try:
        check_out(run.split(split).path, "folder")
    except OutputError as error:
        raise OutputError(
            f"{run} cannot take what an evaluation writes ({error}) Copy the run to a folder of your own and evaluate "
            f"the copy."
        ) from error


def require_stored(predictions: Path) -> None:
    """Raise TrainingError where no evaluation has written predictions."""
    if not predictions.is_file():
        raise TrainingError(
            f"There is no {predictions}, so nothing is stored to score; evaluate without --stored once."
        )


def rescore(
    run: Run,
    split: str,
    predictions: Sequence[Prediction],
    *,
    tables: Sequence[Table] = (),
    facts: Mapping[str, Any] | None = None,
) -> dict[str, Metric]:
    """Metrics, tables and pictures from predictions alone.

    run: what made the predictions.
    split: what they are of.
    predictions: the rows that are scored.
    tables: more tables, where the caller has any.
    facts: more of what metrics.json says.
    Returns the metrics by name.
    """
    return write_scored(run.folder, run.config, run.task, split, predictions, tables=tables, facts=facts)


class Scores(Protocol):
    """What scores predictions: a task, or what of a task needs no encoder."""

    @property
    def monitor(self) -> Monitor: ...
    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]: ...
    def facts(self, predictions: Sequence[Prediction]) -> dict[str, Any]: ...
    def tables(self, predictions: Sequence[Prediction]) -> list[Table]: ...
    def figures(self, folder: Path, predictions: Sequence[Prediction]) -> dict[str, Path]: ...
    def write_files(self, folder: Path, predictions: Sequence[Prediction]) -> None: ...


def write_scored(
    folder: Path,
    config: Experiment,
    task: Scores,
    split: str,
    predictions: Sequence[Prediction],
    *,
    tables: Sequence[Table] = (),
    facts: Mapping[str, Any] | None = None,
) -> dict[str, Metric]:
    """Write metrics, tables and pictures of predictions into the folder of a run.

    folder: of the run.
    config: of it.
    task: what scores them.
    split: what they are of.
    predictions: the rows that are scored.
    tables: more tables.
    facts: more of what metrics.json says.
    Returns the metrics by name.
    """
    # Nothing below runs the encoder, so that a table that is new can be made of old predictions.
    metrics, grouped = task.score(predictions), grouped_by(config, task, split, predictions)
    place = RunFolder(folder).split(split)
    written = {
        "upstream": config.upstream,
        "interface": config.interface,
        "finetune": config.finetune.mode,
        "downstream": config.downstream,
        "setting": config.setting or "default",
        "split": split,
        "num_items": len(predictions),
        "monitor": task.monitor.name,
        "metrics": metrics_as_json(metrics),
        **task.facts(predictions),
        **(facts or {}),
        **grouped.facts,
        "tables": [table._asdict() for table in [*grouped.tables, *tables, *task.tables(predictions)]],
        "created": now(),
    }
    write_json(place.metrics, written)
    task.figures(place.path, predictions)
    task.write_files(place.path, predictions)
    return metrics


def load_single(folder: Path, checkpoint: str = "", device: str | None = None, overrides: Sequence[str] = ()) -> Run:
    """The run of one head, for prediction.

    folder: what `audiossl train` wrote.
    checkpoint: best, last or averaged. '' for what the run is configured to use.
    device: where it runs. None for a GPU where there is one.
    overrides: changes to its configuration, for instance data.dir=elsewhere.
    Raises CheckpointError where weights are missing or the encoder is another one.
    """
    place = RunFolder(folder)
    config, stored = place.final_config(overrides), place.facts.upstream_fingerprint or ""
    with named_by(folder, paths=True, asked=[pair.partition("=")[2] for pair in overrides]):
        upstream, found = load_identified(config.upstream, config.upstream_options)
    require_fingerprint(found, stored, config.upstream, folder)
    task = build_downstream(config, upstream)
    place.restore(task, checkpoint or config.checkpoint)
    where = torch.device(device) if device else best_device()
    return Run(folder, config, task.to(where).eval(), where, stored, checkpoint or config.checkpoint)


def encoder_file_of(run: RunFolder, config: Experiment, task: Downstream, fingerprint: str) -> EncoderFile:
    """What encoder.json says of the encoder under a head.

    run: the folder.
    config: of the run.
    task: the head on its encoder.
    fingerprint: of the encoder as it was loaded.
    """
    return EncoderFile(
        upstream=config.upstream,
        options=dict(config.upstream_options),
        fingerprint=fingerprint,
        finetune=as_dict(config.finetune),
        up_to_layer=task.interface.up_to_layer,
        depths=list(getattr(task.upstream, "depths", ())),
        weights=run.checkpoint(config.checkpoint).relative_to(run.path).as_posix(),
        prefix=f"{checkpoint_prefix(config.checkpoint)}upstream.",
        whole=task.stores_upstream,
    )


def _with_audio(predictions: Iterable[Prediction], cuts: Iterable[Cut]) -> list[Prediction]:
    """Rows that are named like an item say where its sound is, for players in the report."""
    places = {
        cut.id: {"path": path, "start_s": round(cut.start, 6), "duration_s": round(cut.duration, 6)}
        for cut in cuts
        if (path := path_of(cut)) is not None
    }
    return [{**row, "audio": places[row["id"]]} if row["id"] in places else row for row in predictions]
