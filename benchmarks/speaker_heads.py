"""Encoders, heads and ways of scoring on ten LibriSpeech speakers that nobody trained on.

    recipes/libri_mini/run.sh --task verification --stop-stage 1
    AUDIOSSL_ENCODERS=FOLDER python -m benchmarks.speaker_heads --runs runs/speaker_heads --write

Parts of 3 s are trained on, all 4950 pairs of test recordings are the trials. Frozen encoders are read from the cache.
`tuned` trains the encoder after 50 steps of the head alone, `joint` from the first step on, both on random parts.
Trainings that are there are not repeated. Every way of scoring reads the same embeddings. `whisper_tiny_en` is the
folder of that name below AUDIOSSL_ENCODERS, as transformers stores it. Of the quality measures, duration and noise are
left out: dev's trials of one speaker are halves of one recording, which these alone give away.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from audiossl import load_run, read_experiment, train
from audiossl.core.errors import AudiosslError
from audiossl.core.types import Metric
from audiossl.downstreams.speaker_verification.rescoring import score_again
from audiossl.experiments.folder import RunFolder
from audiossl.report.comparison import compare
from audiossl.report.runs import RunSummary, read_run
from benchmarks.common import parser, publish, table

YAML = Path(__file__).parents[1] / "recipes" / "libri_mini" / "verification.yaml"
ENCODERS = ["log_mel", "tera_mini", "distil_mini", "whisper_tiny_en"]
TRIALS = "task.trials={test: data/libri_mini/verification/trials_test_all.txt}"
# Small, since there are 208 recordings to train on.
HEADS = {
    "mean": ["task.head=pooled", "task.pooling=mean"],
    "attentive": ["task.head=pooled"],
    "xvector": ["task.head=xvector", "task.tdnn=[[128,5,1],[128,3,2],[128,3,3],[256,1,1]]"],
    "ecapa": ["task.head=ecapa", "task.ecapa_channels=128"],
    "mfa": ["task.head=mfa", "task.mfa={width: 96, blocks: 3, feed_forward: 192}"],
}
SCORINGS = {
    "cosine": [],
    "AS-norm": ["task.scoring.norm=as_norm"],
    "PLDA": ["task.scoring.backend=plda"],  # the rows of train are parts of recordings
    "QMF": ["task.scoring.norm=as_norm", "task.scoring.measures=[magnitude,cohort]"],
}
MODES = {
    "frozen": ["data.train=train_parts.jsonl.gz", "data.max_crop_s=null", "features=auto"],
    "tuned": ["finetune=all", "finetune.lr=3e-4", "finetune.freeze_steps=50"],
    "joint": ["finetune=all", "finetune.lr=3e-4"],
}


class Figures(NamedTuple):
    """What one run is worth by one way of scoring, and what a comparison with others reads."""

    metrics: dict[str, Metric]
    summary: RunSummary


def trained(folder: Path, encoder: str, head: str, mode: str, more: Sequence[str]) -> Path:
    """A run whose embeddings of train, dev and test are kept."""
    out = folder / mode / head / encoder
    if RunFolder(out).split("test").metrics.is_file():
        return out
    local = Path(os.environ.get("AUDIOSSL_ENCODERS", "")) / encoder
    reference = f"hf:{local}" if (local / "config.json").is_file() else encoder
    experiment = read_experiment(YAML, [f"upstream={reference}", TRIALS, *HEADS[head], *MODES[mode], *more])
    train(experiment, out, overwrite=True)
    run = load_run(out, overrides=SCORINGS["QMF"])
    run.evaluate("test")
    run.items_of("train")  # what PLDA is fitted on
    return out


def figures_of(run: Path) -> dict[str, Figures]:
    """By way of scoring, the cosine last, so that the folder is left as an evaluation leaves it."""
    found = {}
    for name in [*list(SCORINGS)[1:], "cosine"]:
        try:
            metrics = score_again(run, overrides=SCORINGS[name])
        except AudiosslError as error:
            print(f"{run}, {name}: {error}")
            continue
        found[name] = Figures(metrics, read_run(run))
    return found


def percent(metric: Metric) -> str:
    return f"{100 * metric.value:.1f} {interval(metric, 100, 1)}".strip()


def interval(metric: Metric, factor: float, digits: int) -> str:
    if metric.low is None or metric.high is None:
        return ""
    return f"[{factor * metric.low:.{digits}f}, {factor * metric.high:.{digits}f}]"


def plain(metric: Metric) -> str:
    return f"{metric.value:.2f} {interval(metric, 1, 2)}".strip()


def difference(one: Figures | None, other: Figures | None) -> str:
    """The error rate of one minus that of another, on the same trials."""
    if one is None or other is None or one is other:
        return ""
    cells = compare(
        one.summary, one.summary.evaluations["test"], other.summary, other.summary.evaluations["test"]
    ).cells
    return f"{cells['difference']} {cells['interval']}".strip()


def error_rows(found: dict[tuple[str, str, str], dict[str, Figures]]) -> list[list[str]]:
    """The error rate of each run by each way of scoring."""
    return [
        [f"{encoder}, {head}, {mode}", *(percent(ways[way].metrics["eer"]) if way in ways else "" for way in SCORINGS)]
        for (encoder, head, mode), ways in found.items()
    ]


def cost_rows(found: dict[tuple[str, str, str], dict[str, Figures]]) -> list[list[str]]:
    """Cost of detection and Cllr by the cosine, and each run against the first encoder with the same head."""
    rows, first = [], next(iter(found))[0]
    for (encoder, head, mode), ways in found.items():
        cosine, base = ways.get("cosine"), found.get((first, head, "frozen"), {}).get("cosine")
        if cosine is not None:
            costs = [plain(cosine.metrics[name]) for name in ("min_dcf_p05", "cllr")]
            rows.append([f"{encoder}, {head}, {mode}", *costs, difference(cosine, base)])
    return rows


def scoring_rows(found: dict[tuple[str, str, str], dict[str, Figures]]) -> list[list[str]]:
    """Each way of scoring against the cosine of the same run."""
    rows = []
    for (encoder, head, mode), ways in found.items():
        others = [difference(ways.get(way), ways.get("cosine")) for way in list(SCORINGS)[1:]]
        rows.append([f"{encoder}, {head}, {mode}", *others])
    return rows


def tuning_rows(found: dict[tuple[str, str, str], dict[str, Figures]]) -> list[list[str]]:
    """Trained encoders against the frozen one."""
    rows = []
    for (encoder, head, mode), ways in found.items():
        frozen = found.get((encoder, head, "frozen"))
        if mode != "frozen" and frozen is not None:
            rows.append([f"{encoder}, {head}", mode, difference(ways.get("cosine"), frozen.get("cosine"))])
    return rows


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--runs", type=Path, default=Path("runs/speaker_heads"), help="folder of the runs")
    made.add_argument("--encoder", action="append", help=f"by default {', '.join(ENCODERS)}")
    made.add_argument("--head", action="append", choices=list(HEADS))
    made.add_argument(
        "--tuned", action="append", default=[], help="an encoder that is trained as well, with the head ecapa"
    )
    made.add_argument("--steps", type=int, default=250)
    arguments = made.parse_args()
    torch.set_num_threads(1)
    encoders, heads = arguments.encoder or ENCODERS, arguments.head or list(HEADS)
    asked = [(encoder, head, "frozen") for encoder in encoders for head in heads]
    asked += [(encoder, "ecapa", mode) for encoder in arguments.tuned for mode in ("tuned", "joint")]
    steps = [f"trainer.steps={arguments.steps}"]
    found = {each: figures_of(trained(arguments.runs, *each, steps)) for each in asked}
    first = encoders[0]
    publish(
        arguments,
        "Speaker verification: encoders, heads, scoring",
        f"libri_mini: 208 speakers with one recording each to train on, ten others with 4950 trials to test on. "
        f"{arguments.steps} steps of 16, one seed. Intervals (95 %) are over the ten speakers.",
        "## Error rate (EER, %) by way of scoring",
        table(["encoder, head", *SCORINGS], error_rows(found)),
        f"## By the cosine: costs, and the error rate minus that of {first} with the same head",
        table(["encoder, head", "minDCF (0.05)", "Cllr", f"EER minus {first}"], cost_rows(found)),
        "## Ways of scoring: the error rate minus that of the cosine",
        table(["encoder, head", *list(SCORINGS)[1:]], scoring_rows(found)),
        *(
            [
                "## Trained encoders: the error rate minus that of the frozen one",
                table(["encoder, head", "how", "EER minus frozen"], tuning_rows(found)),
            ]
            if arguments.tuned
            else []
        ),
    )


if __name__ == "__main__":
    main()
