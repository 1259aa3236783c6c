"""`audiossl probe`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from audiossl.analysis.config import ProbeOptions
from audiossl.cli.options import (
    AsJson,
    CacheFolder,
    MaxGb,
    UpstreamName,
    UpstreamOptions,
    takes_fields_of,
    upstream_options,
)


@takes_fields_of(ProbeOptions)
def probe(
    upstream: UpstreamName,
    options: ProbeOptions,
    # As this command took them before `--option` was for all.
    settings: Annotated[Optional[list[str]], typer.Argument(hidden=True, metavar="")] = None,  # noqa: UP045
    data: Annotated[Path, typer.Option(help="Folder with train, dev and test manifests.")] = Path("data"),
    to: Annotated[Path, typer.Option("--out", help="Folder for probes.json, probes.md and probes.png.")] = Path(
        "probe"
    ),
    keep: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Also write the linear probe of the layer that dev chose as a run.", show_default=False),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run that is at --keep.")] = False,
    option: UpstreamOptions = None,
    cache: Annotated[bool, typer.Option(help="Keep what is encoded, and read what is kept.")] = True,
    folder: CacheFolder = None,
    max_gb: MaxGb = None,
    as_json: AsJson = False,
) -> None:
    """Classify from each layer's mean and deviation over time: what does which layer know?"""
    from audiossl.experiments.probe_runs import probe as run_probe
    from audiossl.features.config import CacheConfig

    given = upstream_options([*(settings or []), *(option or [])])
    where = CacheConfig(dir=str(folder or ""), max_gb=max_gb) if cache else None
    facts = run_probe(upstream, data, to, options, upstream_options=given, cache=where, keep=keep, overwrite=overwrite)
    if as_json:
        print(json.dumps(facts))
        return
    print((to / "probes.md").read_text(encoding="utf-8"))
    took = facts["seconds"]
    print(f"Encoding {took['encoding']:.1f} s, probing {took['probing']:.1f} s -> {to}")
    if keep:
        print(f"Run: {keep}, the linear probe of layer {facts['kept']['layer']}")
