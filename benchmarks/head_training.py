"""Training a head on a frozen encoder: recomputed in every epoch, or from the feature cache.

    AUDIOSSL_DATA=... python -m benchmarks.head_training --rounds 3 --write

A base-size wav2vec 2.0 with random weights, SUPERB's utterance head with a weighted sum of all layers, real recordings
of mixed length and their speakers. The plain loop is what one writes with transformers: hidden states of a padded
batch, softmax-weighted, the same head, Adam. It gets its batches from the same loader in the same order, and starts
from the same head. Every contestant is a process of its own, timed from the loading of the weights to the metric on
dev.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import multiprocessing
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lhotse import CutSet
from torch import Tensor, nn

from audiossl import load_upstream
from audiossl.data.loader import make_loader
from audiossl.data.manifests import cuts_from_csv, read_manifest, write_manifests
from audiossl.experiment import Experiment, build_downstream, read_experiment, train
from audiossl.features.manage import kept_in
from audiossl.originals.huggingface import write_folder
from audiossl.runlog import read_log
from benchmarks.common import parser, publish, table

PLAIN = "transformers, plain loop"
# What each contestant does: the form of features, and whether the cache is emptied before.
CONTESTANTS: Mapping[str, tuple[str, bool]] = {
    PLAIN: ("", False),
    "audiossl, features=off": ("off", False),
    "audiossl, frames, with extraction": ("frames", True),
    "audiossl, frames, when they are there": ("frames", False),
    "audiossl, pooled, with extraction": ("pooled", True),
    "audiossl, pooled, when they are there": ("pooled", False),
}


class Outcome(NamedTuple):
    """What a process found. peak_mib: resident memory; cache_bytes: of what it read."""

    seconds: float
    peak_mib: float
    first_loss: float
    last_loss: float
    accuracy: float
    cache_bytes: int = 0


def main() -> None:
    made = parser(__doc__)
    made.set_defaults(rounds=3)
    made.add_argument("--epochs", type=int, default=20)
    made.add_argument("--num-layers", type=int, default=12, help="12 is base size")
    made.add_argument("--per-speaker", type=int, default=10, help="recordings of each speaker; a third is for dev")
    made.add_argument("--corpus", default="libri_mini", choices=["libri_mini", "fsdd"])
    made.add_argument("--batch-size", type=int, default=8)
    arguments = made.parse_args()
    if arguments.data is None:
        made.error("real recordings are needed: give --data, or set AUDIOSSL_DATA")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        splits = _splits(arguments.data / arguments.corpus, arguments.per_speaker)
        write_manifests(splits, folder / "manifests")
        write_folder(load_upstream("wav2vec2", weights="random", num_layers=arguments.num_layers), folder / "encoder")
        outcomes: dict[str, list[Outcome]] = defaultdict(list)
        for number in range(arguments.rounds):
            for name in CONTESTANTS:
                outcomes[name].append(_in_a_process(name, folder, arguments))
                print(f"round {number + 1}, {name}: {outcomes[name][-1]}", flush=True)
    publish(arguments, "Training a head on a frozen encoder", *_page(arguments, splits, outcomes))


def _splits(corpus: Path, per_speaker: int) -> dict[str, CutSet]:
    """Recordings of the test split by their speakers, every third for dev."""
    by_speaker: dict[str, list[Any]] = defaultdict(list)
    for cut in cuts_from_csv(corpus / "manifest.csv")["test"]:
        by_speaker[cut.supervisions[0].speaker].append(cut)
    chosen = [cuts[:per_speaker] for cuts in by_speaker.values() if len(cuts) >= 3]
    train_cuts = [cut for cuts in chosen for number, cut in enumerate(cuts) if number % 3]
    dev = [cut for cuts in chosen for number, cut in enumerate(cuts) if number % 3 == 0]
    return {"train": CutSet.from_cuts(train_cuts), "dev": CutSet.from_cuts(dev)}


def _in_a_process(name: str, folder: Path, arguments: argparse.Namespace) -> Outcome:
    form, afresh = CONTESTANTS[name]
    if afresh:
        shutil.rmtree(folder / form, ignore_errors=True)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (name, folder, vars(arguments), torch.get_num_threads()))


def _measured(name: str, folder: Path, settings: dict[str, Any], threads: int) -> Outcome:
    torch.set_num_threads(threads)
    form, _ = CONTESTANTS[name]
    config = _experiment(folder, form or "off", settings)
    start = time.perf_counter()
    losses, accuracy = _plain(config, folder) if name == PLAIN else _ours(config, folder)
    seconds = time.perf_counter() - start
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    kept = sum(entry.num_bytes for entry in kept_in(folder / form)) if form in ("frames", "pooled") else 0
    return Outcome(seconds, peak, losses[0], losses[-1], accuracy, kept)


def _experiment(folder: Path, form: str, settings: dict[str, Any]) -> Experiment:
    rows = sum(1 for _ in read_manifest(folder / "manifests" / "train.jsonl.gz"))
    steps = settings["epochs"] * math.ceil(rows / settings["batch_size"])
    made: Experiment = read_experiment(
        None,
        [
            f"upstream=hf:{folder / 'encoder'}",
            f"data.dir={folder / 'manifests'}",
            f"data.batch_size={settings['batch_size']}",
            "task.label_field=speaker",
            f"trainer.steps={steps}",
            "trainer.eval_every=0",
            f"trainer.save_every={steps}",
            "trainer.log_every=1",
            "trainer.device=cpu",
            f"features={form}",
            f"cache.dir={folder / form}",
        ],
    )
    return made


def _ours(config: Experiment, folder: Path) -> tuple[list[float], float]:
    out = train(config, folder / "run", overwrite=True)
    lines = list(read_log(out))
    losses = [line["loss"] for line in lines if line["split"] == "train"]
    return losses, next(line["accuracy"] for line in lines if line["split"] == "dev")


class _Plain(nn.Module):
    """Softmax-weighted hidden states, Linear, masked mean, Linear: what the toolkit's head is at the start."""

    def __init__(self, task: Any) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(len(task.upstream.widths)))
        self.projector, self.classifier = task.projector, task.classifier

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """states (L, B, T, D), lengths (B,) -> (B, C)."""
        mixed = (self.weights.softmax(0)[:, None, None, None] * states).sum(0)
        valid = (torch.arange(mixed.shape[1]) < lengths[:, None])[..., None]
        mean = (self.projector(mixed) * valid).sum(1) / valid.sum(1)
        logits: Tensor = self.classifier(mean)
        return logits


def _plain(config: Experiment, folder: Path) -> tuple[list[float], float]:
    from transformers import AutoModel

    cuts = {split: read_manifest(folder / "manifests" / f"{split}.jsonl.gz") for split in ("train", "dev")}
    labels = sorted({cut.supervisions[0].speaker for cut in cuts["train"]})
    counts = [1] * len(labels)
    completed = dataclasses.replace(config, task={**config.task, "labels": labels, "label_counts": counts})
    head = _Plain(build_downstream(completed, load_upstream("wav2vec2", weights="random", num_layers=1, width=768)))
    model = AutoModel.from_pretrained(folder / "encoder").eval()
    head.weights = nn.Parameter(torch.zeros(model.config.num_hidden_layers + 1))
    optimizer = torch.optim.Adam(head.parameters(), lr=config.trainer.lr)

    def logits_of(batch: Any) -> tuple[Tensor, Tensor]:
        mask = (torch.arange(batch.wavs.shape[1]) < batch.lengths[:, None]).long()
        with torch.no_grad():
            states = model(batch.wavs, attention_mask=mask, output_hidden_states=True).hidden_states
        targets = torch.tensor([labels.index(cut.supervisions[0].speaker) for cut in batch.cuts])
        lengths = model._get_feat_extract_output_lengths(batch.lengths)
        return head(torch.stack(states), lengths), targets

    def loader(split: str) -> Any:
        return make_loader(cuts[split], config.data, sample_rate_hz=16000, seed=0, train=split == "train")

    losses: list[float] = []
    for _, batch in zip(range(config.trainer.steps), loader("train"), strict=False):
        logits, targets = logits_of(batch)
        loss = nn.functional.cross_entropy(logits, targets)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), config.trainer.clip)
        optimizer.step()
        losses.append(float(loss.detach()))
    with torch.no_grad():
        pairs = [logits_of(batch) for batch in loader("dev")]
    correct = sum(int((logits.argmax(-1) == targets).sum()) for logits, targets in pairs)
    return losses, correct / sum(len(targets) for _, targets in pairs)


def _page(
    arguments: argparse.Namespace, splits: Mapping[str, CutSet], outcomes: Mapping[str, list[Outcome]]
) -> list[str]:
    seconds = {name: sorted(o.seconds for o in found)[len(found) // 2] for name, found in outcomes.items()}
    off = "audiossl, features=off"
    rows = []
    for name, found in outcomes.items():
        last = found[-1]
        size = f"{last.cache_bytes / 1e6:.2f}" if last.cache_bytes else ""
        ratios = [
            f"{seconds[name]:.2f}",
            f"{seconds[PLAIN] / seconds[name]:.1f}",
            f"{seconds[off] / seconds[name]:.1f}",
        ]
        losses = [f"{last.first_loss:.6f}", f"{last.last_loss:.6f}", f"{last.accuracy:.3f}"]
        rows.append([name, *ratios, size, f"{last.peak_mib:.0f}", *losses])
    bytes_of = {CONTESTANTS[name][0]: found[-1].cache_bytes for name, found in outcomes.items()}
    lengths = sorted(cut.duration for cuts in splits.values() for cut in cuts)
    text = (
        f"{arguments.epochs} epochs on {len(splits['train'])} recordings of {arguments.corpus} and one evaluation on "
        f"{len(splits['dev'])}, {lengths[0]:.1f} to {lengths[-1]:.1f} s long, {sum(lengths):.0f} s in all; batches of "
        f"{arguments.batch_size}; {arguments.num_layers} blocks of 768, random weights. Medians of {arguments.rounds} "
        "rounds in which the contestants take turns, each in a process of its own; loading of the weights, extraction, "
        "checkpoints, evaluation included. The plain loop's encoder sees the padding (its group norms know no mask), "
        "so its losses are close to the others', not equal. Peak memory: of the process, mapped files included. "
        f"Frames take {bytes_of['frames'] / max(bytes_of['pooled'], 1):.0f} times the room of means, both in fp16."
    )
    names = ["contestant", "s", "speed against the first", "against off", "cache MB", "peak MiB"]
    header = [*names, "first loss", "last loss", "dev accuracy"]
    return [text, table(header, rows)]


if __name__ == "__main__":
    main()
