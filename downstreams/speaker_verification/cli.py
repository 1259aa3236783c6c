"""`audiossl verify`, `identify`, `score-again` and `score-trials`. Nothing heavy is imported before they run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from audiossl.core.types import Metric

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
    _print_metrics(metrics)


def score_trials(
    scores: Annotated[Path, typer.Argument(help="`score enrol test` or `enrol test score` a line, or NIST's table.")],
    trials: Annotated[Path, typer.Option("--trials", help="The list of trials, or NIST's key.")],
    speakers: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Lines of `recording speaker`, for intervals over speakers.", show_default=False),
    ] = None,
    ratios: Annotated[bool, typer.Option("--ratios", help="The scores are log-likelihood ratios.")] = False,
    as_json: AsJson = False,
) -> None:
    """Judge a score file of any program: EER and minDCF with intervals, Cllr and actual costs of ratios."""
    from audiossl.core.types import metrics_as_json
    from audiossl.downstreams.speaker_verification.outside import judge_scores

    metrics, facts = judge_scores(scores, trials, speakers, ratios=ratios)
    if as_json:
        print(json.dumps({"metrics": metrics_as_json(metrics), **facts}))
        return
    _print_metrics(metrics)
    print(f"{facts['num_target_trials']} trials of one speaker, {facts['num_nontarget_trials']} of two; ", end="")
    print(f"equal errors at {facts['eer_threshold']:.4g}, minCllr {facts['min_cllr']:.4f}")
    if not ratios:
        print("Cllr and actual costs are those of log-likelihood ratios; --ratios says that these scores are some.")


def _print_metrics(metrics: Mapping[str, Metric]) -> None:
    from audiossl.core.untrusted import printable
    from audiossl.metrics.formatting import cells_written, intervals_note

    for name, metric in metrics.items():
        label, value, interval = cells_written(name, metric)
        print(f"{label:16} {value:>8}  {interval}".rstrip())
    if note := intervals_note(metrics):
        print(printable(note))
