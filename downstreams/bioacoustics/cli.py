"""`audiossl annotate`: annotation tables of recordings, by a trained run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer


def annotate(
    run: Annotated[Path, typer.Argument(help="A run of the task bioacoustic_windows.")],
    inputs: Annotated[list[str], typer.Argument(help="Sound files, folders, patterns or manifests.")],
    to: Annotated[Path, typer.Option("--out", help="The table of one recording, or a folder for one table each.")],
    kind: Annotated[str, typer.Option("--format", help="raven, audacity, csv or rttm.")] = "raven",
    threshold: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Least score, of all labels; default: that of each, as dev has it.", show_default=False),
    ] = None,
    shortest_s: Annotated[float, typer.Option(help="Leave out events that are shorter.")] = 0.0,
    overwrite: Annotated[bool, typer.Option(help="Replace tables that are there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")] = False,
) -> None:
    """Find what a run knows in recordings of any length and write it as annotation tables."""
    from audiossl.core.errors import ConfigError, did_you_mean
    from audiossl.core.untrusted import json_text, printable
    from audiossl.data.annotations import KINDS
    from audiossl.data.inputs import cuts_of
    from audiossl.downstreams.bioacoustics.places import table_places
    from audiossl.downstreams.bioacoustics.windows import BioacousticWindows
    from audiossl.experiments.loading import load_run

    if kind not in KINDS:
        raise ConfigError(f"--format {kind}: there is no such table. {did_you_mean(kind, KINDS)}")
    task = load_run(run).task
    if not isinstance(task, BioacousticWindows):
        raise ConfigError(f"{run} is a run of {type(task).__name__}; only one of bioacoustic_windows finds events.")
    if threshold is not None and not 0 < threshold < 1:
        raise ConfigError(f"--threshold {threshold:g} must lie between 0 and 1.")
    if not 0 <= shortest_s < float("inf"):
        raise ConfigError(f"--shortest-s {shortest_s:g} must be a number of seconds from 0.")
    thresholds = task.thresholds if threshold is None else threshold
    cuts = list(cuts_of(inputs))
    places = table_places(to, cuts, inputs, kind, overwrite)
    summary = []
    for cut, place in zip(cuts, places, strict=True):
        summary.append({"recording": cut.id, "events": _annotate(task, cut, place, kind, thresholds, shortest_s)})
        if not as_json:
            print(printable(f"{cut.id}: {summary[-1]['events']} event(s) -> {place}"))
    if as_json:
        print(json_text(summary))


def _annotate(task: Any, cut: Any, place: Path, kind: Any, thresholds: Any, shortest_s: float) -> int:
    """Write the table of one recording. Returns the number of its events.

    task: what finds them.
    cut: the recording.
    place: the table.
    kind: of the table.
    thresholds: score from which on a label is heard, for all labels or for each.
    shortest_s: shorter events are left out.
    """
    import numpy as np

    from audiossl.data.annotations import Annotation, write_annotations
    from audiossl.data.reading import path_of
    from audiossl.downstreams.bioacoustics.events import events_of

    found, path = task.predict_long(cut), path_of(cut) or cut.id
    events = events_of(found["windows"], np.array(found["scores"]), task.config.labels, thresholds, shortest_s)
    rows = [Annotation(event.start_s, event.end_s, event.label, path, score=event.score) for event in events]
    write_annotations(place, rows, kind, highest_hz=cut.sampling_rate / 2)
    return len(rows)
