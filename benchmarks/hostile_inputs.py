"""Bad inputs, sixty a command: each ends with exit code 0, or with 2 and one line, and touches nothing but its --out.

    python -m benchmarks.hostile_inputs --each 60 --write

Every input is made from a good one: a manifest, a table, a configuration, a run folder, weights, sound, or an option.
One value, key or stretch of bytes of it is changed. `tests/cli/test_hostile_inputs.py` does the same with hypothesis.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from benchmarks.common import parser, publish, table
from benchmarks.damage import TEXTS, Choices, bad_file

ENDLESS_S = 60


class Outcome(NamedTuple):
    """What a command did.

    kind: 'done', 'refused' (exit code 2, one line), or what is wrong: 'traceback', 'words' (no line, or
    several), 'code', 'endless', 'touched'.
    said: what it wrote to stderr, or what is wrong in words.
    """

    kind: str
    said: str

    @property
    def good(self) -> bool:
        return self.kind in ("done", "refused")


class World(NamedTuple):
    """Good inputs: a folder with sound, manifests, tables, a run, weights, a folder of transformers."""

    root: Path

    @property
    def manifests(self) -> Path:
        return self.root / "manifests"

    def files(self, without: Path) -> dict[str, tuple[int, int]]:
        """Size and time of every file that is not below `without`."""
        found = {}
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = Path(folder, name)
                if without not in path.parents:
                    facts = path.lstat()
                    found[str(path)] = (facts.st_size, facts.st_mtime_ns)
        return found


def make_world(root: Path) -> World:
    """Write them, with the command line itself."""
    rows = ["path,label,speaker,split,text"]
    for number in range(18):
        label, split = ("high", "low")[number % 2], ("train", "train", "dev", "test")[number % 4 if number > 5 else 0]
        path = root / "sound" / f"{label}_{number}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        times = np.arange(4800) / 16000
        tone = np.sin(2 * np.pi * (2000 if label == "high" else 200) * times)
        noise = np.random.default_rng(number).standard_normal(4800)
        soundfile.write(path, 0.3 * tone + 0.01 * noise, 16000)
        rows.append(f"{path},{label},s{number % 3},{split},ab ba")
    (root / "table.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (root / "calls.txt").write_text(
        "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tBegin File\tlabel\n"
        "1\tSpectrogram 1\t1\t0.05\t0.15\t100\t3000\thigh_0.wav\ta\n"
        "2\tSpectrogram 1\t1\t0.16\t0.25\t100\t3000\tlow_1.wav\tb\n",
        encoding="utf-8",
    )
    kaldi = root / "kaldi"
    kaldi.mkdir()
    (kaldi / "wav.scp").write_text(f"a {root}/sound/high_0.wav\nb {root}/sound/low_1.wav\n", encoding="utf-8")
    (kaldi / "text").write_text("a AB\nb BA\n", encoding="utf-8")
    (kaldi / "utt2spk").write_text("a s0\nb s1\n", encoding="utf-8")
    (root / "recipe.yaml").write_text(
        f"downstream: utterance_classification\nupstream: log_mel\ndata:\n  dir: {root}/manifests\n  batch_size: 4\n"
        f"trainer:\n  steps: 2\n  eval_every: 2\n  save_every: 2\ncache:\n  dir: {root}/cache\n",
        encoding="utf-8",
    )
    (root / "pretrain.yaml").write_text(
        f"upstream: tera\nupstream_options: {{width: 8, num_layers: 1, num_heads: 2, ffn_width: 8}}\ndata:\n"
        f"  dir: {root}/manifests\n  batch_size: 4\ntrainer:\n  steps: 2\n  eval_every: 2\n  save_every: 2\n",
        encoding="utf-8",
    )
    small = ("weights=random", "width=16", "num_layers=1", "num_heads=2", "ffn_width=16", "position_kernel=8")
    options = [word for each in (*small, "position_groups=2") for word in ("-o", each)]
    for command in (
        ["data", "from-csv", f"{root}/table.csv", f"{root}/manifests"],
        ["train", f"{root}/recipe.yaml", "--out", f"{root}/run"],
        ["evaluate", f"{root}/run"],
        ["convert", "wav2vec2", f"{root}/weights.safetensors", *options],
        ["convert", "wav2vec2", f"{root}/folder", *options],
    ):
        done = run_command(command)
        if done.kind != "done":
            raise RuntimeError(f"{' '.join(command)}: {done.said}")
    return World(root)


def run_command(arguments: Sequence[str]) -> Outcome:
    """`audiossl ARGUMENTS` in this process."""
    from audiossl.cli.main import main

    out, err, old = io.StringIO(), io.StringIO(), sys.argv
    code: object = 0
    sys.argv = ["audiossl", *arguments]
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(ENDLESS_S)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as stop:
        code = stop.code or 0
    except TimeoutError:
        return Outcome("endless", f"no end after {ENDLESS_S} s")
    except BaseException:  # noqa: BLE001 - what a command does not catch is what is looked for
        return Outcome("traceback", traceback.format_exc())
    finally:
        signal.alarm(0)
        sys.argv = old
    return judged(code, err.getvalue(), out.getvalue())


def judged(code: object, err: str, out: str = "") -> Outcome:
    """What exit code and words say."""
    if "Traceback" in err or "Traceback" in out:
        return Outcome("traceback", err + out)
    if "\x1b" in err.replace("\x1b[31merror:\x1b[0m", "") or "\x1b" in out:
        return Outcome("words", f"terminal codes of the input: {err + out!r}")
    if code in (0, 1):  # 1: `data validate` found a problem and said so
        return Outcome("done", err)
    if code != 2:
        return Outcome("code", f"exit code {code}: {err}")
    lines = err.strip().splitlines()
    usage = any("Invalid value for" in line for line in lines)  # an option that is no number, with the command's usage
    if not usage and (
        not lines or not lines[-1].startswith("error:") or sum(each.startswith("error:") for each in lines) > 1
    ):
        return Outcome("words", err)
    return Outcome("refused", err)


def _give_up(*_: object) -> None:
    raise TimeoutError


class Command(NamedTuple):
    """A command line, and what is damaged for it.

    words: its arguments. {case} stands for the copy of what is damaged, {root} for good inputs, {out} for its output.
    copied: what of the world is copied to {case}, of which one file is damaged.
    options: options of numbers or text, of which one gets a value that it does not expect.
    """

    words: tuple[str, ...]
    copied: str = ""
    options: tuple[str, ...] = ()


_ONE_SOUND = "{root}/sound/low_1.wav"
_ANNOTATIONS = ("data", "from-annotations")
_BELOW_SOUND = ("--audio-root", "{root}/sound", "--out", "{out}")

COMMANDS: dict[str, tuple[Command, ...]] = {
    "embed": (
        Command(("embed", "log_mel", "{case}/train.jsonl.gz", "--out", "{out}/x.npz"), "manifests"),
        Command(("embed", "log_mel", "{case}/train.jsonl.gz", "--out", "{out}/folder"), "manifests"),
        Command(("embed", "{case}/weights.safetensors", _ONE_SOUND, "--out", "{out}/x.npz"), "weights.safetensors"),
        Command(("embed", "{case}", _ONE_SOUND, "--out", "{out}/x.npz"), "folder"),
        Command(("embed", "log_mel", "{case}/low_1.wav", "--out", "{out}/x.npz"), "sound/low_1.wav"),
        Command(
            ("embed", "log_mel", _ONE_SOUND, "--out", "{out}/x.npz"),
            options=("--chunk-s", "--overlap-s", "--batch-size", "--layer", "--pool", "--engine", "--precision", "-o"),
        ),
    ),
    "convert": (
        Command(("convert", "{case}/weights.safetensors", "{out}/x.safetensors"), "weights.safetensors"),
        Command(("convert", "{case}", "{out}/x.safetensors"), "folder"),
    ),
    "describe": (
        Command(("describe", "{case}/weights.safetensors"), "weights.safetensors"),
        Command(("describe", "{case}"), "run"),
    ),
    "extract": (
        Command(("extract", "log_mel", "{case}/train.jsonl.gz", "--dir", "{out}/cache"), "manifests"),
        Command(
            ("extract", "log_mel", "{root}/manifests/dev.jsonl.gz", "--dir", "{out}/cache"),
            options=("--layers", "--form", "--dtype", "--shard", "--max-gb", "-o"),
        ),
    ),
    "train": (
        Command(("train", "{case}/recipe.yaml", "cache.dir={root}/cache", "--out", "{out}/run"), "recipe.yaml"),
        Command(("train", "{root}/recipe.yaml", "data.dir={case}", "--out", "{out}/run"), "manifests"),
        Command(("train", "{root}/recipe.yaml", "--out", "{out}/run"), options=("SETTING",)),
    ),
    "train --resume": (Command(("train", "--resume", "{case}", "trainer.steps=3"), "run"),),
    "pretrain": (
        Command(("pretrain", "{case}/pretrain.yaml", "--out", "{out}/run"), "pretrain.yaml"),
        Command(("pretrain", "{root}/pretrain.yaml", "--out", "{out}/run"), options=("OBJECTIVE",)),
    ),
    "evaluate": (
        Command(("evaluate", "{case}"), "run"),
        Command(("evaluate", "{root}/run", "data.dir={case}"), "manifests"),
    ),
    "predict": (
        Command(("predict", "{case}", _ONE_SOUND, "--out", "{out}/x.jsonl"), "run"),
        Command(("predict", "{root}/run", "{case}/test.jsonl.gz", "--out", "{out}/x.jsonl"), "manifests"),
        Command(("predict", "{root}/run", "{case}/low_1.wav", "--out", "{out}/x.jsonl"), "sound/low_1.wav"),
    ),
    "report": (Command(("report", "{case}", "--out", "{out}/page"), "run"),),
    "probe": (
        Command(("probe", "log_mel", "--data", "{case}", "--probes", "linear", "--out", "{out}/x"), "manifests"),
        Command(
            ("probe", "log_mel", "--data", "{root}/manifests", "--probes", "linear", "--out", "{out}/x"),
            options=("--seed", "--layers", "--field", "--group", "--metric", "--probes"),
        ),
    ),
    "data validate": (Command(("data", "validate", "{case}/train.jsonl.gz"), "manifests"),),
    "data stats": (Command(("data", "stats", "{case}/train.jsonl.gz"), "manifests"),),
    "data split": (
        Command(("data", "split", "{case}/train.jsonl.gz", "--out", "{out}"), "manifests"),
        Command(
            ("data", "split", "{root}/manifests/train.jsonl.gz", "--out", "{out}"),
            options=("--dev", "--test", "--stratify", "--by", "--seed"),
        ),
    ),
    "data from-csv": (Command(("data", "from-csv", "{case}/table.csv", "{out}"), "table.csv"),),
    "data from-kaldi": (Command(("data", "from-kaldi", "{case}", "{out}"), "kaldi"),),
    "data from-annotations": (
        Command((*_ANNOTATIONS, "{case}/calls.txt", "--rows", "calls", *_BELOW_SOUND), "calls.txt"),
        Command(
            (
                *_ANNOTATIONS,
                "{root}/calls.txt",
                "--rows",
                "windows",
                "--window-s",
                "0.1",
                "--hop-s",
                "0.1",
                *_BELOW_SOUND,
            ),
            options=("--window-s", "--hop-s", "--min-overlap", "--short", "--kind", "--column", "--encoding"),
        ),
    ),
    "cache verify": (
        Command(("cache", "verify", "--dir", "{case}"), "cache"),
        Command(("cache", "list", "--dir", "{case}"), "cache"),
    ),
}


def one_case(world: World, command: Command, choose: Choices | None) -> tuple[list[str], Outcome]:
    """Damage, run and judge.

    world: what is copied.
    command: which one.
    choose: decides what is damaged. None for nothing.
    """
    case = world.root / "case"
    shutil.rmtree(case, ignore_errors=True)
    out, copy = case / "out", case / "copy"
    out.mkdir(parents=True)
    words = [word.format(case=copy, root=world.root, out=out) for word in command.words]
    if command.copied:
        _copy(world.root / command.copied, copy)
        if choose:
            bad_file(
                choose.choice(sorted(path for path in copy.rglob("*") if path.is_file() and path.stat().st_size)),
                choose,
            )
    if command.options and choose:
        words += _bad_option(choose.choice(command.options), choose)
    before = world.files(without=out)
    with contextlib.chdir(out):
        outcome = run_command(words)
    changed = {Path(path) for path, _ in before.items() ^ world.files(without=out).items()}
    touched = [path for path in changed if not _may_change(path, world.root, command)]
    if outcome.good and touched:
        outcome = Outcome("touched", ", ".join(map(str, touched)))
    return words, outcome


def _may_change(path: Path, root: Path, command: Command) -> bool:
    """Whether a file is the command's own: a cache, or the run that it resumes or evaluates."""
    runs = [root / "run", root / "case/copy"] if command.words[0] in ("train", "evaluate", "cache") else []
    return any(folder in path.parents for folder in (root / "cache", *runs))


def _copy(source: Path, copy: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, copy)
    else:
        copy.mkdir()
        shutil.copy2(source, copy)


def _bad_option(name: str, choose: Choices) -> list[str]:
    value = choose.choice(TEXTS)
    if name == "-o":
        return ["-o", f"{choose.choice(('num_features', 'deltas', 'level_db', 'weights', 'nothing'))}={value}"]
    if name in ("SETTING", "OBJECTIVE"):
        return [f"{choose.choice(_settings(name))}={value}"]
    return [name, value]


def _settings(kind: str) -> list[str]:
    """The settings that a run of that kind has, dotted."""
    from audiossl.core.settings import leaves, settings_of
    from audiossl.downstreams.utterance_classification.task import UtteranceClassificationConfig
    from audiossl.experiments.config import Experiment, PretrainExperiment
    from audiossl.objectives.tera.objective import AlterationConfig

    schema, options, within = (
        (Experiment, UtteranceClassificationConfig, "task")
        if kind == "SETTING"
        else (PretrainExperiment, AlterationConfig, "objective_options")
    )
    # Steps that are many are no fault, and the folder is the user's to name.
    names = [setting.name for setting in leaves((*settings_of(schema), *settings_of(options, within=within)))]
    return [name for name in names if name not in ("trainer.steps", "cache.dir", "data.num_workers")]


def cases(
    world: World,
    commands: Mapping[str, Sequence[Command]],
    each: int,
    seed: int,
    report: Callable[[str, list[str], Outcome], None],
) -> dict[str, Counter[str]]:
    """Bad inputs of commands, with what came of them.

    world: what they are made from.
    commands: the forms of each, which take turns.
    each: how many there are of each command.
    seed: of what is damaged.
    report: hears of every one that did not end well.
    """
    counts: dict[str, Counter[str]] = {}
    for name, forms in commands.items():
        counts[name] = Counter()
        for form in forms:
            words, outcome = one_case(world, form, None)
            if outcome.kind != "done":
                raise RuntimeError(f"The good input of {name}, {words}: {outcome.said}")
        for number in range(each):
            choose = random.Random(f"{seed} {name} {number}")
            words, outcome = one_case(world, forms[number % len(forms)], choose)
            counts[name][outcome.kind] += 1
            if not outcome.good:
                report(f"{name} {number}", words, outcome)
    return counts


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--each", type=int, default=60, help="bad inputs of each command")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--only", default="", help="the command to try, for all")
    arguments = options.parse_args()
    chosen = {name: forms for name, forms in COMMANDS.items() if arguments.only in ("", name)}
    with tempfile.TemporaryDirectory() as folder:
        counts = cases(make_world(Path(folder) / "world"), chosen, arguments.each, arguments.seed, _tell)
    rows = []
    for name, kinds in (*counts.items(), ("all", sum(counts.values(), Counter()))):
        rest = kinds.total() - kinds["done"] - kinds["refused"]
        rows.append([name, *map(str, (kinds.total(), kinds["done"], kinds["refused"], rest))])
    publish(arguments, "Bad inputs", table(["command", "inputs", "done", "refused in one line", "anything else"], rows))


def _tell(name: str, words: list[str], outcome: Outcome) -> None:
    shown = " ".join(map(repr, words))
    print(
        f"--- {name}: {outcome.kind}\n    audiossl {shown}\n{outcome.said.strip()[-1500:]}", file=sys.stderr, flush=True
    )


if __name__ == "__main__":
    main()
