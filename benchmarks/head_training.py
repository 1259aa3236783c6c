"""Training a head on a frozen encoder: recomputed in every epoch, from the feature cache, and five learning rates.

    AUDIOSSL_DATA=... python -m benchmarks.head_training --rounds 3 --slow-rounds 1 --per-speaker 5 \\
        --leave-out features=off --write

A base-size wav2vec 2.0 with random weights, SUPERB's utterance head with a weighted sum of all layers, real recordings
of mixed length and their speakers; dev is scored after every epoch and the best weights are kept. The plain loop is
what one writes with transformers: hidden states of a padded batch, softmax-weighted, the same head, Adam. It gets its
batches from the same loader in the same order, and starts from the same head; the encoder is of the style with layer
norms, whose padded batches equal their items in transformers too, so that all contestants compute the same.
Every run is a process of its own, timed from the loading of the weights to the last checkpoint.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import multiprocessing
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lhotse import CutSet
from torch import Tensor, nn

from audiossl import load_upstream
from audiossl.core.tensors import fingerprint
from audiossl.data.config import LoaderConfig
from audiossl.data.loader import make_loader
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.sources import cuts_from_csv
from audiossl.data.stream import BatchStream, StreamPlan
from audiossl.encoders.waveform.to_transformers import write_folder
from audiossl.experiments.building import build_downstream, complete_config
from audiossl.experiments.config import Experiment, read_experiment
from audiossl.experiments.start import train
from audiossl.experiments.sweeps.record import is_sweep, read_sweep
from audiossl.features.access import open_source
from audiossl.features.config import CacheConfig
from audiossl.features.manage import entries_in
from audiossl.training.log import read_log
from benchmarks.common import parser, publish, table

RATES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
MIDDLE = RATES[2]
STYLE: dict[str, Any] = {"conv_norm": "layer", "conv_bias": True, "pre_norm": True, "normalize": "layer_norm"}
ATTENTION = ("task.pooling=attention",)  # a head that needs every frame


@dataclass(frozen=True)
class Contestant:
    """form: of features, '' for the plain loop; empty: the cache is emptied before; stack: of a sweep, '' for none.

    rates: learning rates, one after another in processes of their own where it is no sweep. slow: encodes every epoch.
    """

    form: str
    empty: bool = False
    settings: tuple[str, ...] = ()
    rates: tuple[float, ...] = (MIDDLE,)
    stack: str = ""

    @property
    def slow(self) -> bool:
        return self.form in ("", "off")


PLAIN, OFF = "transformers, plain loop", "audiossl, features=off"
ONE: Mapping[str, Contestant] = {
    PLAIN: Contestant(""),
    OFF: Contestant("off"),
    "audiossl, frames, with extraction": Contestant("frames", empty=True),
    "audiossl, frames, when they are there": Contestant("frames"),
    "audiossl, pooled, with extraction": Contestant("pooled", empty=True),
    "audiossl, pooled, when they are there": Contestant("pooled"),
}
HEADS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "pooled, mean pooling": ("pooled", ()),
    "frames, mean pooling": ("frames", ()),
    "frames, attention pooling": ("frames", ATTENTION),
}
WAYS = {"five runs": "", "one sweep, taking turns": "off", "one sweep, sweep.stack=auto": "auto"}
FIVE: Mapping[str, Contestant] = {
    f"{head}: {way}": Contestant(form, settings=settings, rates=RATES, stack=stack)
    for head, (form, settings) in HEADS.items()
    for way, stack in WAYS.items()
}


class Curve(NamedTuple):
    """Losses of logged steps, and accuracies on dev after each epoch."""

    losses: dict[int, float]
    accuracies: list[float]


class Outcome(NamedTuple):
    """What a contestant's processes found. peak_mib: resident memory, mapped files included; curves: by rate."""

    seconds: float
    peak_mib: float
    curves: dict[float, Curve]


def main() -> None:
    made = parser(__doc__)
    made.set_defaults(rounds=3)
    made.add_argument("--slow-rounds", type=int, help="rounds of those that encode in every epoch; default: all")
    made.add_argument("--epochs", type=int, default=20)
    made.add_argument("--num-layers", type=int, default=12, help="12 is base size")
    made.add_argument("--per-speaker", type=int, default=10, help="recordings of each speaker; a third is for dev")
    made.add_argument("--corpus", default="libri_mini", choices=["libri_mini", "fsdd"])
    made.add_argument("--batch-size", type=int, default=8)
    made.add_argument("--only", default="", help="only contestants with this in their names")
    made.add_argument("--leave-out", help="no contestants with this in their names, such as features=off")
    arguments = made.parse_args()
    if arguments.data is None:
        made.error("real recordings are needed: give --data, or set AUDIOSSL_DATA")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        splits = _splits(arguments.data / arguments.corpus, arguments.per_speaker)
        write_manifests(splits, folder / "manifests")
        encoder = load_upstream("wav2vec2", weights="random", num_layers=arguments.num_layers, **STYLE)
        write_folder(encoder, folder / "encoder")
        contestants = {
            name: each
            for name, each in {**ONE, **FIVE}.items()
            if arguments.only in name and not (arguments.leave_out and arguments.leave_out in name)
        }
        outcomes: dict[str, list[Outcome]] = defaultdict(list)
        for number in range(arguments.rounds):
            for name, contestant in contestants.items():
                if contestant.slow and number >= (arguments.slow_rounds or arguments.rounds):
                    continue
                outcomes[name].append(_run(contestant, folder, arguments))
                print(f"round {number + 1}, {name}: {outcomes[name][-1].seconds:.2f} s", flush=True)
        sizes = {form: sum(entry.num_bytes for entry in entries_in(folder / form)) for form in ("frames", "pooled")}
        parts = _page(arguments, splits, outcomes, sizes)
    publish(arguments, "Training a head on a frozen encoder", *parts)


def _splits(corpus: Path, per_speaker: int) -> dict[str, CutSet]:
    """Recordings of the test split by their speakers, every third for dev."""
    by_speaker: dict[str, list[Any]] = defaultdict(list)
    for cut in cuts_from_csv(corpus / "manifest.csv")["test"]:
        by_speaker[cut.supervisions[0].speaker].append(cut)
    chosen = [cuts[:per_speaker] for cuts in by_speaker.values() if len(cuts) >= 3]
    train_cuts = [cut for cuts in chosen for number, cut in enumerate(cuts) if number % 3]
    dev = [cut for cuts in chosen for number, cut in enumerate(cuts) if number % 3 == 0]
    return {"train": CutSet.from_cuts(train_cuts), "dev": CutSet.from_cuts(dev)}


def _run(contestant: Contestant, folder: Path, arguments: argparse.Namespace) -> Outcome:
    if contestant.empty:
        shutil.rmtree(folder / contestant.form, ignore_errors=True)
    parts = [contestant.rates] if contestant.stack else [(rate,) for rate in contestant.rates]
    outcomes = [_in_a_process(dataclasses.replace(contestant, rates=part), folder, arguments) for part in parts]
    curves = {rate: curve for outcome in outcomes for rate, curve in outcome.curves.items()}
    return Outcome(sum(each.seconds for each in outcomes), max(each.peak_mib for each in outcomes), curves)


def _in_a_process(contestant: Contestant, folder: Path, arguments: argparse.Namespace) -> Outcome:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        settings = {"epochs": arguments.epochs, "batch_size": arguments.batch_size}
        return pool.apply(_measured, (contestant, folder, settings, torch.get_num_threads()))


def _measured(contestant: Contestant, folder: Path, settings: dict[str, Any], threads: int) -> Outcome:
    torch.set_num_threads(threads)
    config = _experiment(contestant, folder, settings)
    start = time.perf_counter()
    if contestant.form:
        made = train(config, folder / "run", overwrite=True)
        seconds, curves = time.perf_counter() - start, _curves(made, config)
    else:
        curve = _plain(config, folder)
        seconds, curves = time.perf_counter() - start, {config.trainer.lr: curve}
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    return Outcome(seconds, peak, curves)


def _experiment(contestant: Contestant, folder: Path, settings: Mapping[str, Any]) -> Experiment:
    rows = sum(1 for _ in read_manifest(folder / "manifests" / "train.jsonl.gz"))
    per_epoch = math.ceil(rows / settings["batch_size"])
    several = [f"sweep.lr={list(contestant.rates)}", f"sweep.stack={contestant.stack}"]
    form = contestant.form or "off"
    made: Experiment = read_experiment(
        None,
        [
            f"upstream=hf:{folder / 'encoder'}",
            f"data.dir={folder / 'manifests'}",
            f"data.batch_size={settings['batch_size']}",
            "task.label_field=speaker",
            "standardize=false",  # as the plain loop
            f"trainer.steps={settings['epochs'] * per_epoch}",
            f"trainer.eval_every={per_epoch}",
            f"trainer.save_every={settings['epochs'] * per_epoch}",
            "trainer.device=cpu",
            f"features={form}",
            f"cache.dir={folder / form}",
            *contestant.settings,
            *(several if contestant.stack else [f"trainer.lr={contestant.rates[0]}"]),
        ],
    )
    return made


def _curves(out: Path, config: Experiment) -> dict[float, Curve]:
    """Of a run or of all members of a sweep."""
    if not is_sweep(out):
        return {config.trainer.lr: _curve(out)}
    return {entry.values["lr"]: _curve(out / entry.name) for entry in read_sweep(out).members}


def _curve(run: Path) -> Curve:
    lines = read_log(run)
    losses = {line["step"]: line["loss"] for line in lines if line["split"] == "train"}
    return Curve(losses, [line["accuracy"] for line in lines if line["split"] == "dev"])


class _Plain(nn.Module):
    """Softmax-weighted hidden states, Linear, masked mean, Linear: what the toolkit's head is at the start."""

    def __init__(self, task: Any, num_layers: int) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(num_layers))
        self.projector, self.classifier = task.projector, task.classifier

    def forward(self, states: Tensor, lengths: Tensor) -> Tensor:
        """states (L, B, T, D), lengths (B,) -> (B, C)."""
        mixed = (self.weights.softmax(0)[:, None, None, None] * states).sum(0)
        valid = (torch.arange(mixed.shape[1]) < lengths[:, None])[..., None]
        mean = (self.projector(mixed) * valid).sum(1) / valid.sum(1)
        logits: Tensor = self.classifier(mean)
        return logits


def _plain(config: Experiment, folder: Path) -> Curve:
    from transformers import AutoModel

    cuts = {split: read_manifest(folder / "manifests" / f"{split}.jsonl.gz") for split in ("train", "dev")}
    model = AutoModel.from_pretrained(folder / "encoder").eval()
    labels = sorted({cut.supervisions[0].speaker for cut in cuts["train"]})
    # The same head at the start: its parameters are drawn for any encoder of this width alike.
    stand_in = load_upstream("wav2vec2", weights="random", num_layers=1, width=768)
    head = _Plain(
        build_downstream(complete_config(config, cuts["train"]), stand_in), model.config.num_hidden_layers + 1
    )
    optimizer = torch.optim.Adam(head.parameters(), lr=config.trainer.lr)

    def logits_of(batch: Any) -> tuple[Tensor, Tensor]:
        mask = (torch.arange(batch.wavs.shape[1]) < batch.lengths[:, None]).long()
        with torch.no_grad():
            made = model(_normalized(batch), attention_mask=mask, output_hidden_states=True)
        states = [*made.hidden_states[:-1], made.last_hidden_state]  # after the final norm in every version
        targets = torch.tensor([labels.index(cut.supervisions[0].speaker) for cut in batch.cuts])
        return head(torch.stack(states), model._get_feat_extract_output_lengths(batch.lengths)), targets

    def loader(split: str) -> Iterator[Any]:
        return iter(make_loader(cuts[split], StreamPlan(config.data, sample_rate_hz=16000, train=split == "train")))

    found = Curve({}, [])
    for step, batch in zip(range(1, config.trainer.steps + 1), loader("train"), strict=False):
        logits, targets = logits_of(batch)
        loss = nn.functional.cross_entropy(logits, targets)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), config.trainer.clip)
        optimizer.step()
        found.losses[step] = float(loss.detach())
        if step % config.trainer.eval_every == 0:
            with torch.no_grad():
                pairs = [logits_of(each) for each in loader("dev")]
            correct = sum(int((each.argmax(-1) == right).sum()) for each, right in pairs)
            found.accuracies.append(correct / sum(len(right) for _, right in pairs))
            if found.accuracies[-1] == max(found.accuracies):
                torch.save(head.state_dict(), folder / "plain.pt")
    return found


def _normalized(batch: Any) -> Tensor:
    """(B, S), each recording of mean 0 and variance 1, as the models of this style expect it."""
    rows = [nn.functional.layer_norm(wav[:n], (int(n),)) for wav, n in zip(batch.wavs, batch.lengths, strict=True)]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True)


def _page(
    arguments: argparse.Namespace,
    splits: Mapping[str, CutSet],
    outcomes: Mapping[str, list[Outcome]],
    sizes: Mapping[str, int],
) -> list[str]:
    seconds = {name: statistics.median(outcome.seconds for outcome in found) for name, found in outcomes.items()}
    lengths = sorted(cut.duration for cuts in splits.values() for cut in cuts)
    slow = arguments.slow_rounds or arguments.rounds
    text = (
        f"{arguments.epochs} epochs on {len(splits['train'])} recordings of {arguments.corpus}, with an evaluation on "
        f"{len(splits['dev'])} after each; {lengths[0]:.1f} to {lengths[-1]:.1f} s long, {sum(lengths):.0f} s in all; "
        f"batches of {arguments.batch_size} with {_padding(splits, arguments.batch_size):.2f} times the useful sound; "
        f"{arguments.num_layers} blocks of 768, random weights. Medians of {arguments.rounds} rounds in which the "
        f"contestants take turns (of {slow} for those that encode in every epoch). espnet with s3prl's upstreams is "
        "not among them: s3prl does not import with this torchaudio. Peak memory: of a process, mapped files included."
    )
    parts = [text, "## One head", _one_head(outcomes, seconds, sizes)]
    parts += ["## Five learning rates", _five_text(), _five_rates(outcomes, seconds)]
    return [*parts, "## Size", _size(arguments, sizes)]


def _padding(splits: Mapping[str, CutSet], batch_size: int) -> float:
    """Of the batches of the first epoch: samples with padding over samples."""
    plan = StreamPlan(LoaderConfig(batch_size=batch_size), sample_rate_hz=16000, train=True)
    padded = useful = 0.0
    for item in BatchStream(splits["train"], plan):
        if item.position.epoch:
            break
        padded += len(item.cuts) * max(cut.duration for cut in item.cuts)
        useful += sum(cut.duration for cut in item.cuts)
    return padded / useful


def _one_head(outcomes: Mapping[str, list[Outcome]], seconds: Mapping[str, float], sizes: Mapping[str, int]) -> str:
    rows, bases = [], [base for base in (PLAIN, OFF) if base in seconds]
    for name, contestant in ONE.items():
        if name not in outcomes:
            continue
        ratios = [f"{seconds[base] / seconds[name]:.1f}" for base in bases]
        last = outcomes[name][-1]
        curve, size = last.curves[MIDDLE], sizes.get(contestant.form)
        losses = [*curve.losses.values()]
        found = [f"{losses[-1]:.6f}", f"{curve.accuracies[-1]:.3f}", f"{max(curve.accuracies):.3f}"]
        room = [f"{size / 1e6:.2f}" if size else "", f"{last.peak_mib:.0f}"]
        rows.append([name, f"{seconds[name]:.2f}", *ratios, *room, *found])
    names = ["contestant", "s", *(f"times faster than {base}" for base in bases), "cache MB", "peak MiB"]
    return table([*names, "last loss", "dev accuracy after the last epoch", "best"], rows)


def _five_text() -> str:
    rates = ", ".join(f"{rate:g}" for rate in RATES)
    return (
        f"Learning rates {rates}; the hidden states are there. Five runs are five processes, one after the other; a "
        "sweep is one. Differences from the five runs are the largest of all logged losses (relative, for those above "
        f"1), for the rates up to {MIDDLE:g} and for those above, with which training is unstable and lets rounding "
        "grow. `sweep.stack=auto` computes heads as one where a recording is one "
        "vector, and lets them take turns on frames. A head with mean pooling reads the means of frames; one with "
        "attention needs them all."
    )


def _five_rates(outcomes: Mapping[str, list[Outcome]], seconds: Mapping[str, float]) -> str:
    rows = []
    for head in HEADS:
        base = f"{head}: five runs"
        for way in WAYS:
            name = f"{head}: {way}"
            if name not in outcomes or base not in outcomes:
                continue
            last = outcomes[name][-1]
            differences = [f"{each:.1e}" for each in _differences(last, outcomes[base][-1])]
            numbers = [f"{seconds[name]:.2f}", f"{seconds[base] / seconds[name]:.2f}", f"{last.peak_mib:.0f}"]
            rows.append([name, *numbers, *differences])
    header = ["head and way", "s", "speed against five runs", "peak MiB", "difference of losses", "at larger rates"]
    return table(header, rows)


def _differences(one: Outcome, other: Outcome) -> tuple[float, float]:
    """Of the losses of rates up to the middle one, and of those above."""

    def largest(rates: Iterable[float]) -> float:
        pairs = [(one.curves[rate].losses, other.curves[rate].losses) for rate in rates]
        return max(abs(a[step] - b[step]) / max(1, b[step]) for a, b in pairs for step in a)

    return largest(rate for rate in RATES if rate <= MIDDLE), largest(rate for rate in RATES if rate > MIDDLE)


def _size(arguments: argparse.Namespace, sizes: Mapping[str, int]) -> str:
    """Of the recordings above, as kept, and of the whole corpus, from the lengths of its recordings."""
    every = [cut for cuts in cuts_from_csv(arguments.data / arguments.corpus / "manifest.csv").values() for cut in cuts]
    minutes = sum(cut.duration for cut in every) / 60
    kept = {(form, dtype): _bytes_of(every, form, dtype, arguments.num_layers) for form, dtype in _KINDS}
    rows = [
        [f"{form}, {dtype}", f"{kept[form, dtype] / 1e6:.1f}", f"{kept['frames', dtype] / kept[form, dtype]:.0f}"]
        for form, dtype in _KINDS
    ]
    ratio = sizes["frames"] / max(sizes["pooled"], 1)
    text = (
        f"Above, frames (fp16) took {ratio:.0f} times the room of means (fp32). The table is of all {len(every)} "
        f"recordings of {arguments.corpus}, {minutes:.0f} minutes, as the cache computes it before it encodes; in one "
        "type, the ratio is the mean number of frames of a recording."
    )
    return f"{text}\n\n{table(['form and type', 'MB', 'times smaller than frames of that type'], rows)}"


_KINDS = (("frames", "fp32"), ("frames", "fp16"), ("pooled", "fp32"), ("pooled", "fp16"))


def _bytes_of(cuts: Sequence[Any], form: Any, dtype: Any, num_layers: int) -> int:
    upstream = load_upstream("wav2vec2", weights="random", num_layers=num_layers, **STYLE)
    with tempfile.TemporaryDirectory() as scratch:
        cache = CacheConfig(dir=scratch, dtype=dtype)
        source = open_source(upstream, fingerprint(upstream), cache, form, layers=range(num_layers + 1))
        size = source.survey(cuts).num_bytes
        source.store.close()
    return size


if __name__ == "__main__":
    main()
