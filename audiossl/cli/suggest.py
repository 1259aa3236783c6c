"""`audiossl suggest`: what to annotate next."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from audiossl.cli.options import AsJson, takes_fields_of
from audiossl.data.config import SuggestOptions


@takes_fields_of(SuggestOptions)
def suggest(
    run: Annotated[Path, typer.Argument(help="A run of a classifier, or of bioacoustic_windows.")],
    inputs: Annotated[list[str], typer.Argument(help="Sound files, folders, patterns or manifests.")],
    to: Annotated[Path, typer.Option("--out", help="The annotation table.")],
    options: SuggestOptions,
    done: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(
            help="A table of an earlier round, whose windows are left out; may be repeated.", show_default=False
        ),
    ] = None,
    kind: Annotated[str, typer.Option("--format", help="csv, raven, audacity or rttm.")] = "csv",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a table that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Choose windows of an archive for the annotator: those a run is unsure of, as unlike each other as can be."""
    from audiossl.core.errors import ConfigError, did_you_mean
    from audiossl.core.outputs import check_new
    from audiossl.core.untrusted import json_text
    from audiossl.data.annotations import KINDS, write_annotations
    from audiossl.experiments.loading import load_run
    from audiossl.experiments.suggesting import suggest as choose

    known = next((each for each in KINDS if each == kind), None)
    if known is None:
        raise ConfigError(f"--format {kind}: there is no such table. {did_you_mean(kind, KINDS)}")
    check_new(to, [*inputs, *(done or [])], overwrite=overwrite)
    loaded = load_run(run)
    rows = choose(loaded, inputs, options, done or [])
    write_annotations(to, rows, known, highest_hz=loaded.task.upstream.sample_rate_hz / 2)
    files = len({row.path for row in rows})
    if as_json:
        print(json_text({"table": str(to), "windows": len(rows), "files": files}))
    else:
        print(f"{len(rows)} window(s) of {files} file(s) to annotate -> {to}")
