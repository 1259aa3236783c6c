"""Scores of steps become transcripts, by the best path or a search, and dev chooses the weights of the search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor

from audiossl.core.errors import ConfigError
from audiossl.data.text import TextUnits
from audiossl.downstreams.asr.decoding import Clock, best_path
from audiossl.downstreams.asr.search.beam import BeamSearch, Hypothesis, Weights
from audiossl.downstreams.asr.search.config import DecodingConfig
from audiossl.downstreams.asr.transcripts import transcription
from audiossl.metrics.error_rate import count_edits
from audiossl.training.task import Prediction

LM_WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
WORD_SCORES = (-2.0, -1.0, 0.0, 1.0, 2.0)
_MOST_ITEMS = 500  # of dev, by which weights are chosen
_DIGITS = 4


class Decoder:
    """From scores to predictions.

    units: of the recogniser.
    config: how to decode.
    """

    def __init__(self, units: TextUnits, config: DecodingConfig) -> None:
        self.units, self.config = units, config
        self.weights: Weights | None = None
        if not config.is_tuned:
            self.weights = Weights(config.lm_weight or 0.0, config.word_score or 0.0)
        self._search: BeamSearch | None = None
        self.dev: dict[str, Any] = {}

    def __call__(self, log_probs: Tensor, clock: Clock, facts: Mapping[str, Any]) -> Prediction:
        """The prediction of an item.

        log_probs: (T, C) of its steps.
        clock: when these are.
        facts: id, target, speaker, duration_s.
        """
        if self.config.method == "best_path":
            return transcription(self.units, clock, facts, *best_path(log_probs))
        found = self.search(log_probs)
        path = found[0].classes
        probabilities = log_probs.float().cpu().gather(1, path[:, None])[:, 0].exp()
        row = transcription(self.units, clock, facts, path, probabilities)
        scores = {"acoustic": round(found[0].acoustic, _DIGITS), "language": round(found[0].language, _DIGITS)}
        row = {**row, **scores}
        return row if self.config.nbest == 1 else {**row, "nbest": [_as_json(each) for each in found]}

    def of_emissions(self, row: Prediction) -> Prediction:
        """The prediction of an item by the `log_probs` (T, C) and the `clock` that an evaluation keeps of it."""
        return self(torch.as_tensor(row["log_probs"]), Clock(*row["clock"]), row)

    @property
    def search(self) -> BeamSearch:
        """The search by the weights that are set or chosen. Raises ConfigError where nobody has chosen any."""
        if self.weights is None:
            raise ConfigError(
                "task.decoding.lm_weight and task.decoding.word_score are what dev chooses at `audiossl evaluate` and "
                "`audiossl decode`, whose metrics.json says them; give them."
            )
        if self._search is None:
            self._search = BeamSearch(self.units, self.config, self.weights)
        return self._search

    def tune(self, rows: Sequence[Prediction]) -> None:
        """Choose the weights that are null by the errors on dev. Of equal ones those nearest to 0.

        rows: of dev, with `log_probs` and a `target`.
        Raises ConfigError where dev has no transcript.
        """
        known = [row for row in rows if row["target"]][:_MOST_ITEMS]
        if not known:
            raise ConfigError("dev has no transcript to choose the weights of the search by; set them.")
        config = self.config
        lm_weights = (0.0,) if not config.lm else LM_WEIGHTS if config.lm_weight is None else (config.lm_weight,)
        free = (0.0,) if config.is_free else WORD_SCORES
        scores = free if config.word_score is None else (config.word_score,)
        grid = sorted((Weights(*pair) for pair in product(lm_weights, scores)), key=lambda pair: sum(map(abs, pair)))
        search = BeamSearch(self.units, config, grid[0])
        errors: dict[Weights, int] = {}
        for weights in grid:
            search.weigh(weights)
            errors[weights] = sum(self._errors(search, row) for row in known)
        self.weights = min(grid, key=lambda pair: errors[pair])
        search.weigh(self.weights)
        self._search = search
        self.dev = {"items": len(known), "errors": errors[self.weights], "tried": len(grid)}

    def facts(self) -> dict[str, Any]:
        """How it decodes, for metrics.json: nothing for the best path."""
        if self.config.method == "best_path":
            return {}
        config = self.config
        named = {"lm": config.lm, "lexicon": config.lexicon, "beam": config.beam, "hot_words": list(config.hot_words)}
        weights = self.weights._asdict() if self.weights else {}
        return {"method": "beam", **named, **weights, **({"chosen_on_dev": self.dev} if self.dev else {})}

    def _errors(self, search: BeamSearch, row: Prediction) -> int:
        found = search(torch.as_tensor(row["log_probs"]))[0].text
        return count_edits(row["target"].split(), found.split()).num_errors


def _as_json(found: Hypothesis) -> dict[str, Any]:
    scores = {"score": found.score, "acoustic": found.acoustic, "language": found.language}
    return {"text": found.text, **{name: round(value, _DIGITS) for name, value in scores.items()}}
