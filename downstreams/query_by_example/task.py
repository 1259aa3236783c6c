"""Which documents a spoken query is said in, as in SUPERB's QbE: subsequence DTW on a layer. Nothing trains."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from lhotse.cut import Cut

from audiossl.core.errors import ConfigError, LabelError, TrainingError
from audiossl.core.ranges import Count, Finite, Positive, Range
from audiossl.core.types import Batch, Loss, Metric, Table
from audiossl.data.fields import read_field, read_labels
from audiossl.downstreams.query_by_example.choosing import (
    DIGITS,
    NORMALIZATIONS,
    Choice,
    Normalization,
    choose,
    normalized,
)
from audiossl.downstreams.query_by_example.searching import Distance, Measure, Queries, score_document, unit_frames
from audiossl.downstreams.query_by_example.tables import hits_of, layers_table, queries_table
from audiossl.encoders.joined import JoinedUpstream
from audiossl.encoders.upstream import Upstream
from audiossl.metrics.calibration import Calibration
from audiossl.metrics.clusters import clusters_of_rows
from audiossl.metrics.term_detection import Searches, TermCosts, atwv, cnxe, costs_at, mtwv
from audiossl.training.downstream import Downstream
from audiossl.training.interface import Interface
from audiossl.training.task import Monitor, Pass, Prediction

States = dict[int, torch.Tensor]  # by layer (T, D_l)


@dataclass(frozen=True)
class QueryByExampleConfig:
    """Which rows are queries, how frames are compared, and what a detection costs."""

    query_field: str = "query"
    """The column with the term of a query. A row with something in it is a query, any other row is a document."""
    terms_field: str = "terms"
    """The column of a document with the terms that are said in it, as in a|b. Empty for none."""
    distance: Distance = "cosine_exp"
    """Between two frames: 'cosine' is 1 - cos, 'cosine_exp' is exp(1 - cos) - 1."""
    scaled: bool = True
    """Whether the distances of each frame of a query are brought to 0 at the nearest frame of a document and to 1 at
    the farthest."""
    normalization: Normalization | None = None
    """Of the scores of a query over the documents: 'z' for mean 0 and deviation 1, or 'none'. Null for the one with the
    highest MTWV on dev."""
    threshold: Finite | None = None
    """The least score that is a detection. Null for the best one on dev."""
    min_frames: Count = 5
    """Queries of fewer frames are not searched, and are everywhere alike."""
    prior: Annotated[float, Range(above=0, below=1)] = 0.0008
    """Probability that a document has a query, for costs and for cross entropies."""
    miss: Positive = 100.0
    """Cost of a miss."""
    false_alarm: Positive = 1.0
    """Cost of a false alarm."""
    cluster: Literal["term", "speaker"] = "term"
    """What varies as a whole in intervals: queries of one term, or those of one speaker."""

    @property
    def costs(self) -> TermCosts:
        return TermCosts(self.prior, self.miss, self.false_alarm)

    @property
    def measure(self) -> Measure:
        return Measure(self.distance, self.scaled, self.min_frames)


class QueryByExample(Downstream):
    """Subsequence DTW of the frames of a query in those of a document, on the layer with the highest MTWV on dev.

    Of the interface it asks nothing but which layers it may choose from, and their standardisation.
    Each evaluation of dev chooses, which is saved as weights of others are.
    """

    Config = QueryByExampleConfig
    monitor = Monitor("mtwv", "max")
    trains: ClassVar[bool] = False

    def __init__(self, upstream: Upstream, interface: Interface, config: QueryByExampleConfig) -> None:
        super().__init__(upstream, interface)
        if isinstance(upstream, JoinedUpstream):
            raise ConfigError(
                f"{upstream.display_name} are several encoders, and query_by_example compares frames of one layer; "
                f"name one of them."
            )
        if upstream.num_frames(60 * upstream.sample_rate_hz) == 1:
            raise ConfigError(
                f"{upstream.display_name} gives one frame for a whole recording, and a query is sought in frames of a "
                f"document; choose an encoder with frames."
            )
        self.config = config
        self.interface.requires_grad_(False)
        num_layers = len(interface.widths)
        self.register_buffer("chosen", torch.tensor([-1, 0]))  # layer and number of the normalisation
        self.register_buffer("decision", torch.tensor([math.inf, 1.0, 0.0]))  # threshold, calibration
        self.register_buffer("on_dev", torch.full((num_layers, len(NORMALIZATIONS)), math.nan))  # MTWV

    @classmethod
    def complete(cls, config: QueryByExampleConfig, cuts: Iterable[Cut]) -> QueryByExampleConfig:
        return config

    def check_cuts(self, cuts: Iterable[Cut], where: str) -> None:
        """Raises LabelError for a query without a frame."""
        for cut in cuts:
            samples = round(cut.duration * self.upstream.sample_rate_hz)
            if self._term(cut) and self.upstream.num_frames(samples) < 1:
                raise LabelError(
                    f"Query {cut.id} of {where} lasts {cut.duration:g} s, of which {self.upstream.display_name} makes "
                    f"no frame; leave it out."
                )

    def check_split(self, cuts: Iterable[Cut], split: str) -> None:
        """Raises LabelError where a search is nothing that can be scored. Rows of train are statistics alone."""
        if split == "train":
            return
        rows, config = list(cuts), self.config
        queries = {self._term(cut) for cut in rows} - {None}
        documents = [cut for cut in rows if self._term(cut) is None]
        if not queries or not documents:
            lacking, share = ("document", "all") if queries else ("query", "none")
            raise LabelError(
                f"The rows of {split} have no {lacking}, as {share} of the {len(rows)} have something in the column "
                f"{config.query_field!r}; add some, or name another column by task.query_field."
            )
        said = {cut.id: read_labels(cut, config.terms_field) for cut in documents}
        if unknown := [name for name, terms in said.items() if terms is None]:
            raise LabelError(
                f"{len(unknown)} of the {len(documents)} documents of {split} do not say which terms are in them, the "
                f"first is {unknown[0]!r}; add the column {config.terms_field!r}, empty where there is none."
            )
        if not any(0 < sum(term in (terms or ()) for terms in said.values()) < len(said) for term in queries):
            raise LabelError(
                f"No query of {split} is in some of its {len(said)} documents and not in others, so that nothing can "
                f"be found or missed; check the columns {config.query_field!r} and {config.terms_field!r}."
            )

    @property
    def longest_s(self) -> float | None:
        """None: a document is read whole, however long."""
        return None

    @property
    def layers(self) -> tuple[int, ...]:
        """Those that are compared: the one that was chosen, or all that the interface reads."""
        layer = int(self.get_buffer("chosen")[0])
        return self.interface.layers_read if layer < 0 else (layer,)

    @property
    def choice(self) -> Choice | None:
        """What dev decided. What the user has set goes before it. None before that."""
        layer, number = self.get_buffer("chosen").tolist()
        threshold, scale, offset = self.get_buffer("decision").tolist()
        if layer < 0:
            return None
        fixed = self.config.threshold
        normalization = self.config.normalization or NORMALIZATIONS[number]
        return Choice(layer, normalization, threshold if fixed is None else fixed, Calibration(scale, offset))

    def layer_weights(self) -> dict[str, list[float]]:
        """1 for the layer that was chosen."""
        choice = self.choice
        return (
            {} if choice is None else {"layers": [float(n == choice.layer) for n in range(len(self.interface.widths))]}
        )

    def loss(self, batch: Batch) -> Loss:
        """Raises TrainingError."""
        raise TrainingError("Nothing of query_by_example trains, so that it has no loss.")

    def predict(self, batch: Batch) -> list[Prediction]:
        """The queries of a batch in its documents."""
        return self.predict_pass(lambda: [batch])

    @torch.no_grad()
    def predict_pass(self, batches: Pass) -> list[Prediction]:
        """An item for each query: id, term, speaker, group, num_frames, and `scores` by document, higher if likelier.

        `target` lists the documents with the term, or is None where one of them does not say. `predicted` lists those
        in which it is found. Before dev has chosen there is `raw` (L, D) in place of scores, with the `documents`.
        Raises LabelError for rows of which none is a query, or none a document.
        """
        layers, asked = self.layers, list(self._states(batches, queries=True))
        if not asked:
            raise LabelError(
                f"None of the rows is a query; give rows with a term in the column {self.config.query_field!r} beside "
                f"the documents."
            )
        queries = Queries.of([states for _, states in asked], layers)
        found = {
            cut.id: (score_document(queries, states, self.config.measure), read_labels(cut, self.config.terms_field))
            for cut, states in self._states(batches, queries=False)
        }
        if not found:
            raise LabelError(f"All rows are queries; add documents, with nothing in {self.config.query_field!r}.")
        documents = sorted(found)
        raw = np.stack([found[name][0] for name in documents], axis=-1)  # (L, Q, D)
        known = all(found[name][1] is not None for name in documents)
        counts = np.diff(queries.starts).tolist()
        rows: list[Prediction] = []
        for number, (cut, _) in enumerate(asked):
            term = self._term(cut) or ""
            target = [name for name in documents if term in (found[name][1] or ())] if known else None
            facts = {"id": cut.id, "term": term, "speaker": read_field(cut, "speaker"), "num_frames": counts[number]}
            group = facts["speaker"] if self.config.cluster == "speaker" else term
            rows.append({**facts, "group": group, "target": target, "documents": documents, "raw": raw[:, number]})
        choice = self.choice
        return rows if choice is None else self._decided(rows, choice)

    def assemble(self, predictions: Sequence[Prediction], split: str) -> Sequence[Prediction]:
        """Rows that were decided stay. Else, on dev, the layer and the rest are chosen first: they are not held out."""
        if not predictions or "raw" not in predictions[0]:
            return predictions
        if split != "dev":
            raise TrainingError(f"The layer is chosen on dev, and not on {split}; train the run first.")
        raw = np.stack([row["raw"] for row in predictions])  # (Q, L, D)
        scores = {layer: raw[:, place] for place, layer in enumerate(self.interface.layers_read)}
        allowed = NORMALIZATIONS if self.config.normalization is None else (self.config.normalization,)
        choice, values = choose(scores, _present(predictions), allowed, self.config.costs)
        number = NORMALIZATIONS.index(choice.normalization)
        self.get_buffer("chosen").copy_(torch.tensor([choice.layer, number]))
        self.get_buffer("decision").copy_(torch.tensor([choice.threshold, *choice.calibration]))
        for (layer, normalization), value in values.items():
            self.get_buffer("on_dev")[layer, NORMALIZATIONS.index(normalization)] = value
        decided = self.choice
        assert decided is not None
        place = self.interface.layers_read.index(choice.layer)
        return self._decided([{**row, "raw": row["raw"][place : place + 1]} for row in predictions], decided)

    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        """mtwv, atwv at the threshold of dev, cnxe calibrated on dev. Intervals are over terms (or speakers)."""
        searches, rows = searches_of(predictions)
        clusters, costs = clusters_of_rows(rows, self.config.cluster), self.config.costs
        threshold = math.inf if rows[0]["threshold"] is None else rows[0]["threshold"]
        return {
            "mtwv": mtwv(searches, clusters, costs),
            "atwv": atwv(searches, threshold, clusters, costs),
            "cnxe": cnxe(searches, Calibration(*rows[0]["calibration"]), clusters, costs),
        }

    def facts(self, predictions: Sequence[Prediction]) -> dict[str, Any]:
        """What was chosen, and what of how much was searched."""
        searches, rows = searches_of(predictions)
        choice, minimum = self.choice, self.config.min_frames
        made: dict[str, Any] = {
            "num_queries": len(rows),
            "num_documents": searches.scores.shape[1],
            "found_nowhere_or_everywhere": int((~searches.countable).sum()),
            "too_short": sum(row["num_frames"] < minimum for row in rows),
            "beta": self.config.costs.beta,
        }
        if choice is not None:
            made |= {"layer": choice.layer, "normalization": choice.normalization, "threshold": rows[0]["threshold"]}
        return made

    def tables(self, predictions: Sequence[Prediction]) -> list[Table]:
        """MTWV on dev of each layer, and what was found of each term."""
        values = self.get_buffer("on_dev").tolist()
        return [*layers_table(values, NORMALIZATIONS, self.choice), queries_table(predictions, self.config.min_frames)]

    def columns(self, prediction: Prediction) -> dict[str, str]:
        """The term, and the documents in which it was found, the surest first."""
        return {"term": prediction["term"], "found in": hits_of(prediction) or "-"}

    def _term(self, cut: Cut) -> str | None:
        return read_field(cut, self.config.query_field)

    def _states(self, batches: Pass, *, queries: bool) -> Iterable[tuple[Cut, States]]:
        """Frames of the queries, or of the documents, in the order of their batches. Other batches stay unread."""
        for batch in batches():
            wanted = [place for place, cut in enumerate(batch.cuts) if (self._term(cut) is not None) == queries]
            if not wanted:
                continue
            features = self.interface.standardized(self.features(batch))
            for place in wanted:
                count = int(features.lengths[place])
                frames = {layer: unit_frames(features.layers[layer][place, :count]) for layer in self.layers}
                yield batch.cuts[place], frames

    def _decided(self, rows: Sequence[Prediction], choice: Choice) -> list[Prediction]:
        """Rows with scores as they are normalised, what is a detection, and what that costs.

        rows: with `raw` (1, D), of the layer that was chosen.
        """
        scores = normalized(np.stack([row["raw"][0] for row in rows]), choice.normalization)
        threshold = None if math.isinf(choice.threshold) else choice.threshold
        calibration = [float(f"{number:.7g}") for number in choice.calibration]
        made = []
        for row, own in zip(rows, scores, strict=True):
            kept = {key: value for key, value in row.items() if key not in ("raw", "documents")}
            by_document = dict(zip(row["documents"], own.round(DIGITS).tolist(), strict=True))
            found = [name for name, score in by_document.items() if score >= choice.threshold]
            decision = {"predicted": found, "threshold": threshold, "calibration": calibration}
            made.append({**kept, **decision, "scores": by_document})
        if all(row["target"] is not None for row in made):
            self._add_costs(made, choice.threshold)
        return made

    def _add_costs(self, rows: Sequence[Prediction], threshold: float) -> None:
        """What runs are compared by: P_miss + beta P_fa of each query, whose mean is 1 - ATWV."""
        searches, _ = searches_of(rows)
        for row, cost in zip(rows, costs_at(searches, threshold, self.config.costs).tolist(), strict=True):
            counts = not math.isnan(cost)
            row |= {"num_errors": cost if counts else 0.0, "num_units": float(counts), "measure": "1 - atwv"}


def searches_of(rows: Sequence[Prediction]) -> tuple[Searches, Sequence[Prediction]]:
    """Scores and truth of rows that were decided. Raises LabelError for unknown truth, and documents that differ."""
    if not rows or any(row["target"] is None for row in rows):
        raise LabelError("Documents do not say which terms are in them, so there is nothing to score.")
    documents = list(rows[0]["scores"])
    if any(row["scores"].keys() != rows[0]["scores"].keys() for row in rows):
        raise LabelError("Queries were searched in different documents, so that they are not one search.")
    scores = np.array([[row["scores"][name] for name in documents] for row in rows], dtype=np.float64)
    return Searches(scores, _present(rows, documents)), rows


def _present(rows: Sequence[Prediction], documents: Sequence[str] | None = None) -> Any:
    """(Q, D) whether a document has the term of a query."""
    names = rows[0]["documents"] if documents is None else documents
    if any(row["target"] is None for row in rows):
        raise LabelError("Documents do not say which terms are in them, so that no layer can be chosen.")
    targets = [set(row["target"]) for row in rows]
    return np.array([[name in target for name in names] for target in targets], dtype=bool)
