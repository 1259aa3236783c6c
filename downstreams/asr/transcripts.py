"""Transcripts as predictions, and their errors: what of recognition needs no encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from audiossl.core.errors import LabelError
from audiossl.core.types import Metric, Table
from audiossl.data.text import TextUnits
from audiossl.downstreams.asr.decoding import Clock, merge, words_of
from audiossl.downstreams.asr.normalizers import facts_of
from audiossl.downstreams.asr.tables import error_tables
from audiossl.metrics.clusters import clusters_of_rows
from audiossl.metrics.error_rate import Edits, count_edits, error_rates
from audiossl.training.task import Monitor, Prediction


def transcription(
    units: TextUnits, clock: Clock, facts: Mapping[str, Any], classes: Tensor, probabilities: Tensor
) -> Prediction:
    """What a path of classes says about an item.

    units: of the recogniser.
    clock: when its steps are.
    facts: id, target (None if nobody knows what is said), speaker, duration_s.
    classes: (T,) of the steps.
    probabilities: (T,) of those.
    Returns the facts with predicted and words ([word, start_s, end_s, confidence]). With a target also num_units,
    num_errors and its parts, in words (or phones).
    """
    words = words_of(merge(classes, probabilities, len(units)), units, clock)
    found, target = [word.text for word in words], facts["target"]
    edits = None if target is None else count_edits(target.split(), found)
    return {
        "id": facts["id"],
        "target": target,
        "predicted": " ".join(found),
        **({} if edits is None else {"num_errors": edits.num_errors, **edits._asdict()}),
        "words": [word.as_json() for word in words],
        "speaker": facts["speaker"],
        "duration_s": facts["duration_s"],
    }


class TranscriptJudge:
    """Metrics and tables of predictions in the units of a recogniser.

    units: of the recogniser.
    decoding: how it was decoded, for metrics.json.
    normalizer: what predictions have gone through, likewise. '' for none.
    folding: what units have counted as, likewise. None or empty for themselves.
    """

    def __init__(
        self,
        units: TextUnits,
        decoding: Mapping[str, Any] | None = None,
        normalizer: str = "",
        folding: Mapping[str, str] | None = None,
    ) -> None:
        self.units, self.decoding, self.normalizer = units, dict(decoding or {}), normalizer
        self.folding = dict(folding or {})

    @property
    def monitor(self) -> Monitor:
        return Monitor("per" if self.units.are_phones else "wer", "min")

    def counted(self, row: Prediction) -> Prediction:
        """A prediction with what it counts for where runs are compared: the errors of its words, which it has."""
        return row

    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        """wer (or per), its parts as shares of the reference units, and cer, over the items that have a target."""
        known = [row for row in predictions if row["target"] is not None]
        edits = [count_edits(row["target"].split(), row["predicted"].split()) for row in known]
        if not sum(each.num_units for each in edits):
            raise LabelError(f"None of the {len(predictions)} predictions has a target, so there is nothing to score.")
        speakers = clusters_of_rows(known)
        rates = error_rates(edits, speakers)
        parts = {name: rates[name] for name in ("substitutions", "deletions", "insertions")}
        if self.units.are_phones:
            return {"per": rates["rate"], **parts}
        letters = [count_edits(row["target"], row["predicted"]) for row in known]
        return {"wer": rates["rate"], "cer": error_rates(letters, speakers)["rate"], **parts}

    def facts(self, predictions: Sequence[Prediction]) -> dict[str, Any]:
        """Counts over the split: units (words or phones), substitutions, deletions, insertions, and how it was decoded.

        Also how transcripts were normalised before they were compared.
        """
        rows = [Edits(*(row[name] for name in Edits._fields)) for row in predictions if row["target"] is not None]
        counts = {name: sum(getattr(row, name) for row in rows) for name in Edits._fields}
        text = self.units.config
        said: dict[str, Any] = {"case": text.case, "punctuation": text.punctuation, "unicode": "NFC"}
        if self.normalizer:
            said["normalizer"] = facts_of(self.normalizer)
        if self.folding:
            said["folding"] = self.folding
        edits = {"unit": "phone" if self.units.are_phones else "word", **counts}
        return {"edits": edits, "normalization": said, **({"decoding": self.decoding} if self.decoding else {})}

    def tables(self, predictions: Sequence[Prediction]) -> list[Table]:
        return error_tables(predictions, "phone" if self.units.are_phones else "word")

    def figures(self, folder: Path, predictions: Sequence[Prediction]) -> dict[str, Path]:
        return {}

    def write_files(self, folder: Path, predictions: Sequence[Prediction]) -> None:
        """Nothing beside predictions and metrics."""
