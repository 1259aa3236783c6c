"""What several commands take alike: arguments, options, and commands whose options are the fields of a dataclass."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Optional, get_type_hints

import typer

from audiossl.core.field_docs import field_docs

UpstreamName = Annotated[str, typer.Argument(help="A name, a checkpoint path, or <toolkit>:<file or repository>.")]
UpstreamOptions = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(
        "--option", "-o", help="The encoder's own, as key=value, for instance weights=random.", show_default=False
    ),
]
Precision = Annotated[str, typer.Option(help="fp32 or bf16.")]
CacheFolder = Annotated[Path | None, typer.Option("--dir", help="Folder of the cache; $AUDIOSSL_CACHE/features.")]
MaxGb = Annotated[float | None, typer.Option(help="Most gigabytes in the whole cache.")]
StatesFile = Annotated[
    Path,
    typer.Option("--out", help="A .npz, .csv or .parquet file, a .zarr folder, or a folder for one .npz a recording."),
]
RunPlace = Annotated[
    Path, typer.Argument(help="What `audiossl train` wrote, hf:<owner>/<name>, or another toolkit's hf: or fairseq:.")
]
PredictionsFile = Annotated[
    Path | None,
    typer.Option("--out", help="Also write a .jsonl, .csv, .parquet or (Kaldi) .txt file.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


def upstream_options(pairs: list[str] | None) -> dict[str, Any]:
    """What `--option` says of an encoder. Raises ConfigError."""
    if not pairs:  # OmegaConf takes a fifth of a second
        return {}
    from audiossl.core.config import parse_overrides

    return parse_overrides(pairs, example="weights=random")


def kept_states(kept: bool, folder: Path | None, max_gb: float | None) -> Any:
    """Where hidden states are kept, as `--cache`, `--dir` and `--max-cache-gb` say. None for nowhere."""
    from audiossl.features.config import CacheConfig

    return CacheConfig(dir=str(folder or ""), max_gb=max_gb) if kept else None


def takes_fields_of(schema: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command with an option of the command line for each field of a dataclass, which it gets as `options`.

    The fields give names, types and defaults, and the strings under them the help.
    """

    def changed(command: Callable[..., None]) -> Callable[..., None]:
        hints, docs, fields = get_type_hints(schema), field_docs(schema), dataclasses.fields(schema)
        own = inspect.signature(command, eval_str=True).parameters.values()
        made = [
            inspect.Parameter(
                field.name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=field.default,
                annotation=Annotated[hints[field.name], typer.Option(help=docs[field.name])],
            )
            for field in fields
        ]

        @wraps(command)
        def run(**given: Any) -> None:
            options = schema(**{field.name: given.pop(field.name) for field in fields})
            command(**given, options=options)

        shown = [each for one in own for each in (made if one.name == "options" else [one])]
        run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in shown}
        return run

    return changed
