"""`audiossl diarize`. Nothing heavy is imported before it runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Optional

import typer


def diarize(
    run: Annotated[Path, typer.Argument(help="What `audiossl train` wrote, of speaker_verification or diarization.")],
    inputs: Annotated[list[str], typer.Argument(help="Sound files, folders, patterns or manifests.")],
    to: Annotated[Optional[Path], typer.Option("--out", help="A file of turns.", show_default=False)] = None,  # noqa: UP045
    kind: Annotated[str, typer.Option("--format", help="rttm, audacity, raven or csv.")] = "rttm",
    speech: Annotated[str, typer.Option(help="A table of when anybody speaks; default: found by level.")] = "",
    num_speakers: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="How many people speak; default: estimated.", show_default=False),
    ] = None,
    min_speakers: Annotated[int, typer.Option(help="Fewest that are estimated.")] = 1,
    max_speakers: Annotated[int, typer.Option(help="Most that are estimated.")] = 20,
    method: Annotated[str, typer.Option(help="spectral or agglomerative.")] = "spectral",
    threshold: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Cosine of one speaker, for agglomerative; default: as calibrated.", show_default=False),
    ] = None,
    context: Annotated[str, typer.Option(help="What is encoded at once: recording or window.")] = "window",
    window_s: Annotated[float, typer.Option(help="Seconds in a window.")] = 1.5,
    hop_s: Annotated[float, typer.Option(help="Seconds from one to the next.")] = 0.75,
    overrides: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option("--set", help="Another setting as key=value, onset=0.3 for instance.", show_default=False),
    ] = None,
    checkpoint: Annotated[str, typer.Option(help="best, last or averaged; default: as configured.")] = "",
    overwrite: Annotated[bool, typer.Option(help="Replace a file that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")] = False,
) -> None:
    """Say who speaks when in recordings of any length, by clusters of the embeddings of a verification run."""
    from audiossl.core.config import parse_overrides, structured
    from audiossl.core.untrusted import json_text, printable
    from audiossl.data.inputs import cuts_of
    from audiossl.downstreams.speaker_verification.diarizing.config import DiarizeOptions
    from audiossl.downstreams.speaker_verification.diarizing.diarize import diarize as find
    from audiossl.experiments.loading import load_run

    given = {
        "speech": speech,
        "num_speakers": num_speakers,
        "min_speakers": min_speakers,
        "max_speakers": max_speakers,
        "method": method,
        "threshold": threshold,
        "context": context,
        "window_s": window_s,
        "hop_s": hop_s,
    }
    options = structured(DiarizeOptions, given, parse_overrides(overrides or [], example="onset=0.3"), where="options")
    cuts = list(cuts_of(inputs))
    if to:
        _check_table(to, cuts, inputs, kind, overwrite)
    loaded = load_run(run, checkpoint)
    found = [find(loaded, cut, options) for cut in cuts]
    if to:
        _write(to, cuts, found, kind)
    if as_json:
        print(json_text([each.as_json() for each in found]))
        return
    for each in found:
        spoken = ", ".join(f"{speaker} {each.speaks_s(speaker):.1f} s" for speaker in each.speakers)
        print(printable(f"{each.recording}: {len(each.speakers)} speaker(s), {len(each.turns)} turns: {spoken}"))
        for turn in [] if to else each.turns:
            print(f"{turn.start_s:10.2f} {turn.end_s:10.2f}  {turn.speaker}")


def _check_table(to: Path, cuts: Sequence[Any], inputs: Sequence[str], kind: str, overwrite: bool) -> None:
    """Refuse, before anything is encoded, a table that could not be written.

    to: the table.
    cuts: the recordings.
    inputs: as the user named them.
    kind: of the table.
    overwrite: whether one that is there may be replaced.
    Raises ConfigError, OutputError.
    """
    from audiossl.core.errors import ConfigError, did_you_mean
    from audiossl.core.outputs import check_new
    from audiossl.data.annotations import KINDS
    from audiossl.data.reading import path_of
    from audiossl.data.turns import rttm_name

    if kind not in KINDS:
        raise ConfigError(f"--format {kind}: there is no such table. {did_you_mean(kind, KINDS)}")
    if kind == "audacity" and len(cuts) > 1:
        raise ConfigError(f"A label track is of one recording, and there are {len(cuts)}; take --format rttm.")
    names = [rttm_name(cut.id) for cut in cuts]
    if kind == "rttm" and (len(set(names)) < len(names) or any(len(name.split()) != 1 for name in names)):
        raise ConfigError("RTTM needs names of recordings that are one word, and no two alike; take --format csv.")
    check_new(to, [*inputs, *(path for cut in cuts if (path := path_of(cut)) is not None)], overwrite=overwrite)


def _write(to: Path, cuts: Sequence[Any], found: Sequence[Any], kind: Any) -> None:
    from audiossl.data.annotations import Annotation, write_annotations
    from audiossl.data.reading import path_of
    from audiossl.data.turns import write_rttm

    to.parent.mkdir(parents=True, exist_ok=True)
    if kind == "rttm":
        write_rttm(to, {each.recording: each.turns for each in found})
        return
    rows = [
        Annotation(turn.start_s, turn.end_s, turn.speaker, path_of(cut) or cut.id)
        for cut, each in zip(cuts, found, strict=True)
        for turn in each.turns
    ]
    write_annotations(to, rows, kind, highest_hz=max(cut.sampling_rate for cut in cuts) / 2)
