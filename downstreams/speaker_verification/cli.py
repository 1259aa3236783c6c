"""`audiossl verify`, `identify` and `score-again`. Nothing heavy is imported before they run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

RunPlace = Annotated[Path, typer.Argument(help="What `audiossl train` wrote, of speaker_verification.")]
More = Annotated[Optional[list[str]], typer.Option("--enrol", help="Another recording of the first.", metavar="FILE")]  # noqa: UP045
Checkpoint = Annotated[str, typer.Option(help="best, last or averaged; default: as configured.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]
Settings = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option("--set", help="A setting as key=value, for instance task.scoring.norm=as_norm.", show_default=False),
]


def verify(
    run: RunPlace,
    enrolled: Annotated[str, typer.Argument(help="A recording of the one who is known.")],
    tested: Annotated[str, typer.Argument(help="A recording of the one who may be the same.")],
    more: More = None,
    prior: Annotated[float, typer.Option(help="How probable one speaker is before listening.")] = 0.5,
    checkpoint: Checkpoint = "",
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Say whether two recordings are of one speaker: score, probability and decision."""
    from audiossl.downstreams.speaker_verification.verify import verifier_of
    from audiossl.downstreams.speaker_verification.verify import verify as compare
    from audiossl.experiments.loading import load_run

    loaded = load_run(run, checkpoint, overrides=settings or [])
    verdict = compare(loaded, [enrolled, *(more or [])], tested, prior)
    if as_json:
        print(json.dumps(verdict._asdict()))
        return
    # Without a calibration there is a score and no decision.
    print(f"score        {verdict.score:.4f} ({verifier_of(loaded).config.scoring.title})")
    if verdict.probability is None:
        print("probability  unknown: dev had no trials of both kinds, so the scores were never calibrated")
        return
    print(f"probability  {verdict.probability:.4f} that it is one speaker (llr {verdict.llr:.2f}, prior {prior:g})")
    print(f"decision     {'one speaker' if verdict.same else 'two speakers'}")


def identify(
    run: RunPlace,
    gallery: Annotated[
        str, typer.Argument(help="A folder with a folder of recordings for each speaker, or a manifest.")
    ],
    unknown: Annotated[list[str], typer.Argument(help="Recordings of somebody.")],
    prior: Annotated[float, typer.Option(help="How probable somebody of the gallery is before listening.")] = 0.5,
    top: Annotated[int, typer.Option(min=1, help="How many of the most probable are shown.")] = 3,
    checkpoint: Checkpoint = "",
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Say who of a gallery a recording is of, or that it is nobody there."""
    from audiossl.core.untrusted import printable
    from audiossl.downstreams.speaker_verification.identify import identify as search
    from audiossl.downstreams.speaker_verification.identify import read_gallery
    from audiossl.experiments.loading import load_run

    members = read_gallery(gallery)
    found = search(load_run(run, checkpoint, overrides=settings or []), members, unknown, prior)
    if as_json:
        made = [{**each._asdict(), "ranked": [one._asdict() for one in each.ranked[:top]]} for each in found]
        print(json.dumps(made, ensure_ascii=False))
        return
    for each in found:
        told = each.name if each.name is not None else "nobody in the gallery"
        unsure = "" if each.nobody is None else f" (nobody: {each.nobody:.4f})"
        print(f"{printable(each.recording)}  {printable(told)}{unsure}")
        for one in each.ranked[:top]:
            chance = "never calibrated" if one.probability is None else f"{one.probability:.4f}"
            print(f"    {chance}  {printable(one.name)} (score {one.score:.4f})")


def score_again(
    run: RunPlace,
    overrides: Annotated[list[str] | None, typer.Argument(help="task.scoring.* settings.", show_default=False)] = None,
    split: Annotated[str, typer.Option(help="The split whose trials are scored.")] = "test",
    checkpoint: Checkpoint = "",
    as_json: AsJson = False,
) -> None:
    """Score trials again from embeddings that `evaluate` kept, by another back end: no encoder runs."""
    from audiossl.core.types import metrics_as_json
    from audiossl.downstreams.speaker_verification.rescoring import score_again as score

    metrics = score(run, split, checkpoint, overrides or [])
    if as_json:
        print(json.dumps(metrics_as_json(metrics)))
        return
    for name, metric in metrics.items():
        print(f"{name:12} {metric}")
