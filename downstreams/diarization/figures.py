"""Conversations over time: who speaks, what the head says, and what was decided."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audiossl.core.pictures import save_figure
from audiossl.metrics.diarization import DiarizationErrors
from audiossl.training.task import Prediction

_MOST_RECORDINGS = 3
_MOST_S = 120.0  # of a recording that are drawn


def draw_conversations(
    rows: Sequence[tuple[Prediction, DiarizationErrors]], threshold: float, folder: Path
) -> dict[str, Path]:
    """A PNG for the recordings with the highest, the middle and the lowest error rate.

    rows: predictions with their errors.
    threshold: of the decisions.
    folder: where files go.
    Returns the files by title.
    """
    ranked = sorted(rows, key=lambda pair: (-pair[1].rate, pair[0]["id"]))
    places = sorted({0, len(ranked) // 2, len(ranked) - 1})[:_MOST_RECORDINGS] if ranked else []
    drawn = {}
    for number, place in enumerate(places, start=1):
        row, errors = ranked[place]
        path = folder / f"conversation_{number}.png"
        draw_conversation(row, errors, threshold, path)
        drawn[f"Who speaks in {row['id']} (DER {100 * errors.rate:.1f} %)"] = path
    return drawn


def draw_conversation(row: Prediction, errors: DiarizationErrors, threshold: float, path: Path) -> None:
    """Write a PNG: true turns, the probabilities of the outputs, and the decided turns in the colours of the true ones.

    row: a prediction with a target.
    errors: of it, which say which output is whom.
    threshold: drawn as a dashed line.
    path: the file.
    """
    from matplotlib.figure import Figure

    lasts_s = min(row["duration_s"], _MOST_S)
    speakers = sorted({speaker for *_, speaker in row["target"]})
    outputs = [f"speaker_{1 + place}" for place in range(len(row["probabilities"]))]
    unknown = [name for name in outputs if name not in errors.mapping]
    colours = {name: f"C{place}" for place, name in enumerate([*speakers, *unknown])}
    mine = {name: colours[errors.mapping.get(name, name)] for name in outputs}
    figure = Figure(figsize=(min(6 + lasts_s / 15, 14), 3.4), layout="constrained")
    panels: Any = figure.subplots(3, 1, sharex=True, gridspec_kw={"height_ratios": (1, 2, 1)})
    _bars(panels[0], row["target"], speakers, colours)
    times = row["first_s"] + np.arange(len(row["probabilities"][0])) * row["step_s"]
    shown = times <= lasts_s
    for name, values in zip(outputs, row["probabilities"], strict=True):
        panels[1].plot(times[shown], np.array(values)[shown], color=mine[name], linewidth=0.8)
    panels[1].axhline(threshold, color="grey", linestyle="--", linewidth=0.8)
    panels[1].set_ylim(0, 1)
    _bars(panels[2], row["predicted"], outputs, mine)
    for axes, label in zip(panels, ("truth", "probability", "decided"), strict=True):
        axes.set_ylabel(label, fontsize=8)
    panels[2].set_xlim(0, lasts_s)
    panels[2].set_xlabel("seconds")
    save_figure(figure, path)


def _bars(axes: Any, turns: Sequence[Any], names: Sequence[str], colours: dict[str, str]) -> None:
    for place, name in enumerate(names):
        spans = [(start, end - start) for start, end, speaker in turns if speaker == name]
        axes.broken_barh(spans, (len(names) - place - 0.9, 0.8), color=colours[name])
    axes.set_yticks([len(names) - place - 0.5 for place in range(len(names))], names, fontsize=7)
    axes.set_ylim(0, max(len(names), 1))
