"""`audiossl analyse`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from audiossl.analysis.layerwise.config import AnalyseOptions
from audiossl.cli.options import AsJson, CacheFolder, MaxGb, kept_states, takes_fields_of

VIEWS = "layers,mel,speakers"
Views = Annotated[
    str,
    typer.Option(
        "--with",
        help="What layers are compared with, with commas: layers, mel, speakers, column:NAME, calls (the rows' own "
        "supervisions), phones, words or NAME=ALIGNMENT (a CTM file, TextGrids, an annotation table or a tier).",
    ),
]


@takes_fields_of(AnalyseOptions)
def analyse(
    encoders: Annotated[
        list[str], typer.Argument(help="Encoders, or folders of runs; NAME[key=value,...] for options.")
    ],
    data: Annotated[list[Path], typer.Option(help="A manifest of the recordings; again for each further one.")],
    options: AnalyseOptions,
    views: Views = VIEWS,
    to: Annotated[Path, typer.Option("--out", help="Folder for figures, tables and a page.")] = Path("analysis"),
    cache: Annotated[bool, typer.Option(help="Keep what is encoded, and read what is kept.")] = True,
    folder: CacheFolder = None,
    max_gb: MaxGb = None,
    as_json: AsJson = False,
) -> None:
    """Say what each layer shares with other layers, log mel frames, phones, words, speakers: CCA, CKA, RSA, MI."""
    from audiossl.analysis.layerwise.study import study_layers
    from audiossl.analysis.layerwise.writing import markdown, write_study
    from audiossl.report.analysis_page import check_analysis_page, write_analysis_page

    check_analysis_page(to)
    found = study_layers(encoders, data, views, to, options, kept_states(cache, folder, max_gb))
    command = shlex.join(["audiossl", *sys.argv[1:]])
    write_study(found, to, {"command": command, "data": [str(path) for path in data]})
    page = write_analysis_page(found, to, command)
    if as_json:
        print((to / "analysis.json").read_text(encoding="utf-8"))
    else:
        print(f"{markdown(found)}\n\n-> {page}")
