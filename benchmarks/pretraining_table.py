"""What pre-trained encoders are worth, beside their random initialisation, log_mel and tera_mini, on small tasks.

    python -m benchmarks.pretraining_table --data "$AUDIOSSL_DATA" --encoder mini=runs/seed0,runs/seed1,runs/seed2

Heads, rates, seeds and intervals are those of `benchmarks.tera_mini`. Where several runs are named, each seed of the
head has the next of them. Each encoder is compared with that of `--against` by paired differences over test items or
speakers. At last speakers are verified, without a head.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from audiossl import Upstream, load_upstream
from audiossl.data.sources import cuts_from_csv
from audiossl.metrics.ratios import across_seeds, paired_difference
from benchmarks import voices
from benchmarks.tera_mini import Problem, correct_on_test, few, in_order, spread, verify


def problems(data: Path, num_seeds: int) -> list[Problem]:
    """Words, digits and speakers of the pool's domain, and animals, sounds and moods outside of it."""
    made = []
    for name, folder, field, labels, by_speaker in (
        ("Wake words", "wakewords", "label", 0, False),
        ("Digits, 5 labels each", "fsdd", "label", 5, False),
        ("Finch callers", "finches", "speaker", 0, False),
        ("Sounds (esc10)", "esc10_16k", "label", 0, False),
        ("Emotion (nemo)", "nemo_mini", "label", 0, True),
    ):
        cuts = cuts_from_csv(data / folder / "manifest.csv")
        train = [few(cuts["train"], field, labels, seed) if labels else cuts["train"] for seed in range(num_seeds)]
        made.append(Problem(name, tuple(train), cuts["dev"], cuts["test"], field, by_speaker))
    parts = voices.unheard_speakers(cuts_from_csv(data / "libri_mini" / "manifest.csv"))
    drawn = tuple(few(parts.train, "speaker", 2, seed) for seed in range(num_seeds))
    return [*made, Problem("Speakers never heard, 2 labels of 1 s", drawn, parts.dev, parts.test, "speaker", True)]


def draws_of(reference: str, seeds: int) -> list[Upstream]:
    """What NAME, NAME,NAME or NAME:random loads: one encoder, one for each name, or one for each seed."""
    name, random = reference.removesuffix(":random"), reference.endswith(":random")
    if random:
        return [load_upstream(name, weights="random", seed=seed) for seed in range(seeds)]
    return [load_upstream(each) for each in name.split(",")]


def table(problem: Problem, correct: dict[str, np.ndarray], against: str) -> list[str]:
    """Accuracy with its interval, and what each encoder gains on `against`."""
    groups = [cut.supervisions[0].speaker for cut in in_order(problem.test)] if problem.by_speaker else None
    over = f"{len(set(groups))} speakers" if groups else "items"
    lines = [f"### {problem.name} ({len(problem.test)} test items, intervals over {over})", ""]
    lines += [f"| encoder | accuracy % | it minus {against} |", "| --- | --- | --- |"]
    for name, values in correct.items():
        gain = paired_difference(values.mean(0), correct[against].mean(0), groups)
        lines.append(
            f"| {name} | {spread(across_seeds(values, groups))} | {spread(gain, '+') if name != against else ''} |"
        )
    return [*lines, ""]


def measure(encoders: dict[str, str], data: Path, seeds: int, steps: int, against: str) -> list[str]:
    """The tables of all tasks."""
    loaded = {name: draws_of(reference, seeds) for name, reference in encoders.items()}
    means: dict[str, list[dict[str, torch.Tensor]]] = {name: [{} for _ in each] for name, each in loaded.items()}
    lines = []
    for problem in problems(data, seeds):
        correct = {}
        for name, upstreams in loaded.items():
            correct[name] = correct_on_test(upstreams, problem, steps, means[name])
            print(f"{problem.name} | {name}: {100 * correct[name].mean():.1f}", flush=True)
        lines += table(problem, correct, against)
    return lines + verify(data, loaded, against)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Compare pre-trained encoders on small tasks.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--encoder", action="append", required=True, metavar="NAME=REFERENCE[:random]")
    parser.add_argument("--against", default="tera_mini", help="the encoder that others are compared with")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    named = dict(pair.split("=", 1) for pair in given.encoder)
    encoders = {given.against: given.against, "log_mel": "log_mel", **named}
    lines = measure(encoders, given.data, given.seeds, given.steps, given.against)
    print("\n".join(lines))
    if given.out:
        said = " ".join(f"--encoder {pair}" for pair in given.encoder)
        head = [
            "# Pre-trained encoders on small tasks",
            "",
            f"{datetime.now(UTC).date()}. Accuracy on test, mean over {given.seeds} seeds of the head (and of random "
            f"weights), 95 % intervals; {given.steps} steps, learning rate and checkpoint by dev.",
            "",
            f'    python -m benchmarks.pretraining_table --data "$AUDIOSSL_DATA" {said}',
            "",
        ]
        given.out.write_text("\n".join([*head, *lines]), encoding="utf-8")


if __name__ == "__main__":
    main()
