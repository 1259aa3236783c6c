"""Ten symptoms and a severity from speech: single tasks against one multi-task head, and encoders against each other.

    python -m benchmarks.symptoms --write
    python -m benchmarks.symptoms --nemo --encoder tera_mini

Acceptance of the individual-symptoms paper on sound that is made here (its interviews are private): voices of subjects
whose rate, pauses, pitch, loudness and breath follow five causes. A cause is in part the severity. Ten items are each
a threshold on a cause and on what nobody hears, and the severity is their sum; 30 % of the items are empty. Subjects of
train, dev and test are apart. A session is the mean of the predictions of its segments.

With --nemo, instead, emotion, sex and age of nemo_mini: alone, and at once, over folds of one speaker each.
"""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from lhotse import CutSet

from audiossl import (
    Batch,
    CacheConfig,
    MultiTask,
    MultiTaskConfig,
    Upstream,
    fingerprint,
    load_run,
    load_upstream,
    read_experiment,
    read_manifest,
    train,
)
from audiossl.core.config import structured
from audiossl.core.types import Metric
from audiossl.data.manifests import write_manifests
from audiossl.data.sources import cuts_from_csv
from audiossl.downstreams.multi_task.scoring import TargetScores, estimate_among
from audiossl.features.access import open_states
from audiossl.metrics.clusters import clusters_of
from audiossl.metrics.jackknife import Difference, Estimate, difference_of, mean_of, no_intervals
from audiossl.training.joined_interface import interface_for
from benchmarks.common import parser, publish, table

RATE, SEGMENTS, SECONDS, SEED = 16000, 4, 2.5, 0
STEPS, EVERY, LR = 300, 20, 3e-3
SUBJECTS = {"train": 80, "dev": 30, "test": 60}
ITEMS = tuple(f"item_{number}" for number in range(1, 11))
TARGETS = (*ITEMS, "severity")
MISSING = 0.3
ENCODERS = ("log_mel", "tera_mini", "distil_mini", "log_mel + tera_mini", "log_mel + tera_mini + distil_mini")
FORMANTS_HZ = ((730, 1090, 2440), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240), (530, 1840, 2480))
Floats = npt.NDArray[np.float64]


class Subject(NamedTuple):
    """Causes (5,) in standard deviations, items by name (None: empty), and the severity."""

    name: str
    split: str
    causes: Floats
    items: dict[str, int | None]
    severity: int


def subjects() -> Iterator[Subject]:
    """Everyone, each drawn from the seed and their number."""
    number = 0
    for split, count in SUBJECTS.items():
        for _ in range(count):
            draw = np.random.default_rng([SEED, number])
            severity = draw.standard_normal()
            causes = 0.7 * severity + 0.71 * draw.standard_normal(5)
            heard = np.tile(causes, 2)
            felt = 0.85 * heard + 0.53 * draw.standard_normal(len(ITEMS))
            there = (felt > np.linspace(-0.4, 0.6, len(ITEMS))).astype(int)
            empty = draw.random(len(ITEMS)) < MISSING
            items = {name: None if gone else int(value) for name, value, gone in zip(ITEMS, there, empty, strict=True)}
            yield Subject(f"s{number:03}", split, causes, items, int(there.sum()))
            number += 1


def segment(subject: Subject, number: int) -> Floats:
    """(S,) of one segment: syllables of vowels with pauses, by a pulse train through formants, and breath."""
    draw = np.random.default_rng([SEED, int(subject.name[1:]), number])
    rate, pauses, pitch, loudness, breath = subject.causes + 0.3 * draw.standard_normal(5)
    base = np.random.default_rng([SEED, int(subject.name[1:]), 99]).choice([120.0, 200.0])
    made: list[Floats] = []
    while sum(map(len, made)) < RATE * SECONDS:
        size = int(RATE * 0.18 * np.exp(0.2 * rate + 0.1 * draw.standard_normal()))
        f0 = base * np.exp(0.12 * np.exp(-0.5 * pitch) * draw.standard_normal(2))
        made.append(_syllable(size, f0, FORMANTS_HZ[int(draw.integers(5))], np.exp(0.5 * breath), draw))
        if draw.random() < 0.25:
            made.append(np.zeros(int(RATE * 0.15 * np.exp(0.4 * pauses))))
    sound = np.concatenate(made)[: int(RATE * SECONDS)]
    level = 0.05 * np.exp(-0.35 * loudness)
    return level * sound / sound.std() + 1e-4 * draw.standard_normal(len(sound))


def _syllable(size: int, f0: Floats, formants: Sequence[int], breath: float, draw: Any) -> Floats:
    from scipy.signal import lfilter

    phase = np.cumsum(np.linspace(f0[0], f0[1], size)) / RATE
    source = np.diff(np.floor(phase), prepend=0.0) + 0.01 * breath * draw.standard_normal(size)
    for centre in formants:
        radius, angle = np.exp(-np.pi * 90 / RATE), 2 * np.pi * centre / RATE
        source = lfilter([1 - radius], [1, -2 * radius * np.cos(angle), radius**2], source)
    found: Floats = source / (source.std() + 1e-9) * np.hanning(size)
    return found


def make_corpus(folder: Path) -> Path:
    """Write sound, table and manifests. Returns the folder of manifests."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "segments.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "speaker", "split", *TARGETS])
        for subject in subjects():
            told = ["" if subject.items[name] is None else subject.items[name] for name in ITEMS]
            for number in range(SEGMENTS):
                name = f"{subject.name}_{number}.wav"
                soundfile.write(folder / name, segment(subject, number).clip(-1, 1), RATE)
                rows.writerow([name, subject.name, subject.split, *told, subject.severity])
    write_manifests(cuts_from_csv(folder / "segments.csv"), folder / "manifests")
    return folder / "manifests"


class Sessions(NamedTuple):
    """Scores of sessions: the main figure of each target, without each subject, and all metrics."""

    estimates: Mapping[str, Estimate]
    metrics: Mapping[str, Metric]


def trained(encoder: str, targets: Mapping[str, Any], out: Path, *settings: str) -> Any:
    """A run of multi_task with these targets, as the setting `symptoms` trains it."""
    told = ["downstream=multi_task", "setting=default", f"upstream={encoder}", f"trainer.steps={STEPS}"]
    train(read_experiment(None, [*told, f"task.targets={json.dumps(targets)}", *settings]), out, overwrite=True)
    return load_run(out)


class Encoded(NamedTuple):
    """An encoder, and the means over time of its layers for the rows of each split, as the feature cache keeps them."""

    upstream: Upstream
    batches: Mapping[str, Batch]


def encoded(encoder: str, data: Path) -> Encoded:
    """Each row once. encoder: one, or several with ' + ' between them."""
    upstream = load_upstream(encoder)
    layers = range(upstream.num_layers)
    source = open_states(upstream, fingerprint(upstream), CacheConfig(), "pooled", layers=layers)
    try:
        rows = {split: list(read_manifest(data / f"{split}.jsonl.gz")) for split in SUBJECTS}
        return Encoded(upstream, {split: source.batch(cuts) for split, cuts in rows.items()})
    finally:
        source.close()


def run(found: Encoded, targets: Sequence[str]) -> Sessions:
    """Train and test some of the targets with the head of `symptoms`, on means: the weights that are best on dev."""
    kinds = {name: {"kind": "number" if name == "severity" else "class"} for name in targets}
    config = MultiTask.complete(structured(MultiTaskConfig, {"targets": kinds}), found.batches["train"].cuts)
    torch.manual_seed(SEED)
    task = MultiTask(found.upstream, interface_for(found.upstream, "weighted_sum", {}), config)
    task.standardize()
    task.fit([found.batches["train"]])
    optimizer = torch.optim.Adam([each for each in task.parameters() if each.requires_grad], lr=LR)
    best, state = -1.0, task.trainable_state()
    for step in range(1, STEPS + 1):
        optimizer.zero_grad()
        task.train().loss(found.batches["train"]).total.backward()
        optimizer.step()
        if step % EVERY == 0:
            with no_intervals():
                mean = task.eval().score(task.predict(found.batches["dev"]))["mean"].value
            if mean > best:
                best, state = mean, {name: value.clone() for name, value in task.trainable_state().items()}
    task.load_trainable_state(state)
    sessions: dict[str, list[dict[str, Any]]] = {}
    for row in task.eval().predict(found.batches["test"]):
        sessions.setdefault(row["speaker"], []).append(row)
    rows = [task.ensemble(sessions[name]) for name in sorted(sessions)]
    scores = TargetScores(list(task.heads), rows)  # type: ignore[arg-type]
    return Sessions(_estimates(scores, rows), {**scores.by_target(), **scores.mean()})


def _estimates(scores: TargetScores, rows: Sequence[Mapping[str, Any]]) -> dict[str, Estimate]:
    clusters = clusters_of([row["speaker"] for row in rows], len(rows))
    found = {each.head.name: estimate_among(each, each.head.main, rows, clusters) for each in scores.known}
    return {name: each for name, each in found.items() if each is not None}


def figure(metric: Metric) -> str:
    interval = "" if metric.low is None else f" [{metric.low:.2f}, {metric.high:.2f}]"
    return f"{metric.value:.2f}{interval}"


def difference(first: Mapping[str, Estimate], second: Mapping[str, Estimate], names: Sequence[str]) -> str:
    """Mean over targets of first minus second, paired over subjects."""
    num = len(first[names[0]].without)
    clusters = clusters_of([str(each) for each in range(num)], num)
    ours, theirs = (
        mean_of([each[name]._replace(scale="real", num_items=None) for name in names]) for each in (first, second)
    )
    return _written(difference_of(ours, theirs, clusters))


def symptom_pages(encoders: Sequence[str], work: Path) -> list[str]:
    """The tables on made speech."""
    data = make_corpus(work / "symptoms")
    single: dict[str, Sessions] = {}
    multi: dict[str, Sessions] = {}
    for encoder in encoders:
        name, found = Path(encoder).name, encoded(encoder, data)
        alone = [run(found, [target]) for target in TARGETS]
        single[name] = Sessions(
            {key: value for each in alone for key, value in each.estimates.items()},
            {key: value for each in alone for key, value in each.metrics.items()},
        )
        multi[name] = run(found, TARGETS)
        print(f"{name}: {difference(multi[name].estimates, single[name].estimates, ITEMS)}", flush=True)
    both = (ITEMS, ["severity"])
    gaps = [
        [name, *(difference(multi[name].estimates, single[name].estimates, each) for each in both)] for name in multi
    ]
    between = [
        [f"`{ours}` minus `{theirs}`", *(difference(multi[ours].estimates, multi[theirs].estimates, e) for e in both)]
        for theirs, ours in combinations(multi, 2)
    ]
    return [
        "## Made speech: ten items and a severity",
        f"{SUBJECTS['train']} training, {SUBJECTS['dev']} dev and {SUBJECTS['test']} test subjects with {SEGMENTS} "
        f"segments of {SECONDS} s. Sessions; UAR of items, CCC of the severity; intervals over test subjects.",
        "A head for each target alone:",
        figures(single),
        "One head for all targets:",
        figures(multi),
        "Multi-task minus single-task, paired over subjects:",
        table(["encoder", "mean UAR of the items", "CCC of the severity"], gaps),
        "Encoders, multi-task, paired over subjects:",
        table(["encoders", "mean UAR of the items", "CCC of the severity"], between),
        "## The best encoder for each target",
        "A head for each target alone. Best minus next is paired over test subjects. The same subjects picked the "
        "best, so its interval holds for all pairs of encoders at once (Bonferroni). Not told apart: those whose "
        "interval holds 0.",
        table(["target", "best", "next", "best minus next", "not told apart from the best"], best_encoders(single)),
    ]


def figures(found: Mapping[str, Sessions]) -> str:
    """A table of targets by encoders."""
    keys = [f"{target}.{'ccc' if target == 'severity' else 'uar'}" for target in TARGETS]
    return table(["target", *found], [[key, *(figure(each.metrics[key]) for each in found.values())] for key in keys])


def best_encoders(found: Mapping[str, Sessions]) -> list[list[str]]:
    """For each target: the encoder with the highest figure, the next one, their difference, and who is not behind."""
    rows = []
    for target in TARGETS:
        ranked = sorted(found, key=lambda name: -found[name].estimates[target].value)
        best, *others = ranked
        ours = found[best].estimates[target]
        gaps = {each: _picked(ours, found[each].estimates[target], len(found)) for each in others}
        near = [each for each, gap in gaps.items() if gap.low is None or gap.low <= 0]
        cells = [f"`{each}` {found[each].estimates[target].value:.2f}" for each in ranked[:2]]
        told = ", ".join(f"`{each}`" for each in near) if len(near) < len(others) else "all"
        rows.append([target, *cells, _written(gaps[others[0]]), told or "none"])
    return rows


def _picked(first: Estimate, second: Estimate, num: int) -> Difference:
    """First minus second, of `num` systems of which the two were picked by their figures."""
    clusters = clusters_of([str(each) for each in range(len(first.without))], len(first.without))
    return difference_of(first, second, clusters, num_compared=num * (num - 1) // 2)


def _written(gap: Difference) -> str:
    return f"{gap.value:+.3f}" if gap.low is None else f"{gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]"


NEMO = {"emotion": {"kind": "class", "column": "label"}, "sex": {"kind": "class"}, "age": {"kind": "number"}}


def nemo_pages(encoders: Sequence[str], corpus: Path, work: Path) -> list[str]:
    """Emotion, sex and age of nine speakers, alone and at once."""
    rows = [cut for cuts in cuts_from_csv(corpus / "manifest.csv").values() for cut in cuts]
    write_manifests({"all": CutSet.from_cuts(rows)}, work / "nemo")
    folds = ("folds=leave_one_out:speaker", "folds.group=speaker", f"data.dir={work / 'nemo'}")
    lines = []
    for encoder in encoders:
        name = Path(encoder).name
        found: dict[str, Metric] = {}
        for called, kept in (("alone", [["emotion"], ["sex"]]), ("at once", [list(NEMO)])):
            for names in kept:
                out = work / "runs" / name / f"nemo_{'_'.join(names)}"
                loaded = trained(encoder, {each: NEMO[each] for each in names}, out, *folds)
                found |= {f"{key}, {called}": metric for key, metric in loaded.evaluate("test").items()}
        # Two or three dev speakers may be of one age, which only an error can then choose by.
        settings = [
            "downstream=utterance_regression",
            "setting=default",
            f"upstream={encoder}",
            f"trainer.steps={STEPS}",
        ]
        settings += ["task.label_fields=[age]", "task.monitor=mae", *folds]
        train(read_experiment(None, settings), work / "runs" / name / "nemo_age", overwrite=True)
        ages = load_run(work / "runs" / name / "nemo_age").evaluate("test")
        found |= {f"age.{key}, alone": metric for key, metric in ages.items()}
        for key in ("emotion.uar", "sex.uar", "age.ccc", "age.mae"):
            lines.append([f"`{name}` {key}", *(figure(found[f"{key}, {called}"]) for called in ("alone", "at once"))])
    return [
        "## nemo_mini: emotion, sex and age",
        "Leave one speaker out, nine folds, all held-out rows together, intervals over nine speakers.",
        table(["encoder and figure", "alone", "at once"], lines),
    ]


def main() -> None:
    arguments_of = parser(__doc__)
    arguments_of.add_argument("--encoder", action="append", help="may be repeated (default: three, and joined)")
    arguments_of.add_argument("--work", type=Path, help="folder of sound and runs (default: a temporary one)")
    arguments_of.add_argument("--nemo", action="store_true", help="nemo_mini instead of made speech")
    arguments = arguments_of.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work, encoders = (
            arguments.work or Path(temporary),
            arguments.encoder or list(ENCODERS),
        )
        if arguments.nemo:
            pages = nemo_pages(encoders, arguments.data / "nemo_mini", work)
        else:
            pages = symptom_pages(encoders, work)
    publish(arguments, "Symptoms: single tasks and one head for all", *pages)


if __name__ == "__main__":
    main()
