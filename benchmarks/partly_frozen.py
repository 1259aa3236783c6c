"""Steps of fine-tuning where what stays frozen runs once, beside steps that compute all: base size, random weights.

    recipes/libri_mini/run.sh --stop-stage 1
    python -m benchmarks.partly_frozen --manifests data/libri_mini --write

A step is a batch (read and encoded, or read from the cache), the loss, its gradient and AdamW's update. Both ways see
the same batches and draw the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from lhotse import CutSet

from audiossl import read_experiment
from audiossl.core.types import Batch
from audiossl.data.manifests import read_manifest
from audiossl.encoders.kept import load_identified
from audiossl.experiments.building import batch_source, build_downstream, complete_config
from audiossl.experiments.cached_batches import needs_of, open_features
from audiossl.training.context import accelerator_of
from audiossl.training.downstream import Downstream
from audiossl.training.optimizer import build_optimizer
from benchmarks.common import interleaved, parser, publish, table

WAYS = {
    "top 3 blocks, last layer": ["finetune.mode=top_k", "finetune.top_k=3", "interface=last"],
    "top 3 blocks, all layers": ["finetune.mode=top_k", "finetune.top_k=3", "interface=weighted_sum"],
    "all but the stem, last layer": ["finetune.mode=all", "interface=last"],
}
SHARED = ["upstream=wav2vec2", "upstream_options.weights=random", "task.label_field=speaker", "standardize=false"]
# Dropout as in the published fine-tuning (`setting: finetuning_10min`), and no layer drop, so that all steps are alike.
OPTIONS = {"dropout": 0, "attention_dropout": 0, "feature_dropout": 0, "activation_dropout": 0.1, "layer_drop": 0}
SHARED += [f"upstream_options.{name}={value}" for name, value in OPTIONS.items()]


class Trainee:
    """A head on an encoder that trains in part, step by step.

    losses: of the steps so far.
    """

    def __init__(self, settings: list[str], rows: CutSet, opened: ExitStack) -> None:
        config = read_experiment(None, [*SHARED, *settings])
        config = complete_config(config, rows)
        upstream, mark = load_identified(config.upstream, config.upstream_options)
        self.task: Downstream = build_downstream(config, upstream)
        cuts, accelerator = {"train": rows}, accelerator_of(config.trainer)
        needs = needs_of(config, self.task, mark, None)
        (features,) = opened.enter_context(open_features([needs], accelerator, config.trainer, cuts))
        self.batches: Iterator[Batch] = iter(batch_source(self.task, config, cuts, "train", features)(None, 0, 1))
        self.optimizer = build_optimizer(self.task, replace(config.trainer, lr=1e-5, optimizer="adamw"))
        self.losses: list[float] = []
        self.task.train()

    def step(self) -> None:
        batch = next(self.batches)
        torch.manual_seed(len(self.losses))
        loss = self.task.loss(batch).total
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.losses.append(float(loss.detach()))


def measured(way: str, arguments: object, rows: CutSet, cache: Path) -> list[list[str]]:
    """Rows of the table: the step that computes all, and the one with what stays from the cache."""
    data = [f"data.batch_size={arguments.batch_size}", "data.num_buckets=1", f"cache.dir={cache}"]  # type: ignore[attr-defined]
    with ExitStack() as opened:
        trainees = {kept: Trainee([*WAYS[way], *data, f"features={kept}"], rows, opened) for kept in ("off", "frames")}
        contestants: dict[str, Callable[[], object]] = {name: each.step for name, each in trainees.items()}
        timings = interleaved(contestants, arguments.rounds)  # type: ignore[attr-defined]
    whole = timings["off"].cpu
    one, two = (each.losses for each in trainees.values())
    apart = [abs(a - b) / a for a, b in zip(one, two, strict=True)]
    return [
        [f"{way}, {name}", f"{each.median:.2f}", f"{each.cpu:.2f}", f"{whole / each.cpu:.2f}", f"{difference}"]
        for (name, each), difference in zip(timings.items(), ("", f"{apart[0]:.0e}, {max(apart):.0e}"), strict=True)
    ]


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--manifests", type=Path, default=Path("data/libri_mini"))
    made.add_argument("--batch-size", type=int, default=4)
    made.add_argument("--rows", type=int, default=16, help="recordings that are trained on")
    made.add_argument("--way", action="append", choices=list(WAYS))
    arguments = made.parse_args()
    torch.set_num_threads(1)
    every = list(read_manifest(arguments.manifests / "train.jsonl.gz"))
    rows = CutSet.from_cuts(every[:: len(every) // arguments.rows][: arguments.rows])  # of all speakers
    found = []
    with TemporaryDirectory() as cache:
        for way in arguments.way or WAYS:
            found += measured(way, arguments, rows, Path(cache))
    seconds = sum(cut.duration for cut in rows) / len(rows)
    publish(
        arguments,
        "What stays frozen runs once",
        f"wav2vec 2.0 base (12 blocks of 768), random weights, utterance_classification, batches of "
        f"{arguments.batch_size} recordings of {seconds:.1f} s on average. Medians of {arguments.rounds} steps, taking "
        "turns. The speed is the ratio of CPU seconds. Losses: relative difference from those of steps that compute "
        "all, of the first step and the largest of all steps.",
        table(["what trains, features", "s", "CPU s", "times as fast", "losses differ by"], found),
    )


if __name__ == "__main__":
    main()
