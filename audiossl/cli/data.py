"""`audiossl data`: make manifests, check them and say what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from audiossl.cli.conversations import from_rttm, simulate
from audiossl.cli.croissant import croissant
from audiossl.cli.tables import add_row, console, new_table, print_left_out
from audiossl.core.untrusted import json_text, shown
from audiossl.data.bad_rows import BadRows

if TYPE_CHECKING:
    from lhotse import CutSet

app = typer.Typer(no_args_is_help=True, help="Make manifests, check them and say what is in them.")
app.command()(croissant)
app.command()(simulate)
app.command("from-rttm")(from_rttm)

OutDir = Annotated[Path, typer.Argument(help="Folder to write <split>.jsonl.gz into.")]
Manifests = Annotated[list[Path], typer.Argument(help="Manifest files (.jsonl or .jsonl.gz).")]
Out = Annotated[Path, typer.Option("--out", help="Folder to write <split>.jsonl.gz into.")]
SkipBad = Annotated[bool, typer.Option(help="Leave out rows that cannot be used, and name them.")]
Column = Annotated[
    list[str] | None,
    typer.Option(help="The source's own name for one of ours, as in label=species; split= leaves it out."),
]


@app.command("from-csv")
def from_csv(
    csv: Annotated[Path, typer.Argument(help="Table with a header row; its column `path` is needed.")],
    out_dir: OutDir,
    audio_root: Annotated[Path | None, typer.Option(help="What paths are relative to; the table's folder.")] = None,
    column: Column = None,
    skip_bad: SkipBad = False,
) -> None:
    """Make manifests from a table with commas, semicolons or tabs.

    Columns: path, and optionally start, end, duration, sample_rate, speaker, label, transcript, language and split.
    """
    from audiossl.data.sources import cuts_from_csv

    _check(out_dir, csv)
    bad = BadRows(skip=skip_bad)
    _write(cuts_from_csv(csv, audio_root=audio_root, columns=_columns(column), bad=bad), out_dir, bad)


@app.command("from-folder")
def from_folder(
    folder: Annotated[Path, typer.Argument(help="Folder with sound files at any depth.")],
    out_dir: OutDir,
    dev: Annotated[float | None, typer.Option(help="Share of each label for dev, for instance 0.1.")] = None,
    test: Annotated[float | None, typer.Option(help="Share of each label for test.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the drawn splits.")] = 0,
    labels: Annotated[bool, typer.Option(help="Take the name of a file's folder for its label.")] = True,
    skip_bad: SkipBad = False,
) -> None:
    """Make manifests from a folder. Subfolders named train, dev (or val, ...) and test become the splits."""
    from audiossl.data.sources import cuts_from_folder

    _check(out_dir)
    split = None if dev is None and test is None else (dev or 0.0, test or 0.0)
    bad = BadRows(skip=skip_bad)
    _write(cuts_from_folder(folder, labels_from_parent=labels, split=split, seed=seed, bad=bad), out_dir, bad)


@app.command("from-kaldi")
def from_kaldi(
    folder: Annotated[Path, typer.Argument(help="Kaldi data folder (wav.scp, ...), or a folder of them.")],
    out_dir: OutDir,
    skip_bad: SkipBad = False,
) -> None:
    """Make manifests from Kaldi data folders."""
    from audiossl.data.sources import cuts_from_kaldi

    _check(out_dir)
    bad = BadRows(skip=skip_bad)
    _write(cuts_from_kaldi(folder, bad=bad), out_dir, bad)


@app.command("from-hf")
def from_hf(
    place: Annotated[str, typer.Argument(help="Repository (owner/name), or folder of save_to_disk, Parquet, ...")],
    out_dir: Out,
    column: Column = None,
    split: Annotated[list[str] | None, typer.Option(help="One of its splits; all without this.")] = None,
    config: Annotated[str, typer.Option(help="Its configuration, often a language.")] = "",
    revision: Annotated[str, typer.Option(help="Commit, branch or tag of a repository.")] = "",
    streaming: Annotated[bool, typer.Option(help="Read rows as they come, without a copy in datasets' cache.")] = False,
    rows: Annotated[int | None, typer.Option(help="Most rows of each split.")] = None,
    skip_bad: SkipBad = False,
) -> None:
    """Make manifests from a data set of Hugging Face's `datasets`. Sound that it holds is written to `audio` in --out.

    Columns: its one column of sound, and as in tables label, speaker, text, language, start, end, split and id.
    """
    from audiossl.core.outputs import check_out
    from audiossl.data.hugging_face import HuggingFaceSettings, cuts_from_hf

    check_out(out_dir, "folder", [place])
    _check(out_dir)
    bad = BadRows(skip=skip_bad)
    settings = HuggingFaceSettings(tuple(split or ()), config, revision, streaming, rows, _columns(column))
    _write(cuts_from_hf(place, out_dir / "audio", settings, bad=bad), out_dir, bad)


@app.command("from-nemo")
def from_nemo(
    manifests: Annotated[
        list[Path], typer.Argument(help="JSON lines with audio_filepath; train_manifest.json is train.")
    ],
    out_dir: Out,
    column: Column = None,
    skip_bad: SkipBad = False,
) -> None:
    """Make manifests from those of NVIDIA NeMo: audio_filepath, offset, duration, text and any other field."""
    from audiossl.data.nemo import cuts_from_nemo

    _check(out_dir, *manifests)
    bad = BadRows(skip=skip_bad)
    _write(cuts_from_nemo(manifests, columns=_columns(column), bad=bad), out_dir, bad)


@app.command("from-common-voice")
def from_common_voice(
    folder: Annotated[
        Path, typer.Argument(help="Folder of one language, with clips/ and train.tsv, validated.tsv, ...")
    ],
    out_dir: Out,
    split: Annotated[
        list[str] | None, typer.Option(help="One of its tables; without this train, dev and test, else validated.")
    ] = None,
    skip_bad: SkipBad = False,
) -> None:
    """Make manifests from Mozilla Common Voice. A client_id is a speaker."""
    from audiossl.data.common_voice import cuts_from_common_voice

    _check(out_dir)
    bad = BadRows(skip=skip_bad)
    _write(cuts_from_common_voice(folder, split or (), bad=bad), out_dir, bad)


@app.command("from-audiofolder")
def from_audiofolder(
    folder: Annotated[
        Path, typer.Argument(help="Sound beside metadata.csv or metadata.jsonl, or in folders of labels.")
    ],
    out_dir: Out,
    column: Column = None,
    skip_bad: SkipBad = False,
) -> None:
    """Make manifests from an audiofolder of Hugging Face's. Folders named train, dev and test are splits."""
    from audiossl.data.audiofolder import cuts_from_audiofolder

    _check(out_dir)
    bad = BadRows(skip=skip_bad)
    _write(cuts_from_audiofolder(folder, columns=_columns(column), bad=bad), out_dir, bad)


@app.command("from-annotations")
def from_annotations(
    tables: Annotated[list[Path], typer.Argument(help="Tables of Raven, Audacity, CSV or RTTM.")],
    out_dir: Out,
    rows: Annotated[str, typer.Option(help="calls (a row each), windows (over whole recordings) or recordings.")],
    audio_root: Annotated[Path, typer.Option(help="What the tables' paths are relative to.")] = Path(),
    audio: Annotated[Optional[Path], typer.Option(help="The recording of a table that names none.")] = None,  # noqa: UP045
    kind: Annotated[str, typer.Option(help="raven, audacity, csv or rttm; default: told by the content.")] = "",
    column: Annotated[list[str] | None, typer.Option(help="The table's own name, as in label=Species.")] = None,
    encoding: Annotated[str, typer.Option(help="Of the tables.")] = "utf-8",
    window_s: Annotated[float, typer.Option(help="Length of a window.")] = 1.0,
    hop_s: Annotated[float, typer.Option(help="Step between windows.")] = 0.5,
    min_overlap: Annotated[float, typer.Option(help="Share of a call (or of the window) that must be inside.")] = 0.5,
    short: Annotated[str, typer.Option(help="Recordings shorter than a window: error or keep.")] = "error",
    all_recordings: Annotated[bool, typer.Option(help="Windows of every sound file below the audio root.")] = False,
) -> None:
    """Make manifests from annotation tables, by the column `split` where there is one."""
    from audiossl.core.errors import ConfigError, ManifestError
    from audiossl.data import annotated

    if rows not in ("calls", "windows", "recordings"):
        raise ConfigError(f"--rows {rows}: choose calls, windows or recordings.")
    _check(out_dir, *tables)
    found, silent = annotated.read_tables(
        tables,
        root=audio_root,
        audio=audio,
        kind=kind or None,  # type: ignore[arg-type]
        columns=_columns(column),
        encoding=encoding,
    )
    if rows == "calls":
        if not found:
            names = ", ".join(map(str, silent))
            raise ManifestError(f"{names}: no annotation there, so there is no call; take --rows windows.")
        for table, recording in silent.items():
            typer.echo(f"{table} has no annotation, so {recording} gives no row.", err=True)
        _write(annotated.cuts_of_calls(found, audio_root), out_dir)
        return
    windows = annotated.Windows(window_s, hop_s, min_overlap, short)  # type: ignore[arg-type]
    windows = annotated.WHOLE if rows == "recordings" else windows
    others = annotated.recordings_below(audio_root) if all_recordings else []
    _write(annotated.cuts_of_windows(found, windows, [*silent.values(), *others], audio_root), out_dir)


@app.command()
def shards(
    manifests: Manifests,
    out: Annotated[Path, typer.Option("--out", help="Folder for the tars, their index and their manifests.")],
    shard_s: Annotated[float, typer.Option(help="Most seconds of sound in a tar.")] = 3600.0,
    rows: Annotated[int | None, typer.Option(help="Most rows in a tar, instead of seconds.")] = None,
    form: Annotated[str, typer.Option("--format", help="flac or wav, of samples that are integers.")] = "flac",
    shuffle: Annotated[
        int | None, typer.Option(help="Seed by which rows are put in random order first.", show_default="as they are")
    ] = None,
    skip_bad: Annotated[bool, typer.Option(help="Leave out sound that cannot be read, and name it.")] = False,
    workers: Annotated[int, typer.Option(help="Threads that read and encode.")] = 1,
) -> None:
    """Write the rows of manifests as shards (tars of about an hour). Run again, it goes on where it was stopped."""
    from audiossl.core.errors import ManifestError
    from audiossl.core.outputs import check_out
    from audiossl.data.shards import ShardSettings, write_shards

    splits = {_split_of(path): path for path in manifests}
    if len(splits) < len(manifests):
        raise ManifestError(
            "Two of the manifests have one name, and would be one split; rename one, or write it apart."
        )
    for split in splits:
        check_out(out / f"{split}.jsonl.gz", "file", manifests)
    settings = ShardSettings(shard_s, rows, form, shuffle, skip_bad, workers)  # type: ignore[arg-type]
    report = write_shards(splits, out, settings)
    print_left_out(report.left_out)
    kept = f" ({report.num_kept} were there)" if report.num_kept else ""
    typer.echo(f"Shards: {report.num_shards}{kept}. Rows: {report.num_rows}. Hours: {report.seconds / 3600:.2f}.")
    for path in report.manifests.values():
        typer.echo(f"Wrote {path}")


@app.command("from-shards")
def from_shards(
    places: Annotated[list[str], typer.Argument(help="Folders, tars, and URLs of both.")],
    out_dir: Out,
    skip_bad: Annotated[bool, typer.Option(help="Leave out samples that cannot be read, and name them.")] = False,
) -> None:
    """Make manifests of shards where they are: those of `data shards`, and WebDataset's tars (wav, flac, json, txt)."""
    from audiossl.core.files import is_url
    from audiossl.core.outputs import check_out
    from audiossl.data.shard_members import ADDRESSES
    from audiossl.data.shard_sources import cuts_from_shards

    check_out(out_dir, "folder", places)
    _check(out_dir)
    found = cuts_from_shards(places, skip_bad=skip_bad)
    print_left_out(found.left_out)
    _write(found.splits, out_dir)
    for place in filter(is_url, places):
        typer.echo(f"Rows behind {place} are read where {ADDRESSES} names it, in the environment.")


@app.command()
def split(
    manifests: Manifests,
    out_dir: Out,
    by: Annotated[
        str, typer.Option(help="What stays together: recording, speaker, another field, or item.")
    ] = "recording",
    stratify: Annotated[str, typer.Option(help="The field whose values are spread evenly.")] = "label",
    dev: Annotated[float, typer.Option(help="Share of dev.")] = 0.15,
    test: Annotated[float, typer.Option(help="Share of test.")] = 0.15,
    seed: Annotated[int, typer.Option(help="Seed of the drawn splits.")] = 0,
) -> None:
    """Divide rows into train, dev and test so that no recording (or individual) is in two of them."""
    from audiossl.data.manifests import read_manifest
    from audiossl.data.splits import split_cuts

    _check(out_dir, *manifests)
    cuts = [cut for path in manifests for cut in read_manifest(path)]
    shares = {"train": 1 - dev - test, "dev": dev, "test": test}
    _write(split_cuts(cuts, shares, by=by, stratify=stratify, seed=seed), out_dir)


@app.command()
def validate(
    manifests: Manifests,
    read_audio: Annotated[bool, typer.Option(help="Read every sample, not only the headers.")] = True,
) -> None:
    """Find everything that is wrong in manifests and their sound files. Exit code 1 if anything is."""
    from audiossl.data.checks import stats as count
    from audiossl.data.checks import validate as find_problems
    from audiossl.data.manifests import read_manifest

    out = console()
    num_problems = 0
    for path in manifests:
        cuts = read_manifest(path)
        problems = find_problems(cuts, read_audio=read_audio)
        num_problems += len(problems)
        for doubt in count({str(path): cuts})["doubts"]:
            out.print(shown(f"{path}: {doubt}"))
        for problem in problems:
            out.print(shown(f"{path}: {problem.id}: {problem.message}"))
        out.print(shown(f"{path}: {len(cuts)} rows, {len(problems)} problems"))
    if num_problems:
        raise typer.Exit(1)


@app.command()
def stats(
    manifests: Manifests, json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False
) -> None:
    """Say how much sound, of what length, rate, label and speaker, manifests hold, and what they share."""
    from audiossl.data.checks import stats as count
    from audiossl.data.manifests import read_manifest

    names = [_split_of(path) for path in manifests]
    unique = len(set(names)) == len(names)
    keys = names if unique else [str(path) for path in manifests]
    counted = count({key: read_manifest(path) for key, path in zip(keys, manifests, strict=True)})
    if json:
        typer.echo(json_text(counted, indent=2))
    else:
        _print_stats(counted)


def _split_of(manifest: Path) -> str:
    return manifest.name.removesuffix(".gz").removesuffix(".jsonl")


def _check(out_dir: Path, *inputs: Path) -> None:
    """Raise OutputError where manifests cannot be written, or where one of them would replace what it is made from."""
    from audiossl.core.outputs import check_out

    check_out(out_dir, "folder")
    for split in ("train", "dev", "test", "all"):
        check_out(out_dir / f"{split}.jsonl.gz", "file", inputs)


def _columns(pairs: list[str] | None) -> dict[str, str]:
    from audiossl.core.errors import ConfigError

    for pair in pairs or []:
        if "=" not in pair:
            raise ConfigError(f"--column {pair!r} has no equals sign; write for instance --column path=filename.")
    return dict(pair.split("=", 1) for pair in pairs or [])


def _write(splits: Mapping[str, CutSet], out_dir: Path, bad: BadRows | None = None) -> None:
    from audiossl.data.checks import stats as count
    from audiossl.data.manifests import write_manifests

    print_left_out(bad.left_out if bad else {})
    paths = write_manifests(splits, out_dir)
    _print_stats(count(splits))
    for path in paths.values():
        typer.echo(f"Wrote {path}")


def _print_stats(counted: Mapping[str, Any]) -> None:
    # In a narrow terminal a long name is broken, and nothing is left out.
    names = ("split", "rows", "files", "hours", "min s", "median s", "max s", "Hz", "labels", "speakers")
    made = new_table(*names, folded=("split", "Hz"), box=None, pad_edge=False)
    for split, tally in counted["splits"].items():
        duration, rates = tally["duration_s"], ", ".join(map(str, tally["sample_rates_hz"]))
        lengths = [f"{duration[name]:.2f}" for name in ("min", "median", "max")]
        counts = [str(tally["num_rows"]), str(tally["num_files"]), f"{tally['hours']:.2f}"]
        add_row(made, (split, *counts, *lengths, rates, len(tally["labels"]), len(tally["speakers"])))
    out = console()
    out.print(made, soft_wrap=False)
    lines = [
        f"{pair} share {len(shared)} {what}, for instance {shared[0]}"
        for what in ("speakers", "files")
        for pair, shared in counted[f"shared_{what}"].items()
    ]
    for line in [*lines, *counted["doubts"]]:
        out.print(shown(line))
