"""Encoders, heads and ways of scoring on ten LibriSpeech speakers that nobody trained on.

    recipes/libri_mini/run.sh --task verification --stop-stage 1
    AUDIOSSL_ENCODERS=FOLDER python -m benchmarks.speaker_heads --runs runs/speaker_heads --write

Parts of 3 s are trained on, all 4950 pairs of test recordings are the trials. Frozen encoders are read from the cache.
`tuned` trains the encoder after 50 steps of the head alone, `joint` from the first step on, both on random parts.
Trainings that are there are not repeated. Every way of scoring reads the same embeddings. Figures are means over seeds
of training, their intervals over the test speakers. `whisper_tiny_en` is the
folder of that name below AUDIOSSL_ENCODERS, as transformers stores it. Of the quality measures, duration and noise are
left out: dev's trials of one speaker are halves of one recording, which these alone give away.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from audiossl import load_run, read_experiment, train
from audiossl.core.errors import AudiosslError
from audiossl.downstreams.speaker_verification.rescoring import score_again
from audiossl.experiments.folder import RunFolder
from audiossl.metrics.jackknife import metric_of
from audiossl.report.estimates import Scored, average_run, paired, scored_together
from audiossl.report.runs import read_run
from benchmarks.common import parser, publish, table

YAML = Path(__file__).parents[1] / "recipes" / "libri_mini" / "verification.yaml"
ENCODERS = ["log_mel", "tera_mini", "distil_mini", "whisper_tiny_en"]
TRIALS = "task.trials={test: data/libri_mini/verification/trials_test_all.txt}"
MEASURES = ("eer", "min_dcf_p05", "cllr")
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


Figures = dict[str, Scored]  # by measure, of one way of scoring
Found = dict[tuple[str, str, str], dict[str, Figures]]  # by encoder, head and mode, then by way of scoring


def trained(folder: Path, encoder: str, head: str, mode: str, seed: int, more: Sequence[str]) -> Path:
    """A run whose embeddings of train, dev and test are kept."""
    out = folder / mode / head / f"{encoder}-seed{seed}"
    if RunFolder(out).split("test").metrics.is_file():
        return out
    local = Path(os.environ.get("AUDIOSSL_ENCODERS", "")) / encoder
    reference = f"hf:{local}" if (local / "config.json").is_file() else encoder
    overrides = [f"upstream={reference}", f"seed={seed}", TRIALS, *HEADS[head], *MODES[mode], *more]
    train(read_experiment(YAML, overrides), out, overwrite=True)
    run = load_run(out, overrides=SCORINGS["QMF"])
    run.evaluate("test")
    run.items_of("train")  # what PLDA is fitted on
    return out


def scored_runs(runs: Sequence[Path]) -> dict[str, Figures]:
    """The mean of runs that differ by their seed, by way of scoring.

    The cosine is last, so that the folders are left as an evaluation leaves them.
    """
    found = {}
    for way in [*list(SCORINGS)[1:], "cosine"]:
        try:
            for run in runs:
                score_again(run, overrides=SCORINGS[way])
        except AudiosslError as error:
            print(f"{runs[0]}, {way}: {error}")
            continue
        trials = [list(read_run(run).evaluations["test"].comparable().values()) for run in runs]
        found[way] = {measure: average_run(scored_together(trials, measure)) for measure in MEASURES}
    return found


def written(figure: Scored) -> str:
    """A figure with its interval: error rates in percent."""
    metric = metric_of(figure.estimate, figure.clusters)
    factor, digits = (100, 1) if figure.measure == "eer" else (1, 2)
    value = f"{factor * metric.value:.{digits}f}"
    if metric.low is None or metric.high is None:
        return value
    return f"{value} [{factor * metric.low:.{digits}f}, {factor * metric.high:.{digits}f}]"


def difference(one: Figures | None, other: Figures | None) -> str:
    """The error rate of one minus that of another, on the same trials, in points."""
    if one is None or other is None or one is other:
        return ""
    found = paired(one["eer"], other["eer"])
    if found.low is None or found.high is None:
        return f"{100 * found.value:+.1f}"
    return f"{100 * found.value:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"


def error_rows(found: Found) -> list[list[str]]:
    """The error rate of each condition by each way of scoring."""
    return [
        [f"{encoder}, {head}, {mode}", *(written(ways[way]["eer"]) if way in ways else "" for way in SCORINGS)]
        for (encoder, head, mode), ways in found.items()
    ]


def cost_rows(found: Found) -> list[list[str]]:
    """Cost of detection and Cllr by the cosine, and each condition against the first encoder with the same head."""
    rows, first = [], next(iter(found))[0]
    for (encoder, head, mode), ways in found.items():
        cosine, base = ways.get("cosine"), found.get((first, head, "frozen"), {}).get("cosine")
        if cosine is not None:
            costs = [written(cosine[name]) for name in ("min_dcf_p05", "cllr")]
            rows.append([f"{encoder}, {head}, {mode}", *costs, difference(cosine, base)])
    return rows


def scoring_rows(found: Found) -> list[list[str]]:
    """Each way of scoring against the cosine of the same condition."""
    rows = []
    for (encoder, head, mode), ways in found.items():
        others = [difference(ways.get(way), ways.get("cosine")) for way in list(SCORINGS)[1:]]
        rows.append([f"{encoder}, {head}, {mode}", *others])
    return rows


def tuning_rows(found: Found) -> list[list[str]]:
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
    made.add_argument("--tuned", action="append", default=[], help="an encoder that is trained as well, with each head")
    made.add_argument("--seeds", type=int, default=3, help="of training")
    made.add_argument("--steps", type=int, default=250)
    arguments = made.parse_args()
    torch.set_num_threads(1)
    encoders, heads = arguments.encoder or ENCODERS, arguments.head or list(HEADS)
    asked = [(encoder, head, "frozen") for encoder in encoders for head in heads]
    asked += [(encoder, head, mode) for encoder in arguments.tuned for head in heads for mode in ("tuned", "joint")]
    steps = [f"trainer.steps={arguments.steps}"]
    runs = {each: [trained(arguments.runs, *each, seed, steps) for seed in range(arguments.seeds)] for each in asked}
    found = {each: scored_runs(same) for each, same in runs.items()}
    first = encoders[0]
    publish(
        arguments,
        "Speaker verification: encoders, heads, scoring",
        f"libri_mini: 208 speakers with one recording each to train on, ten others with 4950 trials to test on. "
        f"{arguments.steps} steps of 16, mean of {arguments.seeds} seeds. Intervals (95 %) are over the ten speakers.",
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
