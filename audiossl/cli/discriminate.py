"""`audiossl discriminate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audiossl.analysis.discrimination.config import DiscriminationOptions
from audiossl.cli.options import AsJson, CacheFolder, MaxGb, kept_states, takes_fields_of


@takes_fields_of(DiscriminationOptions)
def discriminate(
    encoders: Annotated[
        list[str], typer.Argument(help="Encoders, or folders of runs; NAME[key=value,...] for options.")
    ],
    data: Annotated[list[Path], typer.Option(help="A manifest of the recordings; may be repeated.")],
    options: DiscriminationOptions,
    to: Annotated[Path, typer.Option("--out", help="Folder for discrimination.json, .md and .png.")] = Path(
        "discrimination"
    ),
    cache: Annotated[bool, typer.Option(help="Keep hidden states, and read what is kept.")] = True,
    folder: CacheFolder = None,
    max_gb: MaxGb = None,
    as_json: AsJson = False,
) -> None:
    """Tell same words from different ones, and ABX, layer by layer, without training."""
    from audiossl.analysis.discrimination.study import study_discrimination
    from audiossl.analysis.discrimination.writing import STEM, write_study

    study = study_discrimination(encoders, data, to, options, kept_states(cache, folder, max_gb))
    table = write_study(study, to, options)
    if as_json:
        print((to / f"{STEM}.json").read_text(encoding="utf-8"))
    else:
        print(f"{table}\n\n-> {to}")
