"""`audiossl cache` and `audiossl extract`: hidden states that are computed once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from audiossl.cli.options import AsJson, CacheFolder, MaxGb, UpstreamName, UpstreamOptions, upstream_options
from audiossl.cli.tables import add_row, console, new_table
from audiossl.core.untrusted import shown

app = typer.Typer(no_args_is_help=True, help="List, check and remove hidden states that are kept.")

Key = Annotated[str, typer.Argument(help="The beginning of a key of `audiossl cache list`.")]


@app.command("list")
def list_entries(folder: CacheFolder = None, as_json: AsJson = False) -> None:
    """List what is kept, the last used first."""
    from audiossl.features.access import gigabytes
    from audiossl.features.manage import entries_in

    root = _root(folder)
    rows = [entry.as_json() for entry in entries_in(root)]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    # An entry that the installed code would compute otherwise takes room and is never read again.
    names = ("key", "upstream", "form", "layers", "type", "recordings", "size", "last used", "")
    made = new_table(*names, folded=("upstream", "last used", ""), box=None, pad_edge=False)
    for row in rows:
        size = gigabytes(row["num_bytes"])
        facts = [row["key"][:12], row["upstream"], row["form"], str(len(row["layers"])), row["dtype"]]
        remarks = [] if row["usable"] else ["old code"]
        remarks += [f"{row['num_damaged']} unreadable shard(s)"] if row["num_damaged"] else []
        add_row(made, (*facts, row["num_utterances"], size, row["used"], ", ".join(remarks)))
    total = gigabytes(sum(row["num_bytes"] for row in rows))
    console().print(made if rows else shown(f"Nothing is kept in {root}."))
    if rows:
        typer.echo(f"{total} in {root}")


@app.command()
def info(key: Key, folder: CacheFolder = None) -> None:
    """Print all that is known of one entry, as JSON."""
    from audiossl.features.manage import find_entry

    entry = find_entry(_root(folder), key)
    typer.echo(json.dumps({**entry.as_json(), "folder": str(entry.folder), **entry.description}, indent=2))


@app.command()
def prune(
    max_gb: Annotated[float | None, typer.Option(help="Delete the least recently used until so much is left.")] = None,
    older_than_days: Annotated[float | None, typer.Option(help="Delete what was not used for so long.")] = None,
    unused: Annotated[bool, typer.Option(help="Delete what the installed code does not read any more.")] = False,
    folder: CacheFolder = None,
    as_json: AsJson = False,
) -> None:
    """Make room: delete entries that no process has open. Without options, only what was abandoned or damaged."""
    from audiossl.features.access import gigabytes
    from audiossl.features.manage import prune_entries

    gone = prune_entries(_root(folder), max_gb=max_gb, older_than_days=older_than_days, unused=unused)
    if as_json:
        typer.echo(json.dumps([entry.as_json() for entry in gone], indent=2))
        return
    for entry in gone:
        typer.echo(f"Deleted {entry.key[:12]} ({entry.upstream}, {gigabytes(entry.num_bytes)})")
    typer.echo(f"{len(gone)} entries deleted")


@app.command()
def verify(
    key: Annotated[str, typer.Argument(help="One entry; all of them where it is left out.")] = "",
    audio: Annotated[list[Path] | None, typer.Option(help="Also compare the sound of this manifest's rows.")] = None,
    folder: CacheFolder = None,
    as_json: AsJson = False,
) -> None:
    """Read everything that is kept. Damaged parts are put aside, with exit code 1."""
    from audiossl.data.manifests import read_manifest
    from audiossl.features import manage

    root = _root(folder)
    manifests = [read_manifest(path) for path in audio or []]
    entries = [manage.find_entry(root, key)] if key else manage.entries_in(root)
    problems: list[str] = []
    for entry in entries:
        # First what lies on the disk: a damaged shard that is put aside is not compared with any sound.
        problems += manage.verify_entry(entry)
        for cuts in manifests:
            problems += manage.verify_sound(entry, cuts)
    if as_json:
        typer.echo(json.dumps({"num_entries": len(entries), "problems": problems}, indent=2))
    else:
        typer.echo("\n".join([*problems, f"{len(entries)} entries read, {len(problems)} problem(s)"]))
    if problems:
        raise typer.Exit(1)


@app.command()
def rm(key: Key, folder: CacheFolder = None) -> None:
    """Delete one entry."""
    from audiossl.core.errors import AudiosslError
    from audiossl.features.manage import find_entry, remove_entry

    entry = find_entry(_root(folder), key)
    if not remove_entry(entry):
        raise AudiosslError(f"A process is using {entry.key[:12]}; try again when it has ended.")
    typer.echo(f"Deleted {entry.key}")


def extract(
    upstream: UpstreamName,
    manifests: Annotated[list[Path], typer.Argument(help="Manifest files (.jsonl or .jsonl.gz).")],
    form: Annotated[
        str, typer.Option(help="frames, pooled (their mean over time) or statistics (mean and deviation).")
    ] = "frames",
    layers: Annotated[str, typer.Option(help="all, last, or numbers and ranges such as 0,6-8 or -1.")] = "all",
    dtype: Annotated[str, typer.Option(help="fp16, bf16, fp32, int8 or auto.")] = "auto",
    shard: Annotated[str, typer.Option(help="The i-th of n disjoint parts, as i/n.")] = "1/1",
    option: UpstreamOptions = None,
    max_gb: MaxGb = None,
    num_workers: Annotated[int, typer.Option(help="Processes that read sound ahead.")] = 0,
    folder: CacheFolder = None,
    as_json: AsJson = False,
) -> None:
    """Compute hidden states once and keep them, for any number of trainings (also under torchrun)."""
    from audiossl.core.config import structured
    from audiossl.core.outputs import check_out
    from audiossl.features.config import CacheConfig
    from audiossl.features.extraction import extract as fill_cache

    check_out(_root(folder), "folder", manifests)
    settings = {"dir": str(folder or ""), "max_gb": max_gb, "dtype": dtype}
    facts = fill_cache(
        upstream,
        manifests,
        options=upstream_options(option),
        form=form,  # type: ignore[arg-type]
        layers=layers,
        cache=structured(CacheConfig, settings, where="settings of the cache"),
        shard=shard,
        num_workers=num_workers,
        say=lambda line: typer.echo(line, err=True),
    )
    typer.echo(
        json.dumps(facts)
        if as_json
        else f"{facts['num_computed']} recording(s) computed; {facts['key'][:12]} is "
        f"{'complete' if facts['complete'] else 'not complete'}"
    )


def _root(folder: Path | None) -> Path:
    """The folder of all entries."""
    from audiossl.features.access import features_folder
    from audiossl.features.config import CacheConfig

    return features_folder(CacheConfig(dir=str(folder or "")))
