"""`audiossl probe`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer


def probe(
    upstream: Annotated[str, typer.Argument(help="A name, or a checkpoint.")],
    options: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(help="Options of the upstream as key=value, for instance weights=random.", show_default=False),
    ] = None,
    data: Annotated[Path, typer.Option(help="Folder with train, dev and test manifests.")] = Path("data"),
    to: Annotated[Path, typer.Option("--out", help="Folder for probes.json, probes.md and probes.png.")] = Path(
        "probe"
    ),
    field: Annotated[str, typer.Option(help="The column with the classes.")] = "label",
    probes: Annotated[str, typer.Option(help="Of linear, knn, svm and mlp, with commas.")] = "linear,knn,svm,mlp",
    layers: Annotated[str, typer.Option(help="all, or numbers with commas.")] = "all",
    metric: Annotated[str, typer.Option(help="uar, accuracy or f1.")] = "uar",
    group: Annotated[str, typer.Option(help="What intervals draw as a whole: recording, speaker, ...")] = "recording",
    seed: Annotated[int, typer.Option(help="Seed of the MLP.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")] = False,
) -> None:
    """Classify from each layer's mean and deviation over time: what does which layer know?"""
    from omegaconf import OmegaConf

    from audiossl.analysis.probing import ProbeOptions, probe_upstream
    from audiossl.core.config import parse_overrides

    of_upstream = OmegaConf.to_container(parse_overrides(options or []))
    chosen = ProbeOptions(field, probes, layers, metric, group, seed)
    facts = probe_upstream(upstream, data, to, chosen, of_upstream)  # type: ignore[arg-type]
    if as_json:
        print(json.dumps(facts))
        return
    print((to / "probes.md").read_text(encoding="utf-8"))
    took = facts["seconds"]
    print(f"Encoding {took['encoding']:.1f} s, probing {took['probing']:.1f} s -> {to}")
