"""`audiossl factors`: fit utterance factors of an encoder's layer, and give recordings theirs."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from audiossl.cli.options import (
    AsJson,
    CacheFolder,
    MaxGb,
    StatesFile,
    UpstreamName,
    UpstreamOptions,
    kept_states,
    takes_fields_of,
    upstream_options,
)
from audiossl.features.factors.config import FactorsOptions

app = typer.Typer(no_args_is_help=True)


@app.command()
@takes_fields_of(FactorsOptions)
def fit(
    upstream: UpstreamName,
    manifests: Annotated[list[Path], typer.Argument(help="Manifests of the recordings (.jsonl or .jsonl.gz).")],
    to: Annotated[Path, typer.Option("--out", help="Folder of the factors.")],
    options: FactorsOptions,
    option: UpstreamOptions = None,
    cache: Annotated[bool, typer.Option(help="Keep hidden states, and read what is kept.")] = True,
    folder: CacheFolder = None,
    max_cache_gb: MaxGb = None,
    overwrite: Annotated[bool, typer.Option(help="Replace factors that are there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fit what recordings have of their own beside the units that are said in them. No labels are read."""
    from audiossl.core.config import as_dict
    from audiossl.core.errors import OutputError
    from audiossl.core.outputs import check_out
    from audiossl.features.factors.fitted import is_factors_folder
    from audiossl.features.factors.fitting import fit_factor_analysis

    check_out(to, "folder", [upstream, *manifests, *([options.units] if options.units else [])])
    if is_factors_folder(to) and not overwrite:
        raise OutputError(f"{to} has factors already; choose another --out, or replace them with --overwrite.")
    factors = fit_factor_analysis(
        upstream,
        manifests,
        options,
        upstream_options=upstream_options(option),
        cache=kept_states(cache, folder, max_cache_gb),
        command=shlex.join(["audiossl", *sys.argv[1:]]),
    )
    factors.save(to)
    card = factors.card
    if as_json:
        print(json.dumps(as_dict(card)))
        return
    print(
        f"{card.rank} factors of layer {card.layer} of {factors.units.card.upstream}, {card.clusters} units, from "
        f"{card.num_frames} frames of {card.num_recordings} recordings; log likelihood "
        f"{card.log_likelihoods[0]:.4g} -> {card.log_likelihoods[-1]:.4g} nats a frame -> {to}"
    )


@app.command()
def apply(
    factors: Annotated[Path, typer.Argument(help="What `audiossl factors fit` wrote.")],
    manifest: Annotated[Path, typer.Argument(help="Manifest of the recordings.")],
    to: StatesFile,
    upstream: Annotated[str, typer.Option(help="The encoder, where it lies elsewhere now.")] = "",
    option: UpstreamOptions = None,
    cache: Annotated[bool, typer.Option(help="Keep hidden states, and read what is kept.")] = True,
    folder: CacheFolder = None,
    max_cache_gb: MaxGb = None,
    as_json: AsJson = False,
) -> None:
    """Write one vector for each row, the posterior mean of its factors."""
    from audiossl.data.manifests import read_manifest
    from audiossl.encoders.embedding import check_embedding_out
    from audiossl.features.factors.applying import write_factors
    from audiossl.features.factors.fitted import Factors

    check_embedding_out(to, [manifest, factors])
    fitted, cuts = Factors.load(factors), read_manifest(manifest)
    encoder = fitted.units.load_encoder(upstream, **upstream_options(option))
    kept = kept_states(cache, folder, max_cache_gb)
    count = write_factors(fitted, cuts, to, upstream=encoder, cache=kept)
    told = {"rows": count, "rank": fitted.card.rank, "out": str(to)}
    print(json.dumps(told) if as_json else f"{count} recording(s), {fitted.card.rank} factors each -> {to}")
