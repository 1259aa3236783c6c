"""What each form and type of the feature cache does to the metric of a task, and how much room it takes.

    AUDIOSSL_DATA=... python -m benchmarks.cache_types --write

Spoken digits (fsdd), tera_mini, SUPERB's utterance head with a weighted sum of all layers; the same seeds in every
form, so that what differs is the cache alone.
"""

from __future__ import annotations

import random
import tempfile
from argparse import Namespace
from pathlib import Path

from audiossl import load_run
from audiossl.core.files import read_jsonl
from audiossl.data.manifests import write_manifests
from audiossl.data.sources import cuts_from_csv
from audiossl.experiments.config import read_experiment
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.start import train
from audiossl.features.manage import entries_in
from audiossl.training.log import read_log
from benchmarks.common import parser, publish, table

KINDS = [
    ("off", "fp32"),
    *((form, dtype) for form in ("frames", "pooled") for dtype in ("fp32", "fp16", "bf16", "int8")),
]


def main() -> None:
    made = parser(__doc__)
    made.set_defaults(rounds=3)
    made.add_argument("--steps", type=int, default=1000)
    made.add_argument("--recordings", type=int, default=1000, help="most of each split")
    arguments = made.parse_args()
    if arguments.data is None:
        made.error("real recordings are needed: give --data, or set AUDIOSSL_DATA")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        splits = cuts_from_csv(arguments.data / "fsdd" / "manifest.csv")
        chosen = {split: cuts.shuffle(random.Random(0)) for split, cuts in splits.items()}
        chosen = {split: cuts.subset(first=min(arguments.recordings, len(cuts))) for split, cuts in chosen.items()}
        write_manifests(chosen, folder / "manifests")
        runs = {kind: [_run(folder, *kind, seed, arguments) for seed in range(arguments.rounds)] for kind in KINDS}
        rows = [_row(folder, *kind, runs) for kind in KINDS]
    text = (
        f"{len(chosen['train'])} recordings for training, {len(chosen['test'])} for the test, {arguments.steps} steps, "
        f"{arguments.rounds} seeds (means over them). Largest relative difference of a loss, and number of test "
        "predictions that differ, over all steps and seeds, against features=off with the same seed."
    )
    header = ["features", "type", "test accuracy", "predictions that differ", "largest difference of a loss", "MB"]
    publish(arguments, "Forms and types of the feature cache", text, table(header, rows))


def _run(folder: Path, form: str, dtype: str, seed: int, arguments: Namespace) -> tuple[list[float], list[str], float]:
    """Training losses, test predictions, test accuracy."""
    settings = ["upstream=tera_mini", f"data.dir={folder / 'manifests'}", f"seed={seed}", "trainer.log_every=1"]
    settings += [f"trainer.steps={arguments.steps}", "trainer.device=cpu", f"features={form}", f"cache.dtype={dtype}"]
    settings += [f"cache.dir={folder / f'{form}-{dtype}'}", "data.batch_size=16"]
    out = train(read_experiment(None, settings), folder / f"run-{form}-{dtype}-{seed}")
    accuracy = load_run(out, device="cpu").evaluate("test")["accuracy"].value
    predicted = [row["predicted"] for row in read_jsonl(RunFolder(out).split("test").predictions)]
    return [line["loss"] for line in read_log(out) if line["split"] == "train"], predicted, accuracy


def _row(
    folder: Path, form: str, dtype: str, runs: dict[tuple[str, str], list[tuple[list[float], list[str], float]]]
) -> list[str]:
    mine, off = runs[form, dtype], runs["off", "fp32"]
    differing = [a != b for one, two in zip(mine, off, strict=True) for a, b in zip(one[1], two[1], strict=True)]
    losses = [(a, b) for one, two in zip(mine, off, strict=True) for a, b in zip(one[0], two[0], strict=True)]
    accuracy = sum(run[2] for run in mine) / len(mine)
    size = sum(entry.num_bytes for entry in entries_in(folder / f"{form}-{dtype}")) / 1e6
    return [
        form,
        "" if form == "off" else dtype,
        f"{100 * accuracy:.2f} %",
        f"{sum(differing)} of {len(differing)}",
        f"{max(abs(a - b) / abs(b) for a, b in losses):.1e}",
        f"{size:.1f}" if form != "off" else "",
    ]


if __name__ == "__main__":
    main()
