"""`audiossl embed`, `export` and `convert`: what is done with an encoder alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from audiossl.cli.options import (
    AsJson,
    Precision,
    StatesFile,
    UpstreamName,
    UpstreamOptions,
    takes_fields_of,
    upstream_options,
)
from audiossl.encoders.config import EmbedOptions


@takes_fields_of(EmbedOptions)
def embed(
    upstream: UpstreamName,
    inputs: Annotated[list[str], typer.Argument(help="Sound files, folders, patterns or manifests.")],
    to: StatesFile,
    options: EmbedOptions,
    option: UpstreamOptions = None,
    as_json: AsJson = False,
) -> None:
    """Write the hidden states of recordings: an array (L, T, D) each, or (T, D) for one layer."""
    from audiossl.encoders.embedding import embed_inputs

    made = embed_inputs(upstream, inputs, to, options, upstream_options(option))
    if as_json:
        print(json.dumps(made._asdict()))
    else:
        print(f"{made.num_recordings} recording(s), layers {made.layers} -> {to}")


def export(
    source: Annotated[str, typer.Argument(help="An encoder by name, path or reference, or the folder of a run.")],
    to: Annotated[Path, typer.Option("--out", help="The file to write.")],
    form: Annotated[str, typer.Option("--format", help="onnx or, of an encoder, torch-export.")] = "onnx",
    encoder_only: Annotated[
        bool, typer.Option("--encoder-only", help="Of a run, leave out interface and head.")
    ] = False,
    up_to_layer: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(help="Leave out the layers of an encoder after this one.", show_default=False),
    ] = None,
    precision: Precision = "fp32",
    option: UpstreamOptions = None,
    as_json: AsJson = False,
) -> None:
    """Write an encoder, or a whole run, as a graph that runs without audiossl, checked against the original."""
    from audiossl.core.errors import ConfigError
    from audiossl.encoders.engines.export import export as write
    from audiossl.encoders.loading import load_upstream
    from audiossl.experiments.exporting import export_run, is_exported_whole

    if not encoder_only and is_exported_whole(Path(source)):
        if form != "onnx" or up_to_layer is not None or precision != "fp32" or option:
            raise ConfigError(
                f"{source} is a run, which is exported whole, as onnx; for its encoder alone add --encoder-only."
            )
        made = export_run(Path(source), to)
    else:
        loaded = load_upstream(source, **{"precision": precision, **upstream_options(option)})
        made = write(loaded, to, form, up_to_layer=up_to_layer)
    if as_json:
        print(json.dumps(made))
        return
    also = f" and {', '.join(made['outputs'])} of {made['task']}" if "outputs" in made else ""
    print(
        f"{made['layers']} layer(s){also}, inputs of {made['min_samples']} samples or more -> {to}; they differ from "
        f"eager by at most {made['largest_difference']:.1e} (relative L2)"
    )


def convert(
    source: UpstreamName,
    destination: Annotated[Path, typer.Argument(help="A .safetensors file, or a folder for transformers.")],
    to: Annotated[str, typer.Option(help="audiossl or transformers; default: as the destination says.")] = "",
    option: UpstreamOptions = None,
    as_json: AsJson = False,
) -> None:
    """Write an encoder as a safetensors file of audiossl or as a folder that transformers loads.

    A run with a CTC head that transformers has is written whole, with its vocabulary.
    """
    from audiossl.encoders.conversion import check_place
    from audiossl.encoders.conversion import convert as write
    from audiossl.experiments.published_runs import write_for_transformers

    if check_place(destination, to) == "transformers" and not option:
        why_not = write_for_transformers(source, destination)
        if why_not is None:
            print(
                json.dumps({"out": str(destination), "form": "transformers", "run": source})
                if as_json
                else f"{source}, whole -> {destination}; `audiossl predict hf:{destination}` does the same"
            )
            return
        if why_not:
            print(f"The encoder alone is written: {why_not}.", file=sys.stderr)
    made = write(source, destination, to, **upstream_options(option))
    if as_json:
        print(json.dumps(made))
    else:
        print(
            f"{made['encoder']} ({made['parameters']} parameters) -> {made['out']}; hidden states of the "
            f"{made['form']} form differ by {made['difference']:.1e} (relative L2)"
        )
