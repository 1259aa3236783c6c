"""`audiossl verify`. Nothing heavy is imported before it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

More = Annotated[Optional[list[str]], typer.Option("--enrol", help="Another recording of the first.", metavar="FILE")]  # noqa: UP045


def verify(
    run: Annotated[Path, typer.Argument(help="What `audiossl train` wrote, of speaker_verification.")],
    enrolled: Annotated[str, typer.Argument(help="A recording of the one who is known.")],
    tested: Annotated[str, typer.Argument(help="A recording of the one who may be the same.")],
    more: More = None,
    prior: Annotated[float, typer.Option(help="How probable one speaker is before listening.")] = 0.5,
    checkpoint: Annotated[str, typer.Option(help="best, last or averaged; default: as configured.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")] = False,
) -> None:
    """Say whether two recordings are of one speaker: score, probability and decision."""
    from audiossl.downstreams.speaker_verification.verify import verify as compare
    from audiossl.experiments.loading import load_run

    verdict = compare(load_run(run, checkpoint), [enrolled, *(more or [])], tested, prior)
    if as_json:
        print(json.dumps(verdict._asdict()))
        return
    # Without a calibration there is a score and no decision.
    print(f"score        {verdict.score:.4f} (cosine)")
    if verdict.probability is None:
        print("probability  unknown: dev had no trials of both kinds, so the scores were never calibrated")
        return
    print(f"probability  {verdict.probability:.4f} that it is one speaker (llr {verdict.llr:.2f}, prior {prior:g})")
    print(f"decision     {'one speaker' if verdict.same else 'two speakers'}")
