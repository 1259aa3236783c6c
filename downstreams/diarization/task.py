"""Who speaks when, by a probability for each frame and speaker (Fujita et al., 2019), as in SUPERB's SD."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from lhotse.cut import Cut
from torch import Tensor

from audiossl.core.errors import LabelError
from audiossl.core.ranges import Count, NonNegative, Range
from audiossl.core.types import Batch, Loss, Metric, Table
from audiossl.data.fields import read_field
from audiossl.data.frame_labels import first_centre_s
from audiossl.data.turns import Turn, check_turns, joined, speakers_at, turns_of
from audiossl.downstreams.diarization.decisions import MEDIANS_S, THRESHOLDS, FrameClock, Rule, best_rule
from audiossl.downstreams.diarization.heads import SpeakerHead
from audiossl.downstreams.diarization.permutation import best_permutations, pairwise_costs
from audiossl.encoders.upstream import Upstream
from audiossl.metrics.clusters import clusters_of_rows
from audiossl.metrics.diarization import DiarizationErrors, Scoring, diarization_errors, diarization_metrics
from audiossl.nn.masking import valid_frames
from audiossl.training.downstream import Downstream
from audiossl.training.interface import Interface
from audiossl.training.task import Monitor, Prediction

_DIGITS = 5  # of probabilities as they are stored


@dataclass(frozen=True)
class FrameDiarizationConfig:
    """Head, decisions and what is scored."""

    num_speakers: Annotated[int, Range(0, 6)] = 0
    """Outputs of the head, the most speakers of a recording. 0 for as many as the training rows have at most."""
    hidden: Count = 512
    """Width of an LSTM in one direction."""
    num_layers: Count = 1
    """How many LSTMs there are, one on the other."""
    bidirectional: bool = False
    """Whether each LSTM also reads from the end."""
    normalize: bool = False
    """Whether each frame goes through layer normalisation first, as spectral features are far from mean 0 and variance
    1."""
    threshold: Annotated[float, Range(above=0, below=1)] | None = None
    """Probability from which on somebody speaks. Null for the one of SUPERB's grid with the lowest error on dev."""
    median_s: NonNegative | None = None
    """Seconds of the median filter over decisions, 0 for none. Null for the one of SUPERB's with the lowest error on
    dev."""
    collar_s: NonNegative = 0.0
    """Seconds on either side of every edge of a true turn that are not scored."""
    skip_overlap: bool = False
    """Whether time in which several speak is not scored."""

    @property
    def scoring(self) -> Scoring:
        return Scoring(self.collar_s, self.skip_overlap)


class FrameDiarization(Downstream):
    """An LSTM with a sigmoid for each speaker, trained under the order of speakers that fits best.

    Each evaluation of dev chooses how probabilities are decided, which is saved with the weights.
    """

    Config = FrameDiarizationConfig
    monitor = Monitor("der", "min")
    group_field = "recording"

    def __init__(self, upstream: Upstream, interface: Interface, config: FrameDiarizationConfig) -> None:
        super().__init__(upstream, interface)
        self.config = config
        self.head = SpeakerHead(
            interface.width,
            config.num_speakers,
            hidden=config.hidden,
            num_layers=config.num_layers,
            bidirectional=config.bidirectional,
            normalize=config.normalize,
        )
        self.clock = FrameClock(first_centre_s(upstream), upstream.stride / upstream.sample_rate_hz)
        self.register_buffer("decision", torch.tensor([THRESHOLDS[0], MEDIANS_S[0]]))

    @classmethod
    def complete(cls, config: FrameDiarizationConfig, cuts: Iterable[Cut]) -> FrameDiarizationConfig:
        """Fill in the number of speakers. Raises LabelError where no training row has two."""
        if config.num_speakers:
            return config
        most = max((len({turn.speaker for turn in check_turns(cut, "training")}) for cut in cuts), default=0)
        if most < 2:
            raise LabelError(
                "No training row has turns of two speakers, so there is nothing to tell apart; mix some with `audiossl "
                "data simulate`, or set task.num_speakers."
            )
        return replace(config, num_speakers=most)

    def check_cuts(self, cuts: Iterable[Cut], where: str) -> None:
        """Raises LabelError for a row without turns, with one after its end, or with more speakers than outputs."""
        most = self.config.num_speakers
        for cut in cuts:
            speakers = {turn.speaker for turn in check_turns(cut, where)}
            if len(speakers) > most:
                raise LabelError(
                    f"Row {cut.id} of {where} has {len(speakers)} speakers and the head {most} outputs; set "
                    f"task.num_speakers={len(speakers)}, or leave the row out."
                )

    def logits(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(B, T, N), and (B,) frames."""
        x, lengths = self.sequence(batch)
        return self.head(x, lengths.to(x.device)).float(), lengths.to(x.device)

    def labels(self, cuts: Sequence[Cut], lengths: Tensor, num_frames: int) -> Tensor:
        """(B, T, N) whether each speaker of a row speaks at the centre of a frame, in the order of their names.

        cuts: B rows.
        lengths: (B,) their frames.
        num_frames: T.
        """
        made = np.zeros((len(cuts), num_frames, self.config.num_speakers), dtype=np.float32)
        for cut, row, count in zip(cuts, made, lengths.tolist(), strict=True):
            turns = turns_of(cut)
            speakers = sorted({turn.speaker for turn in turns})
            times_s = self.clock.first_s + np.arange(count) * self.clock.step_s
            row[:count, : len(speakers)] = speakers_at(turns, speakers, times_s)
        return torch.from_numpy(made)

    def loss(self, batch: Batch) -> Loss:
        """Binary cross entropy under the best order of speakers, a mean over frames and outputs."""
        logits, lengths = self.logits(batch)
        activity = self.labels(batch.cuts, lengths, logits.shape[1]).to(logits.device)
        valid = valid_frames(lengths, logits.shape[1])
        least, _ = best_permutations(pairwise_costs(logits, activity, valid))
        frames = lengths.sum().to(logits)
        return Loss(least.sum() / (frames * self.config.num_speakers), frames)

    def outputs(self, sequence: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """`probabilities` (B, T, N)."""
        return {"probabilities": self.head(sequence, lengths).float().sigmoid()}

    def output_facts(self) -> dict[str, Any]:
        return {**super().output_facts(), **self.clock._asdict(), **self.rule._asdict()}

    @property
    def rule(self) -> Rule:
        """How probabilities are decided. What the user has set goes before what dev chose."""
        threshold, median_s = self.get_buffer("decision").tolist()
        config = self.config
        return Rule(
            round(threshold, 6) if config.threshold is None else config.threshold,
            round(median_s, 6) if config.median_s is None else config.median_s,
        )

    def predict(self, batch: Batch) -> list[Prediction]:
        """An item each: id, target and predicted ([start_s, end_s, speaker]), probabilities (N lists of T).

        Also `first_s` and `step_s`, when frames are, and of an item with a target its errors.
        """
        with torch.no_grad():
            logits, lengths = self.logits(batch)
            probabilities = logits.sigmoid().double().cpu().numpy()
        return [
            self._prediction(cut, row[:count])
            for cut, row, count in zip(batch.cuts, probabilities, lengths.tolist(), strict=True)
        ]

    def assemble(self, predictions: Sequence[Prediction], split: str) -> Sequence[Prediction]:
        """The predictions as they are. On dev the rule is chosen first: its own are therefore not held out."""
        config = self.config
        known = [row for row in predictions if row["target"] is not None]
        if split != "dev" or not known or (config.threshold is not None and config.median_s is not None):
            return predictions
        thresholds = THRESHOLDS if config.threshold is None else (config.threshold,)
        medians_s = MEDIANS_S if config.median_s is None else (config.median_s,)
        chosen = best_rule(lambda rule: self._error_of(known, rule), thresholds, medians_s)
        self.get_buffer("decision").copy_(torch.tensor(chosen))
        return [self._decided(row) for row in predictions]

    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        """der, its parts and jer. Raises LabelError where nobody speaks in any target."""
        known = [row for row in predictions if row["target"] is not None]
        if not any(row["target"] for row in known):
            raise LabelError(f"None of the {len(predictions)} predictions has a target in which somebody speaks.")
        errors = [self._errors(row, row["predicted"]) for row in known]
        return diarization_metrics(errors, clusters_of_rows(known, self.group_field))

    def facts(self, predictions: Sequence[Prediction]) -> dict[str, Any]:
        """What was scored, and how it was decided."""
        return {"scoring": str(self.config.scoring), "decision": self.rule._asdict()}

    def tables(self, predictions: Sequence[Prediction]) -> list[Table]:
        """The error by the overlap that simulated mixtures were to have, and the recordings with the most errors."""
        known = [(row, self._errors(row, row["predicted"])) for row in predictions if row["target"] is not None]
        worst = sorted(known, key=lambda pair: (-pair[1].errors_s, pair[0]["id"]))[:10]
        rows: list[list[Any]] = [
            [row["id"], found.rate, *found[1:4], found.num_speakers, found.num_found] for row, found in worst
        ]
        header = ["recording", "DER", "missed s", "false alarm s", "confusion s", "speakers", "found"]
        made = [Table("Recordings with the most errors", header, rows, str(self.config.scoring))] if rows else []
        return [*self._by_overlap(known), *made]

    def columns(self, prediction: Prediction) -> dict[str, str]:
        turns = prediction["predicted"]
        shown = [f"{start:.2f}-{end:.2f} s {speaker}" for start, end, speaker in turns[:5]]
        more = f" and {len(turns) - 5} more" if len(turns) > 5 else ""
        return {"turns": "; ".join(shown) + more or "-"}

    def figures(self, folder: Path, predictions: Sequence[Prediction]) -> dict[str, Path]:
        from audiossl.downstreams.diarization.figures import draw_conversations

        known = [(row, self._errors(row, row["predicted"])) for row in predictions if row["target"]]
        return draw_conversations(known, self.rule.threshold, folder)

    def _prediction(self, cut: Cut, probabilities: np.ndarray) -> Prediction:
        known = any(said.speaker for said in cut.supervisions)
        target = [list(turn) for turn in joined(turns_of(cut))] if known else None
        return self._decided(
            {
                "id": cut.id,
                "target": target,
                "probabilities": probabilities.T.round(_DIGITS).tolist(),
                **self.clock._asdict(),
                "duration_s": round(float(cut.duration), 6),
                "recording": read_field(cut, "recording") or cut.id,
                "wanted_overlap": read_field(cut, "wanted_overlap"),
            }
        )

    def _by_overlap(self, known: Sequence[tuple[Prediction, DiarizationErrors]]) -> list[Table]:
        """The metrics of each wanted overlap. Nothing where there is one, or none."""
        groups: dict[str, list[DiarizationErrors]] = {}
        for row, errors in known:
            groups.setdefault(row["wanted_overlap"] or "-", []).append(errors)
        spoken = {name: mine for name, mine in groups.items() if sum(each.spoken_s for each in mine)}
        if len(spoken) < 2:
            return []
        made = {name: diarization_metrics(spoken[name]) for name in sorted(spoken)}
        header = ["wanted overlap", *next(iter(made.values()))]
        return [Table("By overlap", header, [[name, *map(str, found.values())] for name, found in made.items()])]

    def _decided(self, row: Prediction) -> Prediction:
        """The row with the turns that the rule makes of its probabilities, and their errors."""
        turns = self._turns(row, self.rule)
        made = {**row, "predicted": [list(turn) for turn in turns], "group": row["recording"]}
        if row["target"] is not None:
            found = self._errors(row, turns)
            made |= {"num_errors": round(found.errors_s, 4), "num_units": round(found.spoken_s, 4)}
        return made

    def _turns(self, row: Prediction, rule: Rule) -> list[Turn]:
        probabilities = np.array(row["probabilities"], dtype=np.float64).T
        return rule.turns(probabilities, FrameClock(row["first_s"], row["step_s"]), row["duration_s"])

    def _errors(self, row: Prediction, found: Sequence[Any]) -> DiarizationErrors:
        target, turns = ([(start, end, speaker) for start, end, speaker in each] for each in (row["target"], found))
        return diarization_errors(target, turns, [(0.0, row["duration_s"])], self.config.scoring)

    def _error_of(self, rows: Sequence[Prediction], rule: Rule) -> float:
        errors = [self._errors(row, self._turns(row, rule)) for row in rows]
        return sum(each.errors_s for each in errors) / max(sum(each.spoken_s for each in errors), 1e-9)
