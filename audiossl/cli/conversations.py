"""`audiossl data simulate` and `data from-rttm`: recordings of several speakers, and who speaks in them when."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audiossl.core.untrusted import printable

if TYPE_CHECKING:
    from lhotse import CutSet

Out = Annotated[Path, typer.Option("--out", help="Folder for the manifests.")]


def simulate(
    manifests: Annotated[list[Path], typer.Argument(help="Manifests of recordings of one speaker each, one a split.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for sound, manifests and RTTM files.")],
    num_mixtures: Annotated[int, typer.Option(help="How many for each manifest.")] = 100,
    num_speakers: Annotated[int, typer.Option(help="In each.")] = 2,
    overlap: Annotated[float, typer.Option(help="Time in which two speak, over the time in which anybody does.")] = 0.2,
    duration_s: Annotated[float, typer.Option(help="Seconds of each, at least; 3600 for an hour's meeting.")] = 20.0,
    turn_s: Annotated[float, typer.Option(help="Most seconds of a turn.")] = 5.0,
    pause_s: Annotated[float, typer.Option(help="Mean seconds of silence between turns.")] = 0.5,
    snr_db: Annotated[
        tuple[float, float], typer.Option(help="Range of how much louder the first speaker is than each other.")
    ] = (-5.0, 5.0),
    sample_rate: Annotated[int, typer.Option(help="Of what is written, in Hz.")] = 16000,
    keep_sources: Annotated[bool, typer.Option(help="Write each speaker alone too, in LibriMix's layout.")] = False,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
) -> None:
    """Mix conversations of the speakers of manifests, with FLAC, manifests and RTTM. Splits share no speaker."""
    from audiossl.core.errors import ManifestError
    from audiossl.core.outputs import check_out
    from audiossl.data.leaks import check_leaks
    from audiossl.data.manifests import read_manifest
    from audiossl.data.simulation import SimulationConfig
    from audiossl.data.simulation import simulate as mix

    config = SimulationConfig(
        num_mixtures, num_speakers, overlap, duration_s, turn_s, pause_s, snr_db, sample_rate, keep_sources, seed
    )
    splits = {path.name.removesuffix(".gz").removesuffix(".jsonl"): path for path in manifests}
    if len(splits) < len(manifests):
        raise ManifestError("Two of the manifests have one name, and would be one split; rename one of them.")
    check_out(out, "folder", manifests)
    for split in splits:
        check_out(out / f"{split}.jsonl.gz", "file", manifests)
    rows = {split: read_manifest(path) for split, path in splits.items()}
    check_leaks(rows, disjoint="speaker")
    _write(mix(rows, out, config), out)


def from_rttm(
    tables: Annotated[list[Path], typer.Argument(help="RTTM files, one a split, named after it.")],
    out: Out,
    audio_root: Annotated[Path, typer.Option(help="The folder below which the recordings are.")] = Path(),
) -> None:
    """Make manifests of recordings from RTTM files: a row for each recording, with the turns of its speakers."""
    from audiossl.core.outputs import check_out
    from audiossl.data.annotated import cuts_of_recordings, located
    from audiossl.data.annotations import read_annotations

    check_out(out, "folder")
    for table in tables:
        check_out(out / f"{table.stem}.jsonl.gz", "file", tables)
    found = {table.stem: located(read_annotations(table, "rttm"), root=audio_root) for table in tables}
    _write({split: cuts_of_recordings(rows, audio_root, split) for split, rows in found.items()}, out)


def _write(splits: Mapping[str, CutSet], out: Path) -> None:
    from audiossl.data.manifests import write_manifests
    from audiossl.data.turns import speech_and_overlap_s, turns_of

    for split, cuts in splits.items():
        times = [speech_and_overlap_s(turns_of(cut)) for cut in cuts]
        speech_s, overlap_s = (sum(each) for each in zip(*times, strict=True))
        hours = sum(cut.duration for cut in cuts) / 3600
        print(
            printable(
                f"{split}: {len(times)} recordings, {hours:.2f} h, overlap "
                f"{100 * overlap_s / max(speech_s, 1e-9):.1f} % of the speech"
            )
        )
    for path in write_manifests(splits, out).values():
        print(printable(f"Wrote {path}"))
