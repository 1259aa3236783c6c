"""Distillation and fine-tuning in one step beside two steps (OS-KDFT, arXiv:2305.17394), on LibriSpeech speakers.

    recipes/libri_mini/run.sh --stop-stage 1 && recipes/libri_mini/run.sh --task verification --stop-stage 1
    python -m benchmarks.one_step_distillation --runs runs/distillation --write

The student has the first two blocks of its teacher. It is fine-tuned alone, after a distillation of as many steps on
the training rows, or while it is distilled. Runs that are there are not trained again. Intervals of verification are
over the ten test speakers, those of identification over segments.
"""

from __future__ import annotations

import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from audiossl import load_run, load_upstream, pretrain, read_experiment, train
from audiossl.core.registry import UPSTREAMS
from audiossl.experiments.folder import RunFolder
from audiossl.report.comparison import comparisons
from audiossl.report.runs import RunSummary, read_runs
from benchmarks.common import RATE_HZ, parser, publish, table

RECIPE = Path(__file__).parents[1] / "recipes" / "libri_mini"
TASKS = {"verification": "eer", "speaker": "accuracy"}
WAYS = ("two steps", "one step", "alone", "teacher")
UNLABELLED = "data/libri_mini/verification"
SOUND_S = 60.0


class Family(NamedTuple):
    """A teacher, the architecture of its student, and which layers of the teacher are predicted."""

    teacher: str
    architecture: str
    layers: tuple[int, int]


FAMILIES = (Family("distil_mini", "mel_transformer", (2, 4)), Family("tera_mini", "tera", (2, 3)))


def student_of(family: Family) -> list[str]:
    """Settings of an untrained student of two blocks, otherwise as its teacher."""
    options = {**UPSTREAMS.card(family.teacher).options, "num_layers": 2}
    return [f"upstream={family.architecture}", *(f"upstream_options.{key}={value}" for key, value in options.items())]


class Setting(NamedTuple):
    """Where runs lie, and how long they are trained."""

    folder: Path
    steps: int
    batch_size: int
    crop_s: float

    @property
    def shared(self) -> list[str]:
        """What all trainings have in common."""
        data = [f"data.batch_size={self.batch_size}", f"data.max_crop_s={self.crop_s}"]
        return [*data, f"trainer.steps={self.steps}", "trainer.eval_every=0"]


def distilled(family: Family, setting: Setting) -> Path:
    """The student after a distillation on the training rows of verification."""
    out = setting.folder / family.teacher / "distilled"
    if RunFolder(out).upstream_path.is_file():
        return out
    pairs = [[-1, layer] for layer in family.layers]
    overrides = ["objective=distil", f"objective_options.teacher={family.teacher}", f"objective_options.pairs={pairs}"]
    overrides += ["objective_options.copy_layers=true", f"data.dir={UNLABELLED}"]
    overrides += [*setting.shared, "trainer.lr=3e-4"]
    return pretrain(read_experiment(None, [*student_of(family), *overrides], pretrain=True), out, overwrite=True)


def settings_of(family: Family, way: str, setting: Setting) -> list[str]:
    """What differs between the ways."""
    if way == "teacher":
        return [f"upstream={family.teacher}"]
    if way == "two steps":
        return [f"upstream={distilled(family, setting)}"]
    options = [f"distill.options.pairs={[[-1, layer] for layer in family.layers]}", "distill.options.copy_layers=true"]
    options += [f"distill.data={UNLABELLED}"]
    chosen = [*student_of(family), "upstream_options.weights=random", f"distill={family.teacher}", *options]
    return [*chosen, "distill.weight=0"] if way == "alone" else [*chosen, "finetune.adapter_width=32"]


def trained(family: Family, task: str, way: str, setting: Setting) -> Path:
    """A run, evaluated on test."""
    out = setting.folder / family.teacher / f"{task} {way}"
    if not RunFolder(out).split("test").metrics.is_file():
        tuned = ["finetune=all", "finetune.lr=3e-4", "trainer.average_best=0", "checkpoint=last"]
        overrides = [*settings_of(family, way, setting), *tuned, *setting.shared]
        train(read_experiment(RECIPE / f"{task}.yaml", overrides), out, overwrite=True)
        load_run(out).evaluate("test")
    return out


def encoder_facts(reference: Path) -> tuple[int, float]:
    """Parameters of a run's encoder, and CPU seconds that it takes for an hour of sound in parts of 60 s."""
    upstream, sound = load_upstream(str(reference)), 0.05 * torch.randn(1, round(SOUND_S * RATE_HZ))
    seconds = []
    with torch.inference_mode():
        for _ in range(4):
            before = resource.getrusage(resource.RUSAGE_SELF)
            upstream(sound)
            after = resource.getrusage(resource.RUSAGE_SELF)
            seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return sum(parameter.numel() for parameter in upstream.parameters()), min(seconds) * 3600 / SOUND_S


def rows_of(runs: Mapping[str, Path], metric: str, family: Family) -> list[list[str]]:
    """A row for each way, each compared with the first of them."""
    summaries: list[RunSummary] = read_runs(list(runs.values()))
    compared = {found.run: found.cells for found in comparisons(summaries)}
    rows = []
    for way, summary in zip(runs, summaries, strict=True):
        figure: Any = summary.evaluations["test"].metrics[metric]
        low, high = (f"{100 * bound:.1f}" for bound in (figure.low, figure.high))
        cells = compared.get(summary.name)
        gain = f"{cells['difference']} {cells['interval']}" if cells else ""
        parameters, seconds = encoder_facts(runs[way])
        measured = [f"{parameters / 1e6:.2f}", f"{seconds:.1f}", f"{100 * figure.value:.1f} [{low}, {high}]", gain]
        rows.append([f"{family.teacher}: {way}", *measured])
    return rows


def main() -> None:
    made = parser(__doc__)
    made.add_argument("--runs", type=Path, default=Path("runs/distillation"), help="folder of the runs")
    made.add_argument("--teacher", action="append", choices=[family.teacher for family in FAMILIES])
    made.add_argument("--task", action="append", choices=list(TASKS))
    made.add_argument("--way", action="append", choices=WAYS)
    made.add_argument("--steps", type=int, default=300)
    made.add_argument("--batch-size", type=int, default=16)
    made.add_argument("--crop-s", type=float, default=3.0)
    arguments = made.parse_args()
    torch.set_num_threads(1)
    setting = Setting(arguments.runs, arguments.steps, arguments.batch_size, arguments.crop_s)
    parts = []
    families = [family for family in FAMILIES if family.teacher in (arguments.teacher or [family.teacher])]
    for task in arguments.task or TASKS:
        rows, metric = [], TASKS[task]
        for family in families if task == "verification" else families[:1]:
            ways = arguments.way or (WAYS if task == "verification" else WAYS[:-1])
            runs = {way: trained(family, task, way, setting) for way in ways}
            rows += rows_of(runs, metric, family)
        unit = "EER %" if metric == "eer" else f"{metric} %"
        header = ["teacher: student", "parameters (M)", "s per hour", unit, "minus two steps"]
        parts += [f"## {task}", table(header, rows)]
    what = (
        f"Encoder and head train for {setting.steps} steps of {setting.batch_size} parts of {setting.crop_s:g} s, one "
        "seed; two steps have as many of distillation before. Students have two blocks, that of one step also adapters "
        "of 32. Seconds are CPU seconds of one core for the encoder, the least of four passes."
    )
    publish(arguments, "Distillation and fine-tuning in one step", what, *parts)


if __name__ == "__main__":
    main()
