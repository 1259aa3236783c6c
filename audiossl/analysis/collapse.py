"""How much of a class is told from its recordings alone: the probes once more, on what is between the calls."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiossl.analysis.config import ProbeOptions
from audiossl.analysis.functionals import Functionals
from audiossl.analysis.probes import ProbeResult, best_layers, check_labels, run_probes
from audiossl.core.comma_lists import comma_list
from audiossl.core.types import metrics_as_json
from audiossl.data.annotated import located
from audiossl.data.annotations import read_annotations
from audiossl.data.background import Background, background_of
from audiossl.metrics.formatting import interval_written, with_unit, written

if TYPE_CHECKING:
    from lhotse import CutSet

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Collapse:
    """Probes on calls and on background, on the layer that dev chose for each.

    seconds: of a piece of background.
    num_items: pieces of each split.
    left_out: rows without background.
    quietest: rows whose background is the quietest part of a recording without known calls.
    chance: what guessing would give.
    calls, background: results by probe.
    """

    seconds: float
    num_items: dict[str, int]
    left_out: int
    quietest: int
    chance: float
    calls: dict[str, ProbeResult]
    background: dict[str, ProbeResult]

    def as_json(self) -> dict[str, Any]:
        """What probes.json says of it."""
        return {
            "seconds": self.seconds,
            "num_items": self.num_items,
            "left_out": self.left_out,
            "quietest": self.quietest,
            "chance": self.chance,
            "probes": {
                name: {"layer": row.layer, row.setting: row.value, "test": metrics_as_json(row.test)}
                for name, row in self.background.items()
            },
        }

    def markdown(self, metric: str) -> str:
        """A table with a line for each probe."""
        lines = [["probe", f"calls: {with_unit(metric)}", f"background: {with_unit(metric)}"], ["---", "---:", "---:"]]
        for name, row in self.background.items():
            cells = [
                f"{written(metric, each.test[metric].value)} {interval_written(metric, each.test[metric])} (layer "
                f"{each.layer})"
                for each in (self.calls[name], row)
            ]
            lines.append([name, *cells])
        told = f"Chance is {written(metric, self.chance)}. Background: {self.seconds:g} s between calls of each row"
        told += f", {self.left_out} rows have none" if self.left_out else ""
        told += f"; of {self.quietest} rows without known calls the quietest part" if self.quietest else ""
        return "\n".join(["| " + " | ".join(line) + " |" for line in lines] + ["", f"{told}."])


def probe_background(
    cuts: Mapping[str, CutSet],
    encode: Callable[[Mapping[str, CutSet]], dict[str, Functionals]],
    found: Sequence[ProbeResult],
    options: ProbeOptions,
) -> Collapse:
    """Probe what is between the calls.

    cuts: the rows of train, dev and test.
    encode: gives vectors of rows.
    found: the probes of the calls.
    options: of the probes.
    Raises ManifestError where there is no background, LabelError where a class has none in training.
    """
    calls = []
    if options.calls:
        table = Path(options.calls)
        calls = located(read_annotations(table), root=table.parent, table=table)
    made: Background = background_of(cuts, options.background_s, calls)
    splits = encode(made.splits)
    check_labels(splits)
    results = run_probes(splits, comma_list(options.probes), metric=options.metric, seed=options.seed)
    on_calls = best_layers([row for row in found if not row.probe.endswith("+gradients")], options.metric)
    collapse = Collapse(
        options.background_s,
        {split: len(rows) for split, rows in made.splits.items()},
        len(made.left_out),
        made.quietest,
        1 / len(set(splits["test"].labels)),
        on_calls,
        best_layers(results, options.metric),
    )
    _warn(collapse, options)
    return collapse


def _warn(collapse: Collapse, options: ProbeOptions) -> None:
    """Beside the warning about recordings in two splits: classes that are told without a call."""
    for name, row in collapse.background.items():
        figure = row.test[options.metric]
        if figure.low is not None and figure.low > collapse.chance:
            _log.warning(
                "Warning: %s tells %r from the background alone, without a call: %s %s %s (chance %s). So much of its "
                "figure may be the recordings and not the animals.",
                name,
                options.field,
                options.metric,
                written(options.metric, figure.value),
                interval_written(options.metric, figure),
                written(options.metric, collapse.chance),
            )
