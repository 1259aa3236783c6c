"""`audiossl units`: fit clusters of an encoder's frames, give recordings their numbers, and say what they are worth."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from audiossl.cli.options import (
    AsJson,
    CacheFolder,
    MaxGb,
    UpstreamName,
    UpstreamOptions,
    kept_states,
    takes_fields_of,
    upstream_options,
)
from audiossl.features.units.config import UnitsOptions

if TYPE_CHECKING:
    from audiossl.data.unit_files import UnitRow

app = typer.Typer(no_args_is_help=True)

UnitsFolder = Annotated[Path, typer.Argument(help="What `audiossl units fit` wrote.")]
Cache = Annotated[bool, typer.Option(help="Keep hidden states, and read what is kept.")]
Manifest = Annotated[Optional[Path], typer.Option(help="A manifest of the recordings.", show_default=False)]  # noqa: UP045


@app.command()
@takes_fields_of(UnitsOptions)
def fit(
    upstream: UpstreamName,
    manifests: Annotated[list[Path], typer.Argument(help="Manifests of the recordings (.jsonl or .jsonl.gz).")],
    to: Annotated[Path, typer.Option("--out", help="Folder of the units.")],
    options: UnitsOptions,
    option: UpstreamOptions = None,
    cache: Cache = True,
    folder: CacheFolder = None,
    max_cache_gb: MaxGb = None,
    overwrite: Annotated[bool, typer.Option(help="Replace units that are there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Cluster the frames of a layer by k-means, as HuBERT's labels are made (the first are of `mfcc -o cmvn=false`)."""
    from audiossl.core.config import as_dict
    from audiossl.core.errors import OutputError
    from audiossl.core.outputs import check_out
    from audiossl.features.units.fitting import fit_units
    from audiossl.features.units.quantizer import is_units_folder

    check_out(to, "folder", [upstream, *manifests])
    if is_units_folder(to) and not overwrite:
        raise OutputError(f"{to} has units already; choose another --out, or replace them with --overwrite.")
    units = fit_units(
        upstream,
        manifests,
        options,
        upstream_options=upstream_options(option),
        cache=kept_states(cache, folder, max_cache_gb),
        command=shlex.join(["audiossl", *sys.argv[1:]]),
    )
    units.save(to)
    card = units.card
    if as_json:
        print(json.dumps(as_dict(card)))
        return
    print(
        f"{len(units)} units of layer {card.layer} of {card.upstream} from {card.num_frames} frames of "
        f"{card.num_recordings} recordings ({card.audio_s / 3600:.2f} h); mean squared distance {card.distortion:.4g} "
        f"-> {to}"
    )


@app.command()
def apply(
    units: UnitsFolder,
    manifest: Annotated[Path, typer.Argument(help="Manifest of the recordings.")],
    to: Annotated[Path, typer.Option("--out", help="The file to write, for instance dev.units.")],
    form: Annotated[str, typer.Option("--format", help="jsonl, or kaldi for `ID 17 17 4` a line.")] = "jsonl",
    runs: Annotated[
        bool, typer.Option("--runs", help="De-duplicate: runs of equal units, and how many frames each lasts.")
    ] = False,
    shard: Annotated[str, typer.Option(help="The i-th of n disjoint parts of the rows, as i/n.")] = "1/1",
    upstream: Annotated[str, typer.Option(help="The encoder, where it lies elsewhere now.")] = "",
    option: UpstreamOptions = None,
    cache: Cache = True,
    folder: CacheFolder = None,
    max_cache_gb: MaxGb = None,
    as_json: AsJson = False,
) -> None:
    """Write the unit of each frame of each row."""
    from lhotse import CutSet

    from audiossl.core.errors import ConfigError
    from audiossl.core.outputs import check_out
    from audiossl.data.manifests import read_manifest
    from audiossl.data.unit_files import write_unit_rows
    from audiossl.features.extraction import parse_shard
    from audiossl.features.units.applying import apply_units
    from audiossl.features.units.quantizer import Units

    if form not in ("jsonl", "kaldi"):
        raise ConfigError(f"--format {form}: choose jsonl or kaldi.")
    check_out(to, "file", [manifest, units])
    which, total = parse_shard(shard)
    fitted, cuts = Units.load(units), read_manifest(manifest)
    if total > 1:
        cuts = CutSet.from_cuts(cut for number, cut in enumerate(cuts) if number % total == which)
    encoder = fitted.load_encoder(upstream, **upstream_options(option))
    rows = apply_units(fitted, cuts, upstream=encoder, cache=kept_states(cache, folder, max_cache_gb))
    count = write_unit_rows(to, rows, form, runs=runs)  # type: ignore[arg-type]
    told = {"rows": count, "out": str(to), **fitted.facts._asdict()}
    print(json.dumps(told) if as_json else f"{count} recording(s), {len(fitted)} units -> {to}")


@app.command()
def stats(
    units: Annotated[Path, typer.Argument(help="A file of units, or a folder of fitted ones for its own recordings.")],
    labels: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="An alignment (CTM) by the ids of the rows, of phones for instance.", show_default=False),
    ] = None,
    ignore: Annotated[str, typer.Option(help="Labels that do not count, with commas, for instance sil,spn.")] = "",
    manifest: Manifest = None,
    group: Annotated[
        str, typer.Option(help="What intervals are over: recording, or a field of the manifest such as speaker.")
    ] = "recording",
    cache: Cache = True,
    folder: CacheFolder = None,
    as_json: AsJson = False,
) -> None:
    """Say how evenly units are used, and with labels their purity and PNMI, with intervals."""
    from audiossl.cli.tables import add_row, console, new_table
    from audiossl.core.comma_lists import comma_list
    from audiossl.core.untrusted import shown
    from audiossl.data.ctm import read_ctm
    from audiossl.features.units.describing import describe_units
    from audiossl.metrics.formatting import cells_written, intervals_note

    alignments = read_ctm(labels) if labels else None
    rows, groups = _rows_of(units, manifest, alignments, group, kept_states(cache, folder, None))
    found = describe_units(rows, alignments, ignored=comma_list(ignore), groups=groups, kind=group)
    if as_json:
        print(json.dumps(found.as_json()))
        return
    made = new_table("figure", "value", "95 % interval", title=f"{units}, {found.num_units} units")
    for name, metric in found.metrics.items():
        add_row(made, cells_written(name, metric))
    console().print(made)
    counted = f"{found.num_recordings} recordings, {found.num_frames} frames"
    if found.num_labelled is not None:
        counted += f", {found.num_labelled} of them with one of {found.num_labels} labels"
    print(f"{counted}; a run lasts {1000 * found.run_s:.0f} ms, {found.bits_per_s:.0f} bit/s.")
    if note := intervals_note(found.metrics):
        console().print(shown(note))


def _rows_of(
    units: Path, manifest: Path | None, alignments: Any, group: str, cache: Any
) -> tuple[list[UnitRow], dict[str, str | None] | None]:
    """The units of a file, or of the recordings of fitted ones, and what varies as a whole by id."""
    from itertools import chain

    from lhotse import CutSet

    from audiossl.core.errors import ConfigError
    from audiossl.data.fields import read_field
    from audiossl.data.manifests import read_manifest
    from audiossl.data.unit_files import read_unit_rows
    from audiossl.features.units.applying import apply_units
    from audiossl.features.units.quantizer import Units, is_units_folder

    fitted = Units.load(units) if is_units_folder(units) else None
    paths = [manifest] if manifest else [Path(path) for path in fitted.card.manifests] if fitted else []
    if group != "recording" and not paths:
        raise ConfigError(f"--group {group} is a field of the rows; name their manifest by --manifest.")
    cuts = [cut for cut in chain(*map(read_manifest, paths)) if alignments is None or cut.id in alignments]
    groups = {cut.id: read_field(cut, group) for cut in cuts} if group != "recording" else None
    if fitted is None:
        return list(read_unit_rows(units)), groups
    return list(apply_units(fitted, CutSet.from_cuts(cuts), cache=cache)) if cuts else [], groups
