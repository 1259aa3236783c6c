"""`audiossl callers`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audiossl.analysis.config import ProbeOptions
from audiossl.cli.options import AsJson, CacheFolder, MaxGb, kept_states, takes_fields_of


@takes_fields_of(ProbeOptions)
def callers(
    encoders: Annotated[
        list[str], typer.Argument(help="Encoders, or folders of runs; NAME[key=value,...] for options.")
    ],
    options: ProbeOptions,
    data: Annotated[Path, typer.Option(help="Folder with train, dev and test manifests.")] = Path("data"),
    to: Annotated[Path, typer.Option("--out", help="Folder for callers.json, callers.md and callers.png.")] = Path(
        "callers"
    ),
    cache: Annotated[bool, typer.Option(help="Keep what is encoded, and read what is kept.")] = True,
    folder: CacheFolder = None,
    max_gb: MaxGb = None,
    as_json: AsJson = False,
) -> None:
    """Detect callers by many encoders without fine-tuning: probes, AUC, EER and distances, one table and one figure."""
    from audiossl.analysis.callers import study_callers

    found = study_callers(encoders, data, to, options, kept_states(cache, folder, max_gb))
    if as_json:
        print((to / "callers.json").read_text(encoding="utf-8"))
    else:
        print(f"{found.table}\n\n-> {to}")
