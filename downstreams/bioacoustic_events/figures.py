"""Detections over a spectrogram: what was annotated, and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audiossl.core.errors import AudioError
from audiossl.core.pictures import save_figure
from audiossl.data.reading import audio_facts, read_audio
from audiossl.metrics.sound_events import SoundEvent
from audiossl.training.task import Prediction

_MOST_PICTURES = 3
_MOST_S = 20.0  # of a recording that are drawn
_RANGE_DB = 70.0  # below the loudest bin
_WINDOW_S = 0.016


def draw_detections(rows: Sequence[Prediction], labels: Sequence[str], folder: Path) -> dict[str, Path]:
    """A PNG for each of the recordings with the most, the middle and the fewest errors for each event.

    rows: predictions with counts and the place of their sound.
    labels: the C classes.
    folder: where files go.
    Returns the files by title. A recording whose sound cannot be read any more has no picture.
    """
    able = [row for row in rows if row.get("audio") and (row["target"] or row["predicted"])]
    ranked = sorted(able, key=lambda row: (-row["num_errors"] / max(row["num_units"], 1), row["id"]))
    places = sorted({0, len(ranked) // 2, len(ranked) - 1})[:_MOST_PICTURES] if ranked else []
    drawn = {}
    for number, place in enumerate(places, start=1):
        row, path = ranked[place], folder / f"detections_{number}.png"
        try:
            draw_detection(row, labels, path)
        except AudioError:
            continue
        drawn[f"Events of {row['id']} ({row['num_errors']} errors, {row['num_units']} events)"] = path
    return drawn


def draw_detection(row: Prediction, labels: Sequence[str], path: Path) -> None:
    """Write a PNG: a spectrogram, above it true events, below it those that were found. Each class has a line.

    Of a long recording the part with the most true events is shown.

    row: a prediction with the place of its sound.
    labels: the C classes, of which those that occur are shown.
    path: the file.
    Raises AudioError for sound that cannot be read.
    """
    from matplotlib.figure import Figure

    begin_s = busiest(row["target"] or row["predicted"], row["duration_s"])
    lasts_s = min(row["duration_s"] - begin_s, _MOST_S)
    place, rate = row["audio"], audio_facts(row["audio"]["path"]).sample_rate_hz
    wav = read_audio(place["path"], start_s=place["start_s"] + begin_s, duration_s=lasts_s, sample_rate_hz=rate)
    tables = [_within(row[name] or [], begin_s, begin_s + lasts_s) for name in ("target", "predicted")]
    shown = [label for label in labels if any(label == event[2] for table in tables for event in table)]
    height = 0.35 + 0.22 * max(len(shown), 1)
    figure = Figure(figsize=(min(7 + lasts_s / 2.5, 15), 2.4 + 2 * height), layout="constrained")
    heights = (height, 2.4, height)
    panels: Any = figure.subplots(3, 1, sharex=True, gridspec_kw={"height_ratios": heights})
    for axes, table, what in zip(panels[::2], tables, ("true", "found"), strict=True):
        _bars(axes, table, shown, labels)
        axes.set_ylabel(what, fontsize=8)
    levels, step_s = _levels_db(wav, rate)
    extent = (begin_s, begin_s + levels.shape[1] * step_s, 0.0, rate / 2000)
    peak = levels.max()
    panels[1].imshow(
        levels, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=peak - _RANGE_DB, vmax=peak
    )
    panels[1].set_ylabel("kHz", fontsize=8)
    panels[2].set_xlim(begin_s, begin_s + lasts_s)
    panels[2].set_xlabel("seconds")
    panels[0].set_title(f"{row['id']}: annotated above, found below", fontsize=9, loc="left")
    save_figure(figure, path, dpi=110)


def busiest(events: Sequence[Sequence[Any]], duration_s: float) -> float:
    """Where the part of a recording begins that is shown: half a second before an event, with the most events in it."""
    if duration_s <= _MOST_S or not events:
        return 0.0
    starts = np.sort([float(event[0]) for event in events])
    counts = np.searchsorted(starts, starts + _MOST_S) - np.arange(len(starts))
    return float(min(max(starts[int(counts.argmax())] - 0.5, 0.0), duration_s - _MOST_S))


def _within(events: Sequence[Sequence[Any]], begin_s: float, end_s: float) -> list[SoundEvent]:
    kept = [(max(e[0], begin_s), min(e[1], end_s), str(e[2])) for e in events]
    return [event for event in kept if event[1] > event[0]]


def _bars(axes: Any, events: Sequence[SoundEvent], shown: Sequence[str], labels: Sequence[str]) -> None:
    for place, label in enumerate(shown):
        spans = [(start, end - start) for start, end, name in events if name == label]
        axes.broken_barh(spans, (len(shown) - place - 0.9, 0.8), color=f"C{list(labels).index(label) % 10}")
    axes.set_yticks([len(shown) - place - 0.5 for place in range(len(shown))], shown, fontsize=7)
    axes.set_ylim(0, max(len(shown), 1))


def _levels_db(wav: np.ndarray, rate: int) -> tuple[np.ndarray, float]:
    """(bins, frames) in dB, and seconds from one frame to the next."""
    size = max(2 * round(_WINDOW_S * rate / 2), 16)
    hop = max(size // 2, len(wav) // 3000)
    padded = np.pad(wav, (0, max(size - len(wav), 0)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop] * np.hanning(size)
    levels: np.ndarray = 10 * np.log10(np.abs(np.fft.rfft(frames)).T ** 2 + 1e-10)
    return levels, hop / rate
