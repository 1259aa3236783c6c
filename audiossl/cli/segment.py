"""`audiossl segment`: boundaries of words or syllables without training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from audiossl.analysis.boundaries.config import BoundaryOptions
from audiossl.cli.options import AsJson, CacheFolder, MaxGb, kept_states, takes_fields_of

app = typer.Typer(no_args_is_help=True)


@app.command()
@takes_fields_of(BoundaryOptions)
def fit(
    encoders: Annotated[
        list[str], typer.Argument(help="Encoders, or folders of runs; NAME[key=value,...] for options.")
    ],
    dev: Annotated[Path, typer.Option(help="The manifest on which layers and parameters are chosen.")],
    test: Annotated[Path, typer.Option(help="The manifest that is tested.")],
    options: BoundaryOptions,
    to: Annotated[Path, typer.Option("--out", help="Folder for boundaries.json, .md, .png and segmenter.json.")] = Path(
        "boundaries"
    ),
    cache: Annotated[bool, typer.Option(help="Keep hidden states, and read what is kept.")] = True,
    folder: CacheFolder = None,
    max_gb: MaxGb = None,
    as_json: AsJson = False,
) -> None:
    """Find boundaries by several methods and encoders without training, choose on dev, and say what they are worth."""
    from audiossl.analysis.boundaries.study import study_boundaries
    from audiossl.analysis.boundaries.writing import STEM, write_boundaries

    study = study_boundaries(encoders, dev, test, to, options, kept_states(cache, folder, max_gb))
    table = write_boundaries(study, to, options)
    print((to / f"{STEM}.json").read_text(encoding="utf-8") if as_json else f"{table}\n\n-> {to}")


@app.command()
def apply(
    fitted: Annotated[Path, typer.Argument(help="What `audiossl segment fit` wrote.")],
    inputs: Annotated[list[str], typer.Argument(help="Sound files, folders, patterns or manifests.")],
    to: Annotated[Path, typer.Option("--out", help="Folder for one file a recording.")] = Path("."),
    form: Annotated[str, typer.Option("--format", help="textgrid or ctm.")] = "textgrid",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    cache: Annotated[bool, typer.Option(help="Keep hidden states, and read what is kept.")] = True,
    folder: CacheFolder = None,
    max_gb: MaxGb = None,
    as_json: AsJson = False,
) -> None:
    """Write the segments of recordings, numbered, as TextGrid or CTM."""
    from audiossl.analysis.boundaries.applying import Segmenter
    from audiossl.analysis.boundaries.files import write_segments
    from audiossl.core.errors import ConfigError
    from audiossl.data.inputs import cuts_of

    if form not in ("textgrid", "ctm"):
        raise ConfigError(f"--format {form}: choose textgrid or ctm.")
    found = Segmenter.load(fitted).segments(cuts_of(inputs), kept_states(cache, folder, max_gb))
    told = write_segments(found, to, form, inputs, overwrite=overwrite)
    if as_json:
        print(json.dumps(told))
        return
    for path, count in told.items():
        print(f"{path}: {count} segments")
