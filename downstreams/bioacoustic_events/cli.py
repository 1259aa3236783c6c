"""`audiossl detect`: when what calls in recordings of any length, by a trained run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

KINDS = ("raven", "audacity", "csv", "jsonl")


def detect(
    run: Annotated[Path, typer.Argument(help="A run of the task bioacoustic_events.")],
    inputs: Annotated[list[str], typer.Argument(help="Sound files, folders, patterns or manifests.")],
    to: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            "--out",
            help="The table of one recording, or a folder for one table each; default: printed.",
            show_default=False,
        ),
    ] = None,
    kind: Annotated[str, typer.Option("--format", help="raven, audacity, csv or jsonl.")] = "raven",
    threshold: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Probability, for all classes; default: that of each, as dev has it.", show_default=False),
    ] = None,
    shortest_s: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Leave out events that are shorter; default: as dev has it.", show_default=False),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...; a GPU where there is one.", show_default=False)] = "",
    overwrite: Annotated[bool, typer.Option(help="Replace tables that are there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")] = False,
) -> None:
    """Find calls in recordings of any length and rate, with onset, offset, class and score."""
    from audiossl.core.errors import ConfigError, did_you_mean
    from audiossl.core.untrusted import json_text, printable
    from audiossl.data.inputs import cuts_of
    from audiossl.downstreams.bioacoustic_events.detecting import detected
    from audiossl.downstreams.bioacoustic_events.task import BioacousticEvents
    from audiossl.downstreams.bioacoustics.places import table_places
    from audiossl.experiments.loading import load_run

    if kind not in KINDS:
        raise ConfigError(f"--format {kind}: there is no such table. {did_you_mean(kind, KINDS)}")
    if threshold is not None and not 0 < threshold < 1:
        raise ConfigError(f"--threshold {threshold:g} must lie between 0 and 1.")
    if shortest_s is not None and not 0 <= shortest_s < float("inf"):
        raise ConfigError(f"--shortest-s {shortest_s:g} must be a number of seconds from 0.")
    task = load_run(run, device=device or None).task
    if not isinstance(task, BioacousticEvents):
        raise ConfigError(f"{run} is a run of {type(task).__name__}; only one of bioacoustic_events detects calls.")
    cuts = list(cuts_of(inputs))
    if to is None and kind in ("raven", "audacity") and len(cuts) > 1:
        raise ConfigError(f"A table of {kind} is of one recording and there are {len(cuts)}; name a folder with --out.")
    asked = {"threshold": threshold, "shortest_s": shortest_s}
    rules = [
        rule._replace(**{name: value for name, value in asked.items() if value is not None}) for rule in task.rules
    ]
    places = [None] * len(cuts) if to is None else table_places(to, cuts, inputs, kind, overwrite)
    summary, header = [], True
    for cut, place in zip(cuts, places, strict=True):
        events = detected(task, cut, rules)
        if place is None:
            sys.stdout.write(printable_lines(_text(cut, events, kind), header=header))
            header = kind != "csv"
            continue
        _write(place, cut, events, kind)
        summary.append({"recording": cut.id, "events": len(events)})
        if not as_json:
            print(printable(f"{cut.id}: {len(events)} event(s) -> {place}"))
    if as_json and to is not None:
        print(json_text(summary))


def printable_lines(text: str, *, header: bool) -> str:
    """Lines of a table without codes of a terminal, but for tabs. header: whether the first line is among them."""
    from audiossl.core.untrusted import printable

    lines = text.splitlines()[0 if header else 1 :]
    return "".join("\t".join(map(printable, line.split("\t"))) + "\n" for line in lines)


def _text(cut: Any, events: Sequence[Any], kind: str) -> str:
    """The table of one recording."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="audiossl-") as folder:
        place = Path(folder) / "table"
        _write(place, cut, events, kind)
        return place.read_text(encoding="utf-8")


def _write(place: Path, cut: Any, events: Sequence[Any], kind: Any) -> None:
    """Write the table of one recording, whose times count from the beginning of its file.

    place: the table.
    cut: the recording.
    events: in seconds from its start.
    kind: of the table.
    """
    from audiossl.core.files import write_jsonl
    from audiossl.data.annotations import Annotation, write_annotations
    from audiossl.data.reading import path_of

    path, begin_s = path_of(cut) or cut.id, float(cut.start)
    if kind == "jsonl":
        times = [(round(begin_s + event.start_s, 6), round(begin_s + event.end_s, 6)) for event in events]
        write_jsonl(
            place,
            [
                {"path": path, "start_s": start, "end_s": end, "label": event.label, "score": event.score}
                for (start, end), event in zip(times, events, strict=True)
            ],
        )
        return
    rows = [
        Annotation(begin_s + event.start_s, begin_s + event.end_s, event.label, path, score=event.score)
        for event in events
    ]
    write_annotations(place, rows, kind, highest_hz=cut.sampling_rate / 2)
