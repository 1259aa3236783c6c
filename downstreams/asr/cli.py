"""`audiossl align`: when each word of a known text is said. Nothing heavy is imported before it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audiossl.core.errors import AudiosslError, ConfigError


def align(
    run: Annotated[Path, typer.Argument(help="An ASR run that `audiossl train` wrote, or another toolkit's.")],
    recording: Annotated[Path, typer.Argument(help="A sound file.")],
    text: Annotated[str, typer.Argument(help="What is said in it, or a .txt file that says so.")],
    to: Annotated[Path, typer.Option("--out", help="Folder for the TextGrid and CTM files.")] = Path(),
    overwrite: Annotated[bool, typer.Option(help="Replace files that are there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")] = False,
) -> None:
    """Find the times of the words of a text in a recording. Write <recording>.TextGrid and <recording>.ctm."""
    from audiossl.core.outputs import check_new, check_out
    from audiossl.core.untrusted import json_text, printable
    from audiossl.data.inputs import cuts_of
    from audiossl.downstreams.asr.alignment import align_text, write_ctm, write_textgrid
    from audiossl.downstreams.asr.task import Asr
    from audiossl.experiments.loading import load_run

    # What is typed is checked before the run is loaded, which takes seconds.
    said = _read(text)
    cuts = list(cuts_of([str(recording)]))
    if len(cuts) != 1:
        raise ConfigError(f"{recording} holds {len(cuts)} recordings; give one sound file.")
    # Both formats, always: Praat reads the one, scoring tools the other.
    check_out(to, "folder", [recording])
    grid, ctm = to / f"{recording.stem}.TextGrid", to / f"{recording.stem}.ctm"
    for place in (grid, ctm):
        check_new(place, [recording, text], overwrite=overwrite)
    task = load_run(run).task
    if not isinstance(task, Asr):
        raise ConfigError(f"{run} is a run of another task; align needs one of `downstream: asr`.")
    alignment = align_text(task, cuts[0], said)
    write_textgrid(grid, alignment)
    write_ctm(ctm, recording.stem, alignment)
    if as_json:
        tiers = {name: [span.as_json() for span in spans] for name, spans in alignment.tiers.items()}
        print(json_text({"textgrid": str(grid), "ctm": str(ctm), **tiers}))
        return
    for span in next(iter(alignment.tiers.values())):
        print(f"{span.start_s:9.3f} {span.end_s:9.3f}  {span.confidence:.3f}  {printable(span.text)}")
    print(f"{grid}, {ctm}")


def _read(text: str) -> str:
    """The text itself, or what the .txt file says that it names."""
    if not text.endswith(".txt"):
        return text
    try:
        return Path(text).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise AudiosslError(f"{text} cannot be read as UTF-8 text; give the text itself, or its file.") from error
