"""`audiossl data`: make manifests, check them and say what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from lhotse import CutSet

app = typer.Typer(no_args_is_help=True, help="Make manifests, check them and say what is in them.")

OutDir = Annotated[Path, typer.Argument(help="Folder to write <split>.jsonl.gz into.")]
Manifests = Annotated[list[Path], typer.Argument(help="Manifest files (.jsonl or .jsonl.gz).")]


@app.command("from-csv")
def from_csv(
    csv: Annotated[Path, typer.Argument(help="Table with a header row; its column `path` is needed.")],
    out_dir: OutDir,
    audio_root: Annotated[Path | None, typer.Option(help="What paths are relative to; the table's folder.")] = None,
    column: Annotated[list[str] | None, typer.Option(help="The table's own name, as in path=filename.")] = None,
) -> None:
    """Make manifests from a CSV table.

    Columns: path, and optionally start, end, duration, sample_rate, speaker, label, transcript, language and split.
    """
    from audiossl.data.manifests import cuts_from_csv
    from audiossl.errors import ConfigError

    for pair in column or []:
        if "=" not in pair:
            raise ConfigError(f"--column {pair!r} has no equals sign; write for instance --column path=filename.")
    columns = dict(pair.split("=", 1) for pair in column or [])
    _write(cuts_from_csv(csv, audio_root=audio_root, columns=columns), out_dir)


@app.command("from-folder")
def from_folder(
    folder: Annotated[Path, typer.Argument(help="Folder with sound files at any depth.")],
    out_dir: OutDir,
    dev: Annotated[float | None, typer.Option(help="Share of each label for dev, for instance 0.1.")] = None,
    test: Annotated[float | None, typer.Option(help="Share of each label for test.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the drawn splits.")] = 0,
    labels: Annotated[bool, typer.Option(help="Take the name of a file's folder for its label.")] = True,
) -> None:
    """Make manifests from a folder; subfolders named train, dev and test become the splits."""
    from audiossl.data.manifests import cuts_from_folder

    split = None if dev is None and test is None else (dev or 0.0, test or 0.0)
    _write(cuts_from_folder(folder, labels_from_parent=labels, split=split, seed=seed), out_dir)


@app.command("from-kaldi")
def from_kaldi(
    folder: Annotated[Path, typer.Argument(help="Kaldi data folder (wav.scp, ...), or a folder of them.")],
    out_dir: OutDir,
) -> None:
    """Make manifests from Kaldi data folders."""
    from audiossl.data.manifests import cuts_from_kaldi

    _write(cuts_from_kaldi(folder), out_dir)


@app.command()
def validate(
    manifests: Manifests,
    read_audio: Annotated[bool, typer.Option(help="Read every sample, not only the headers.")] = True,
) -> None:
    """Find everything that is wrong in manifests and their sound files; exit code 1 if anything is."""
    from rich.console import Console

    from audiossl.data.manifests import read_manifest
    from audiossl.data.manifests import validate as find_problems

    console = Console(highlight=False)
    num_problems = 0
    for path in manifests:
        cuts = read_manifest(path)
        problems = find_problems(cuts, read_audio=read_audio)
        num_problems += len(problems)
        for problem in problems:
            console.print(f"{path}: {problem.id}: {problem.message}", markup=False, soft_wrap=True)
        console.print(f"{path}: {len(cuts)} rows, {len(problems)} problems", markup=False, soft_wrap=True)
    if num_problems:
        raise typer.Exit(1)


@app.command()
def stats(
    manifests: Manifests, json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False
) -> None:
    """Say how much sound, of what length, rate, label and speaker, manifests hold, and what they share."""
    from audiossl.data.manifests import read_manifest
    from audiossl.data.manifests import stats as count

    names = [path.name.removesuffix(".gz").removesuffix(".jsonl") for path in manifests]
    unique = len(set(names)) == len(names)
    keys = names if unique else [str(path) for path in manifests]
    counted = count({key: read_manifest(path) for key, path in zip(keys, manifests, strict=True)})
    if json:
        from json import dumps

        typer.echo(dumps(counted, indent=2, ensure_ascii=False))
    else:
        _print_stats(counted)


def _write(splits: Mapping[str, CutSet], out_dir: Path) -> None:
    from audiossl.data.manifests import stats as count
    from audiossl.data.manifests import write_manifests

    paths = write_manifests(splits, out_dir)
    _print_stats(count(splits))
    for path in paths.values():
        typer.echo(f"Wrote {path}")


def _print_stats(counted: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("split", "rows", "files", "hours", "min s", "median s", "max s", "Hz", "labels", "speakers")
    for split, tally in counted["splits"].items():
        duration, rates = tally["duration_s"], ", ".join(map(str, tally["sample_rates_hz"]))
        lengths = [f"{duration[name]:.2f}" for name in ("min", "median", "max")]
        counts = [str(tally["num_rows"]), str(tally["num_files"]), f"{tally['hours']:.2f}"]
        table.add_row(split, *counts, *lengths, rates, str(len(tally["labels"])), str(len(tally["speakers"])))
    console = Console(highlight=False)
    console.print(table)
    for what in ("speakers", "files"):
        for pair, shared in counted[f"shared_{what}"].items():
            console.print(f"{pair} share {len(shared)} {what}, for instance {shared[0]}", markup=False, soft_wrap=True)
