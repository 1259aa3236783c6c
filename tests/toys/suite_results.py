"""A results folder of a suite as `audiossl suite run` leaves it, with encoders whose order is known.

Five tasks of different kinds: labels of speakers with two seeds and a search, trials, windows with any number of
labels, word errors with sound, and emotion in five folds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from audiossl.core.types import Metric, Table
from audiossl.experiments.suites.definition import Reference, SearchConfig, Suite, SuiteTask
from audiossl.experiments.suites.results import CellResult, Cost, EncoderFacts, ResultsFolder, Tried, failed
from audiossl.metrics.classification import classification_metrics, confusion_matrix
from audiossl.metrics.clusters import clusters_of_rows
from audiossl.metrics.multilabel import multilabel_metrics
from audiossl.metrics.ratios import score_ratio
from audiossl.metrics.verification import sides_of, verification_metrics
from toys.reports import write_lines

Rows = list[dict[str, Any]]
QUALITY = {"wave_large": 2.0, "hf:models/wave-base": 1.2, "spectral": 0.0, "spectral:random": -0.9}  # the best first
EVIL = "<script>alert('x')</script>"
EMOTIONS = ("anger", "joy", "neutral", "sadness")
CALLS = ("song", EVIL, "alarm")


@dataclass(frozen=True)
class Kind:
    """A task: its rows for an encoder of some quality, and what is made of them.

    rows: from quality and a seed of the system. Items are the same for all.
    score: metrics of rows.
    facts: more of metrics.json.
    """

    definition: SuiteTask
    downstream: str
    rows: Callable[[float, int], Rows]
    score: Callable[[Rows], Mapping[str, Metric]]
    facts: Callable[[Rows], dict[str, Any]] = lambda rows: {}
    seeds: Sequence[int] = (0,)
    folds: Sequence[str] = ()


def label_rows(labels: Sequence[str], num: int, per_speaker: int, hardness: float) -> Callable[[float, int], Rows]:
    """Items of speakers, some of whom are harder than others. Hard items are hard for every system."""

    def rows(quality: float, seed: int) -> Rows:
        world, chance = np.random.default_rng(1), np.random.default_rng(100 + seed)
        speakers = 0.7 * world.standard_normal(-(-num // per_speaker))
        made: Rows = []
        for n in range(num):
            margin = 1.1 * quality - hardness + speakers[n // per_speaker] + world.standard_normal()
            right = margin + 0.5 * chance.standard_normal() > 0
            target = labels[n % len(labels)]
            made.append(
                {
                    "id": f"clip-{n:03d}" if n else f"clip {EVIL}",
                    "target": target,
                    "predicted": target if right else str(chance.choice(labels)),
                    "probability": round(float(chance.uniform(0.4, 1.0)), 3),
                    "speaker": f"voice{n // per_speaker}",
                    "duration_s": 0.6,
                    "audio": {"path": "SOUND", "start_s": 0.0, "duration_s": 0.6},
                }
            )
        return made

    return rows


def label_scores(names: Mapping[str, str]) -> Callable[[Rows], Mapping[str, Metric]]:
    def score(rows: Rows) -> Mapping[str, Metric]:
        targets, guesses = ([row[key] for row in rows] for key in ("target", "predicted"))
        found = classification_metrics(targets, guesses, clusters_of_rows(rows))
        return {name: found[key] for name, key in names.items()}

    return score


def label_facts(labels: Sequence[str]) -> Callable[[Rows], dict[str, Any]]:
    def facts(rows: Rows) -> dict[str, Any]:
        targets, guesses = ([row[key] for row in rows] for key in ("target", "predicted"))
        return {"labels": list(labels), "confusion": confusion_matrix(targets, guesses, labels).tolist()}

    return facts


def trial_rows(quality: float, seed: int) -> Rows:
    world, chance = np.random.default_rng(2), np.random.default_rng(200 + seed)
    made: Rows = []
    for n in range(600):
        one, other = world.integers(12), world.integers(12)
        same = n % 3 == 0
        other = one if same else other if other != one else (other + 1) % 12
        score = (1.0 + quality) * same + world.standard_normal() + 0.4 * chance.standard_normal()
        sides = {"speaker_enrol": f"voice{one}", "speaker_test": f"voice{other}"}
        made.append(
            {
                "id": f"a{n} b{n}",
                "enrol": f"a{n}",
                "test": f"b{n}",
                "target": int(same),
                "score": float(score),
                "llr": float(score - 1),
                **sides,
            }
        )
    return made


def trial_scores(rows: Rows) -> Mapping[str, Metric]:
    values = [[row[key] for row in rows] for key in ("score", "target", "llr")]
    return verification_metrics(values[0], values[1], sides_of(rows), values[2])


def window_rows(quality: float, seed: int) -> Rows:
    world, chance = np.random.default_rng(3), np.random.default_rng(300 + seed)
    made: Rows = []
    for n in range(160):
        there = world.uniform(size=3) < 0.3
        scores = (quality + 0.8) * there + world.standard_normal(3) + 0.4 * chance.standard_normal(3)
        target = [label for label, is_there in zip(CALLS, there, strict=True) if is_there]
        heard = [label for label, score in zip(CALLS, scores, strict=True) if score > 1.5]
        values = {"scores": (1 / (1 + np.exp(-scores))).round(6).tolist(), "group": f"tape{n // 10}"}
        made.append({"id": f"window{n}", "target": target, "predicted": heard, **values})
    return made


def window_scores(rows: Rows) -> Mapping[str, Metric]:
    targets = np.array([[label in row["target"] for label in CALLS] for row in rows])
    return multilabel_metrics(targets, [row["scores"] for row in rows], clusters_of_rows(rows, "recording"))


def word_rows(quality: float, seed: int) -> Rows:
    world, chance = np.random.default_rng(4), np.random.default_rng(400 + seed)
    made: Rows = []
    for n in range(60):
        words = [str(world.choice(["the", "cat", "sat", "on", "a", EVIL])) for _ in range(8)]
        share = 1 / (1 + np.exp(1.2 + 0.9 * quality - 0.5 * world.standard_normal()))
        wrong = chance.uniform(size=8) < share
        said = ["uh" if bad else word for word, bad in zip(words, wrong, strict=True)]
        row = {"id": f"utt{n}", "target": " ".join(words), "predicted": " ".join(said), "speaker": f"reader{n // 6}"}
        counts = {"num_units": 8, "substitutions": int(wrong.sum()), "deletions": 0, "insertions": 0}
        made.append({**row, **counts, "num_errors": int(wrong.sum())})
    return made


def word_scores(rows: Rows) -> Mapping[str, Metric]:
    counts = [[row[key] for row in rows] for key in ("num_errors", "num_units")]
    return {"wer": score_ratio(counts[0], counts[1], clusters_of_rows(rows))}


def word_facts(rows: Rows) -> dict[str, Any]:
    worst = sorted(rows, key=lambda row: -row["num_errors"])[:4]
    cells = [
        [
            row["id"],
            row["num_errors"],
            {"words": [list(pair) for pair in zip(row["target"].split(), row["predicted"].split(), strict=True)]},
            {"audio": "SOUND", "start_s": 0.0, "duration_s": 0.5},
        ]
        for row in worst
    ]
    table = Table(
        "Utterances with the most word errors", ["item", "errors", "reference and recognised", "sound"], cells
    )
    return {"tables": [table._asdict()]}


_LABELS = ("down", "go", "left", "no", "right", "stop")
KINDS: dict[str, Kind] = {
    "digits/keywords": Kind(
        SuiteTask(
            title="which of six words",
            test_sets=["Toy Commands"],
            metric="accuracy",
            reference=Reference(1 / 6, 1.0, "chance and no error"),
            protocol="The published split. All speakers of test are in train, which flatters every encoder.",
            search=SearchConfig(lr=[1e-4, 1e-3, 1e-2], interface=["weighted_sum", "last"], seeds=[0, 1]),
        ),
        *("utterance_classification", label_rows(_LABELS, 240, 12, 0.3)),
        label_scores({"accuracy": "accuracy", "uar": "uar", "f1": "f1"}),
        label_facts(_LABELS),
        seeds=(0, 1),
    ),
    "voices/verification": Kind(
        SuiteTask(
            title="one speaker or two",
            test_sets=["Toy Voices"],
            metric="eer",
            mode="min",
            reference=Reference(0.5, 0.0, "chance and no error"),
            protocol="Test speakers are in no other split.",
        ),
        *("speaker_verification", trial_rows, trial_scores),
    ),
    "birds/calls": Kind(
        SuiteTask(
            title="calls of birds",
            metric="map",
            reference=Reference(0.3, 1.0, "share of windows with a call and no error"),
            protocol="Whole recordings are held out.",
        ),
        *("bioacoustic_windows", window_rows, window_scores, lambda rows: {"labels": list(CALLS)}),
    ),
    "reading/words": Kind(
        SuiteTask(
            title="read English words",
            metric="wer",
            mode="min",
            reference=Reference(1.0, 0.0, "nothing recognised and no error"),
            protocol="Greedy decoding, no language model.",
        ),
        *("asr", word_rows, word_scores, word_facts),
    ),
    "acted/emotion": Kind(
        SuiteTask(
            title="four acted emotions",
            test_sets=["Toy Acted"],
            metric="ua",
            reference=Reference(0.25, 1.0, "chance and no error"),
            protocol="Five folds, speakers held out. The published one chooses on the test fold. This one does not.",
        ),
        *("emotion", label_rows(EMOTIONS, 200, 20, 0.9), label_scores({"ua": "uar", "wa": "accuracy", "f1": "f1"})),
        label_facts(EMOTIONS),
        folds=tuple("12345"),
    ),
}


def suite(version: int = 1) -> Suite:
    tasks = {name: kind.definition for name, kind in KINDS.items()}
    return Suite("toy", version, "Five toy tasks", "Made-up predictions of encoders whose order is known.", tasks=tasks)


def make_results(
    path: Path, upstreams: Sequence[str] = tuple(QUALITY), tasks: Sequence[str] = tuple(KINDS), *, broken: str = ""
) -> ResultsFolder:
    """Results of all tasks for all encoders.

    path: where the folder is made.
    upstreams: of those whose quality is known.
    tasks: which ones.
    broken: one more encoder, which fails on the first task and has the others.
    """
    folder = ResultsFolder(path)
    folder.path.mkdir(parents=True)
    definition = asdict(suite())
    folder.lock_path.write_text(json.dumps({"suite": definition, "versions": {"audiossl": "0.1.0"}}))
    sound = folder.path / "sound.flac"
    soundfile.write(sound, 0.1 * np.sin(np.arange(9600) / 5), 16_000)
    for upstream in [*upstreams, *([broken] if broken else [])]:
        for number, task in enumerate(tasks):
            for seed in KINDS[task].seeds:
                made = _cell(folder, task, upstream, seed)
                if upstream == broken and number == 0:
                    folder.write(failed(made, f"The encoder {EVIL} ran out of memory; take shorter batches.", "a.log"))
                else:
                    folder.write(made)
    folder.collect()
    return folder


def _cell(folder: ResultsFolder, task: str, upstream: str, seed: int) -> CellResult:
    kind, quality = KINDS[task], QUALITY.get(upstream, 0.5)
    rows = kind.rows(quality, seed + 10 * sum(map(ord, upstream)))
    rows = [{**row, **({"audio": _placed(folder, row["audio"])} if "audio" in row else {})} for row in rows]
    run = folder.run(task, upstream, seed)
    blank = CellResult(_key(task, upstream, seed), task, upstream, seed)
    rank = list(QUALITY).index(upstream) if upstream in QUALITY else 2
    if kind.folds:
        per_fold = len(rows) // len(kind.folds)
        for number, name in enumerate(kind.folds):
            part = rows[number * per_fold : (number + 1) * per_fold]
            place = run / "folds" / name
            folder.write(_finished(folder, kind, blank, place, part, name, rank))
        rows = [{**row, "fold": kind.folds[number // per_fold]} for number, row in enumerate(rows)]
    made = _finished(folder, kind, blank, run, rows, "", rank)
    return replace(made, folds=list(kind.folds), chosen="" if kind.folds else made.run)


def _finished(
    folder: ResultsFolder, kind: Kind, blank: CellResult, run: Path, rows: Rows, fold: str, rank: int
) -> CellResult:
    metrics = kind.score(rows)
    facts = {
        "upstream": blank.upstream,
        "interface": "weighted_sum",
        "downstream": kind.downstream,
        "split": "test",
        "num_items": len(rows),
        "monitor": kind.definition.metric,
        **kind.facts(rows),
        "metrics": {name: metric.as_json() for name, metric in metrics.items()},
    }
    (run / "test").mkdir(parents=True)
    text = json.dumps(facts).replace('"SOUND"', json.dumps(str(folder.path / "sound.flac")))
    (run / "test" / "metrics.json").write_text(text)
    write_lines(run / "test" / "predictions.jsonl", rows)
    (run / "config.yaml").write_text(f"downstream: {kind.downstream}\ninterface: weighted_sum\n")
    (run / "run.json").write_text(json.dumps({"command": f"audiossl train --out {run.name}"}))
    layers = np.arange(13)
    peak = [4.0, 9.0, 6.0, 11.0, 8.0][list(KINDS).index(blank.task)]
    weights = np.exp(-((layers - peak) ** 2) / (4 + rank))
    return replace(
        blank,
        fold=fold,
        run=folder.relative(run),
        chosen=folder.relative(run),
        predictions=folder.relative(run / "test" / "predictions.jsonl"),
        downstream=kind.downstream,
        setting=blank.task,
        interface="weighted_sum",
        metric=kind.definition.metric,
        mode=kind.definition.mode,
        metrics=dict(metrics),
        num_items=len(rows),
        dev=metrics[kind.definition.metric].value,
        trials=_tried(kind, metrics[kind.definition.metric].value),
        notes=["the best learning rate is the highest that was tried"] if rank == 1 else [],
        layer_weights={} if rank > 1 else {"layers": (weights / weights.sum()).tolist()},
        layer_norms=[] if rank > 1 else (3.0 + 0.4 * layers**1.5).tolist(),
        encoder=EncoderFacts(
            name=blank.upstream.partition(":")[0],
            num_parameters=[316_000_000, 95_000_000, 5_000_000, 5_000_000][rank],
            num_layers=13,
            seconds_per_hour=[95.0, 31.0, 4.0, 4.1][rank],
            trained_on=["60 k hours of Libri-Light", "toy commands, train"] if rank == 0 else [],
        ),
        cost=Cost(30.0, 3.25, 2_000_000_000, None if rank > 1 else 5400.0 / (rank + 1)),
        suite="toy",
        suite_version=1,
        versions={"torch": "2.11.0"},
        created="2026-11-27T00:00:00",
    )


def _tried(kind: Kind, best: float) -> list[Tried]:
    search, made = kind.definition.search, []
    for lr in search.lr:
        for interface in search.interface:
            loss = 0.05 * abs(np.log10(lr) + 3) + 0.08 * (interface != "weighted_sum")
            name = f"lr={lr:g},interface={interface}"
            made.append(Tried(name, {"lr": lr, "interface": interface}, float(best - loss)))
    return made


def _placed(folder: ResultsFolder, place: dict[str, Any]) -> dict[str, Any]:
    return {**place, "path": str(folder.path / "sound.flac")}


def _key(task: str, upstream: str, seed: int) -> str:
    return f"{sum(map(ord, task + upstream)):08x}{seed}"
