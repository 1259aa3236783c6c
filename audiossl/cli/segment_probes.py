"""`audiossl probe-segments`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audiossl.analysis.segment_probes.config import SegmentProbeOptions
from audiossl.cli.options import AsJson, CacheFolder, MaxGb, kept_states, takes_fields_of


@takes_fields_of(SegmentProbeOptions)
def probe_segments(
    encoders: Annotated[
        list[str], typer.Argument(help="Encoders, or folders of runs; NAME[key=value,...] for options.")
    ],
    data: Annotated[list[Path], typer.Option(help="A manifest of the recordings; may be repeated.")],
    options: SegmentProbeOptions,
    to: Annotated[Path, typer.Option("--out", help="Folder for segment_probes.json, .md and .png.")] = Path(
        "segment_probes"
    ),
    cache: Annotated[bool, typer.Option(help="Keep hidden states, and read what is kept.")] = True,
    folder: CacheFolder = None,
    max_gb: MaxGb = None,
    as_json: AsJson = False,
) -> None:
    """Tell phones, tones, F0, ages, ... from segments of speakers (and syllables) never heard, layer by layer."""
    from audiossl.analysis.segment_probes.study import study_segments
    from audiossl.analysis.segment_probes.writing import STEM, write_study

    study = study_segments(encoders, data, to, options, kept_states(cache, folder, max_gb))
    table = write_study(study, to, options)
    if as_json:
        print((to / f"{STEM}.json").read_text(encoding="utf-8"))
    else:
        print(f"{table}\n\n-> {to}")
