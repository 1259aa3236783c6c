"""`audiossl data croissant`: manifests described for catalogues and loaders of data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from audiossl.core.untrusted import printable


def croissant(
    folder: Annotated[Path, typer.Argument(help="Folder of the manifests.")],
    name: Annotated[str, typer.Option(help="Of the data.", show_default="the folder's")] = "",
    description: Annotated[str, typer.Option(help="Of the data.", show_default="what can be counted")] = "",
    licence: Annotated[str, typer.Option(help="A URL or a name. Needed where rows have no column `licence`.")] = "",
    url: Annotated[str, typer.Option(help="The page of the data.")] = "",
    citation: Annotated[str, typer.Option(help="Of their publication, at best as BibTeX.")] = "",
    creator: Annotated[str, typer.Option(help="The name of the person who made them.")] = "",
    published: Annotated[str, typer.Option(help="When they were published, such as 2026-11-27.")] = "",
    version: Annotated[str, typer.Option(help="Of the data, such as 1.0.0.")] = "",
    out: Annotated[Optional[Path], typer.Option(help="The file; default: croissant.json beside the manifests.")] = None,  # noqa: UP045
) -> None:
    """Describe the manifests of a folder as Croissant (JSON-LD), which catalogues and loaders of data sets read."""
    from audiossl.data.croissant import DatasetDescription, write_croissant

    told = DatasetDescription(name, description, licence, url, citation, creator, published, version)
    report = write_croissant(folder, told, out)
    for column in report.left_out:
        typer.echo(f"Left out the column {printable(column)}: it has neither text nor numbers.", err=True)
    if licence and set(report.licences) - {licence}:
        said = ", ".join(map(printable, report.licences))
        typer.echo(f"The rows say {said} of their licence, the file {printable(licence)}, as it was told.", err=True)
    if report.lacking:
        typer.echo(f"Croissant asks for {', '.join(report.lacking)} too, which nobody has said.", err=True)
    typer.echo(f"Rows: {', '.join(f'{printable(split)} {count}' for split, count in report.num_rows.items())}.")
    typer.echo(f"Fields: {', '.join(map(printable, report.fields))}.")
    typer.echo(f"Wrote {report.path}")
