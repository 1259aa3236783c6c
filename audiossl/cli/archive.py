"""`audiossl index`, `search`, `cluster` and `novelty`: what an archive of recordings sounds like."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from audiossl.analysis.archive.config import ClusterOptions, IndexOptions
from audiossl.cli.options import AsJson, CacheFolder, MaxGb, UpstreamOptions, takes_fields_of, upstream_options
from audiossl.cli.tables import print_left_out

IndexFolder = Annotated[Path, typer.Argument(help="A folder that `audiossl index` wrote.")]
Inputs = Annotated[list[str], typer.Argument(help="Sound files, folders, patterns or manifests.")]


@takes_fields_of(IndexOptions)
def index(
    encoder: Annotated[str, typer.Argument(help="An encoder by name, path or reference, or the folder of a run.")],
    inputs: Inputs,
    to: Annotated[Path, typer.Option("--out", help="Folder of the index.")],
    options: IndexOptions,
    option: UpstreamOptions = None,
    folder: CacheFolder = None,
    max_gb: MaxGb = None,
    skip_bad: Annotated[
        bool, typer.Option(help="Leave out recordings that cannot be read, and name them; all are read twice.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Encode the windows of an archive once, for `audiossl search`, `cluster` and `novelty`."""
    from audiossl.analysis.archive.index import build_index
    from audiossl.core.untrusted import json_text
    from audiossl.data.bad_rows import BadRows

    bad = BadRows(skip=skip_bad)
    made = build_index(encoder, inputs, to, options, upstream_options(option), _cache(folder, max_gb), bad)
    print_left_out(bad.left_out)
    num_files = len({window.file for window in made.windows})
    if as_json:
        print(json_text({"index": str(to), "windows": len(made.windows), "files": num_files}))
    else:
        print(f"{len(made.windows)} window(s) of {num_files} file(s), layer {made.facts.layer} of {encoder} -> {to}")


def search(
    index: IndexFolder,
    query: Annotated[str, typer.Argument(help="A sound file no longer than the windows of the index.")],
    num: Annotated[int, typer.Option(help="How many windows, of which no two share sound.")] = 10,
    start_s: Annotated[float, typer.Option(help="Where in the file the query begins.")] = 0.0,
    end_s: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Where it ends; default: with the file.", show_default=False),
    ] = None,
    folder: CacheFolder = None,
    max_gb: MaxGb = None,
    as_json: AsJson = False,
) -> None:
    """Find the windows of an archive that sound most like a recording."""
    from audiossl.analysis.archive.index import open_index
    from audiossl.analysis.archive.search import search_index

    opened, cache = open_index(index), _cache(folder, max_gb)
    found = search_index(opened, query, count=num, start_s=start_s, end_s=end_s, cache=cache)
    _show([match._asdict() for match in found], ("file", "start_s", "end_s", "score", "label"), as_json)


def novelty(
    index: Annotated[Path, typer.Argument(help="An index of the training set, made by `audiossl index`.")],
    inputs: Inputs,
    neighbours: Annotated[int, typer.Option(help="Windows of the index to which distances are taken.")] = 5,
    folder: CacheFolder = None,
    max_gb: MaxGb = None,
    as_json: AsJson = False,
) -> None:
    """Say how unlike the windows of an index new recordings are, the most novel first.

    share_farther is the share of the index's windows that are farther from the other recordings of the index.
    """
    from audiossl.analysis.archive.index import open_index
    from audiossl.analysis.archive.search import novelty_of

    found = novelty_of(open_index(index), inputs, neighbours=neighbours, cache=_cache(folder, max_gb))
    rows = [each._asdict() for each in sorted(found, key=lambda each: (-each.distance, each.id))]
    _show(rows, ("id", "start_s", "end_s", "distance", "share_farther"), as_json)


@takes_fields_of(ClusterOptions)
def cluster(
    index: IndexFolder,
    options: ClusterOptions,
    to: Annotated[Path, typer.Option("--out", help="Folder of the page.")] = Path("clusters"),
    as_json: AsJson = False,
) -> None:
    """Cluster the windows of an archive and write a page to listen to the clusters."""
    from audiossl.analysis.archive.clustering import cluster_index
    from audiossl.analysis.archive.index import open_index
    from audiossl.report.cluster_page import check_cluster_page, clusters_as_json, write_cluster_page

    opened = open_index(index)
    check_cluster_page(to)
    found = cluster_index(opened, options)
    page = write_cluster_page(opened, found, options, to)
    rows = clusters_as_json(opened, found)["clusters"]
    shown = [{**row, "labels": ", ".join(f"{name} {count}" for name, count in row["labels"].items())} for row in rows]
    _show(rows if as_json else shown, ("number", "num_windows", "num_recordings", "labels"), as_json)
    if not as_json:
        print(f"Page: {page}")


def _cache(folder: Path | None, max_gb: float | None) -> Any:
    from audiossl.features.config import CacheConfig

    return CacheConfig(dir=str(folder or ""), max_gb=max_gb)


def _show(rows: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    from audiossl.cli.tables import add_row, console, new_table
    from audiossl.core.untrusted import json_text

    if as_json:
        print(json_text(rows))
        return
    made = new_table(*columns, box=None, pad_edge=False)
    for row in rows:
        add_row(made, [f"{row[name]:.3f}" if isinstance(row[name], float) else str(row[name]) for name in columns])
    console().print(made)
