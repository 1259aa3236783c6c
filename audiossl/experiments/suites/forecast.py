"""What a plan will cost: seconds of encoding and of training, and room in the cache.

The encoder is tried on noise, and the rows that the cache lacks are counted. How long a head trains is what it took the
last times on this machine (`audiossl.experiments.suites.speeds`). For a task that was never computed here, a step is
reckoned with a plain guess.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from audiossl.data.fields import read_field
from audiossl.data.manifests import read_manifest
from audiossl.encoders.devices import best_device
from audiossl.encoders.kept import Identified
from audiossl.experiments.suites.definition import Size
from audiossl.experiments.suites.extraction import MEASURED, needs_by_rows, sources_of
from audiossl.experiments.suites.plan import Cell, Plan
from audiossl.experiments.suites.recipes import is_prepared, within_budget
from audiossl.experiments.suites.speeds import (
    EncoderSpeed,
    Reading,
    bytes_per_row,
    expected_seconds,
    mean_seconds,
    reading_speed,
    rows_read,
    tried_encoder,
)
from audiossl.features.access import features_folder, gigabytes
from audiossl.features.contract import StateSource, joint_survey
from audiossl.features.store import bytes_below, free_bytes

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut

_START_S = 12.0  # of the command until the first cell, and of its tables at the end
_FOLDS_S = 3.0  # of drawing the folds of a cell, and of the figures of all together


@dataclass(frozen=True)
class HeadCost:
    """What training and evaluating a cell takes, also for other budgets.

    cell: which one.
    num_folds: 1 for none.
    num_rows: recordings of all splits together.
    mean_s: how long one lasts.
    reading: what the heads read of one.
    """

    cell: Cell
    num_folds: int
    num_rows: int
    mean_s: float
    reading: Reading

    def seconds(self, budget: float = 0.0) -> tuple[float, bool]:
        """Of all folds, and whether it is a guess.

        budget: full trainings that the search may cost. 0 for what the cell says.
        """
        config = within_budget(self.cell.config, budget)
        num = rows_read(config, self.num_rows, self.mean_s, self.num_folds)
        seconds, is_guess = expected_seconds(self.cell.task, config, self.reading._replace(num_rows=num))
        return self.num_folds * seconds, is_guess


@dataclass
class Forecast:
    """What computing a plan will take on this machine, one cell after another.

    encode_s: by encoder and corpus, seconds of encoding.
    train_s: by the title of a cell, seconds of training and evaluation.
    heads: of the cells, what they are reckoned from.
    other_s: seconds of all else: starting, loading encoders, drawing folds and uniting them.
    audio_s: seconds of sound that are to be encoded.
    cache_bytes: what the cache will take.
    guessed: titles of cells whose task was never computed here.
    unknown: tasks whose manifests are not there yet, so that their rows are those that the suite says.
    """

    encode_s: dict[tuple[str, str], float] = field(default_factory=dict)
    train_s: dict[str, float] = field(default_factory=dict)
    heads: list[HeadCost] = field(default_factory=list)
    other_s: float = 0.0
    audio_s: float = 0.0
    cache_bytes: int = 0
    guessed: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    @property
    def total_s(self) -> float:
        return sum(self.encode_s.values()) + sum(self.train_s.values()) + self.other_s

    def seconds(self, cell: Cell) -> float:
        """Of training and evaluating a cell. 0 for one that is there."""
        return self.train_s.get(cell.title, 0.0)

    def lines(self, plan: Plan) -> Iterator[str]:
        """The whole in sentences."""
        done = sum(cell.state in ("done", "elsewhere") for cell in plan.cells)
        yield f"{len(plan.cells)} cells, {done} of them there already, {len(plan.to_compute)} to compute."
        encode_s, train_s = sum(self.encode_s.values()), sum(self.train_s.values())
        yield (
            f"About {self.total_s / 60:.1f} minutes one after another: {encode_s / 60:.1f} to encode "
            f"{self.audio_s / 3600:.2f} h of sound once, {train_s / 60:.1f} for the heads, {self.other_s / 60:.1f} for "
            f"all else. The cache will grow by {gigabytes(self.cache_bytes)}."
        )
        if self.guessed:
            yield f"{len(self.guessed)} cells are of tasks that were never computed here: their time is a guess."
        if self.unknown:
            names = ", ".join(dict.fromkeys(self.unknown))
            yield (
                f"Not prepared yet, so that their size is what the suite says, and their share of the cache is not "
                f"counted: {names}."
            )

    def as_json(self, plan: Plan) -> dict[str, Any]:
        """For a program to read."""
        cells = [
            {
                "task": cell.task,
                "upstream": cell.encoder.choice.label,
                "seed": cell.seed,
                "key": cell.key,
                "state": cell.state,
                "why": cell.why,
                "seconds": self.seconds(cell),
            }
            for cell in plan.cells
        ]
        sums = {"encode_s": sum(self.encode_s.values()), "train_s": sum(self.train_s.values())}
        sums |= {"other_s": self.other_s, "audio_s": self.audio_s}
        return {"cells": cells, "left_out": plan.left_out, **sums, "cache_bytes": self.cache_bytes}


def forecast(plan: Plan) -> Forecast:
    """What the cells will cost that are to be computed. Each encoder is loaded and tried for some seconds."""
    found = Forecast()
    groups: dict[str, dict[str, list[Cell]]] = {}
    for cell in plan.to_compute:
        label, corpus = cell.corpus
        groups.setdefault(label, {}).setdefault(corpus, []).append(cell)
    byte_s = reading_speed() if groups else 0.0
    found.other_s += _START_S if groups else 0.0
    for label, corpora in groups.items():
        config = next(iter(corpora.values()))[0].config
        encoder, speed = tried_encoder(config.upstream, config.upstream_options)
        found.other_s += speed.load_s
        for corpus, members in corpora.items():
            told = _Corpus(encoder, speed, byte_s)
            for cell in members:
                told.add(cell, found)
            found.encode_s[label, corpus] = told.encode_s
            found.audio_s, found.cache_bytes = found.audio_s + told.audio_s, found.cache_bytes + told.num_bytes
            found.other_s += told.other_s
    return found


class _Corpus:
    """What an encoder lacks of a corpus, and what the cells cost that read it.

    encoder: which one.
    speed: how fast it is.
    byte_s: seconds that a head takes for a byte of hidden states.
    """

    def __init__(self, encoder: Identified, speed: EncoderSpeed, byte_s: float) -> None:
        self.encoder, self.speed, self.byte_s = encoder, speed, byte_s
        self.audio_s, self.num_rows, self.num_bytes = 0.0, 0, 0
        self._unprepared = Size()  # the largest of cells without manifests
        self._seen: dict[str, set[str | None]] = {}  # recordings by entry of the cache

    @property
    def encode_s(self) -> float:
        """Seconds of encoding what is lacking."""
        return self.speed.seconds(self.num_rows, self.audio_s)

    @property
    def other_s(self) -> float:
        """Seconds until the encoder is there, and of measuring the norms of layers on some recordings."""
        return self.speed.mark_s + self.encode_s * min(MEASURED, self.num_rows) / max(self.num_rows, 1)

    def add(self, cell: Cell, found: Forecast) -> None:
        """Count a cell into a forecast, and here what it needs of the encoder."""
        folds = _num_folds(cell)
        if is_prepared(cell.config):
            head = self._head(cell, folds)
        else:
            found.unknown.append(cell.task)
            size = cell.definition.size
            self._count_unprepared(size)
            mean_s = 3600 * size.hours / max(size.rows, 1)
            head = HeadCost(cell, folds, size.rows, mean_s, Reading(mark_s=self.speed.mark_s))
        found.heads.append(head)
        found.train_s[cell.title], is_guess = head.seconds()
        found.guessed += [cell.title] * is_guess
        if cell.config.folds.by:
            found.other_s += _FOLDS_S + (1 + folds) * self.speed.mark_s

    def _count_unprepared(self, size: Size) -> None:
        """Cells of one corpus read the same recordings, of which the largest one reads the most."""
        if size.hours > self._unprepared.hours:
            self.audio_s += 3600 * (size.hours - self._unprepared.hours)
            self.num_rows += max(0, size.rows - self._unprepared.rows)
            self._unprepared = size

    def _head(self, cell: Cell, folds: int) -> HeadCost:
        """What the heads of a cell read. What the cache lacks of it is counted."""
        ((cuts, found),) = needs_by_rows([cell.config], self.encoder)
        needs = [replace(each, form=each.choose_form([cuts]).form) for each in found]
        with sources_of(needs, cuts, best_device()) as sources:
            surveys = [source.survey(self._unseen(source, cuts)) for source in sources]
        if surveys:
            lacking = joint_survey(surveys)
            self.audio_s, self.num_rows = self.audio_s + lacking.missing_s, self.num_rows + lacking.missing_rows
            self.num_bytes += lacking.missing_bytes
        mean_s = mean_seconds(cell.config)
        encode_s = 0.0
        if not needs or any(each.form == "off" for each in needs):
            # An encoder that trains goes back through what it went forward, which takes twice as long.
            encode_s = self.speed.seconds(1, mean_s) * (1 if cell.config.finetune.mode == "none" else 3)
        reading = Reading(
            row_bytes=fmean([bytes_per_row(each.task, each.form or "off", mean_s) for each in needs] or [0.0]),
            byte_s=self.byte_s,
            encode_s=encode_s,
            mark_s=self.speed.mark_s,
        )
        return HeadCost(cell, folds, len(cuts), mean_s, reading)

    def _unseen(self, source: StateSource, cuts: CutSet) -> Iterator[Cut]:
        """Rows that no other cell has counted for the same entry of the cache."""
        seen = self._seen.setdefault(" ".join(source.keys), set())
        for cut in cuts:
            if (utterance := source.utterances.of(cut)) not in seen:
                seen.add(utterance)
                yield cut


def is_short_of_disk(plan: Plan) -> bool:
    """Whether the cache will not take the hidden states of all encoders at once."""
    if len({cell.encoder.choice.label for cell in plan.to_compute}) < 2:
        return False
    cache = plan.to_compute[0].config.cache
    root = features_folder(cache)
    room = free_bytes(root) // 2 if cache.max_gb is None else cache.max_gb * 1e9 - bytes_below(root)
    # Frames of a base encoder take four gigabytes an hour. Looking closer takes time, where that is not close.
    hours = {cell.corpus: cell.definition.size.hours for cell in plan.to_compute}
    return sum(hours.values()) * 4e9 > room and forecast(plan).cache_bytes > room


def _num_folds(cell: Cell) -> int:
    folds = cell.config.folds
    if not folds.by:
        return 1
    kind, argument = folds.parsed()
    if kind == "k":
        return int(argument)
    if not is_prepared(cell.config):
        return 5
    return max(1, len({read_field(cut, argument) for cut in read_manifest(cell.config.data.path("all"))}))
