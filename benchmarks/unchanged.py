"""Whether two checkouts of audiossl train to the same numbers, to the last bit.

    python -m benchmarks.unchanged run CHECKOUT --data FOLDER --out A    # --data: default AUDIOSSL_DATA
    python -m benchmarks.unchanged run ANOTHER --data FOLDER --out B
    python -m benchmarks.unchanged compare A B                           # exit code 1 where they differ

Each case is a few short calls of the command line on the recipes of the checkout. Nothing else of it is used, so that
modules may move between the two. The table CASES says what is run. A setting that the second checkout calls otherwise
is named with `--rename OLD=NEW`.

Runs and what was printed stay in A/<case>/. A/figures.json has every logged figure, every metric with its interval, and
what else can be compared: predictions, hidden states, layer weights, probes. A case has a feature cache of its own,
which is empty when it begins. What is kept depends on the batch in which it was computed, so that two cases at once
must not fill one cache.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.common import table

Figures = dict[str, Any]  # leaves of JSON by their place


class Step(NamedTuple):
    """One call of audiossl. {here} in a word is the folder of the case, {recipes} that of the checkout's recipes.

    What it prints becomes <name>.json where prints_json, else <name>.txt.
    """

    name: str
    words: tuple[str, ...]
    prints_json: bool = False


class Case(NamedTuple):
    """Calls that need each other, in their order. manifests: names of PREPARED."""

    manifests: tuple[str, ...]
    steps: tuple[Step, ...]


def trained(name: str, recipe: str, *settings: str, steps: int = 20, tested: bool = True) -> tuple[Step, ...]:
    """A run in {here}/NAME, scored on dev twice, and its evaluation on test."""
    short = (f"trainer.steps={steps}", f"trainer.eval_every={steps // 2}", "trainer.log_every=5", "trainer.device=cpu")
    words = ("train", f"{{recipes}}/{recipe}.yaml", *short, *settings, "--out", f"{{here}}/{name}", "--overwrite")
    evaluation = asked(f"{name}-test", "evaluate", f"{{here}}/{name}", "--split", "test")
    return (Step(name, words), evaluation) if tested else (Step(name, words),)


def pretrained(name: str, recipe: str, *settings: str, steps: int = 50) -> Step:
    """A pre-training in {here}/NAME."""
    short = (f"trainer.steps={steps}", f"trainer.eval_every={steps // 2}", "trainer.log_every=5", "trainer.device=cpu")
    words = ("pretrain", f"{{recipes}}/pretrain/{recipe}.yaml", *short, *settings)
    return Step(name, (*words, "--out", f"{{here}}/{name}", "--overwrite"))


def asked(name: str, *words: str) -> Step:
    """A call that answers in JSON."""
    return Step(name, (*words, "--json"), prints_json=True)


def encoder(name: str) -> str:
    """The encoder behind a bandwidth front end."""
    return f"upstream_options.encoder={name}"


# Manifests in data/NAME: the recipe's script, and the recordings that it is given.
PREPARED: dict[str, tuple[str, str]] = {
    "quickstart": ("quickstart/prepare.py", "{recipes}/quickstart/corpus"),
    "fsdd": ("fsdd/prepare.py", "corpora/fsdd"),
    "wakewords": ("wakewords/prepare.py", "corpora/wakewords"),
    "libri_mini/verification": ("libri_mini/prepare_verification.py", "corpora/libri_mini"),
    "asterisk": ("asterisk/prepare.py", "corpora/asterisk_en"),
    "nemo": ("nemo/prepare.py", "corpora/nemo_mini"),
    "finches": ("finches/prepare.py", "corpora/finches"),
    "esc10": ("esc10/prepare.py", "corpora/esc10_16k"),
    "pretrain": ("pretrain/prepare.py", "corpora/ssl_union/manifest.csv"),
}

SPOKEN = "zero one two three four five six seven eight nine"
PHONES = "Z IH R OW, W AH N, T UW, TH R IY, F AO R, F AY V, S IH K S, S EH V AH N, EY T, N AY N"
LEXICON = "data/lexicon.txt"

WAVS = tuple(f"corpora/fsdd/audio/{name}.flac" for name in ("0_george_0", "3_jackson_1", "7_theo_2"))
SPEECH = tuple(f"corpora/libri_mini/audio/test-other/{name}.flac" for name in ("1688-142285-0000", "1998-15444-0001"))
PROMPT = "corpora/asterisk_en/audio/activated.ogg"
SONG = "corpora/finches/audio/bf_bl26lb16_000.flac"

DIGITS = "quickstart/keyword_spotting"
AT_32_KHZ = ("upstream=bandwidth", "upstream_options.sample_rate_hz=32000")
WAV2VEC2 = (
    "upstream=wav2vec2",
    "upstream_options.weights=random",
    "upstream_options.conv_widths=[32,32,32,32,32,32,32]",
    *(f"upstream_options.{option}" for option in ("width=48", "num_layers=3", "num_heads=4", "ffn_width=64")),
)

PRETRAINING = (
    pretrained("first", "tera_mini_first", "objective.max_statistics=20"),
    pretrained("second", "tera_mini", "init={here}/first", steps=20),
    pretrained("views", "tera_mini_views", "init={here}/second", steps=20),
    pretrained("voices", "tera_mini_voices", "init={here}/views", "data.batch_size=8", steps=10),
    *trained("head", DIGITS, "upstream={here}/views"),
)
ASR = (
    *trained("frozen", "asterisk/asr"),
    *trained("letters", "asterisk/finetuning_letters", "finetune.freeze_steps=5", steps=12),
    *trained("pieces", "asterisk/finetuning", "upstream={here}/letters", "finetune.freeze_steps=5", steps=8),
    asked("align", "align", "{here}/letters", PROMPT, "activated", "--out", "{here}/aligned"),
)
SPEAKER_VERIFICATION = (
    *trained("pooled", "libri_mini/verification"),
    asked("verify", "verify", "{here}/pooled", *SPEECH),
)
EMOTION = (
    *trained("folds", "nemo/emotion", "folds=leave_one_out:speaker"),
    Step("split", ("data", "split", "data/nemo/all.jsonl.gz", "--out", "{here}/split", "--by", "speaker")),
    *trained("single", "nemo/emotion", "data.dir={here}/split", "folds.by=''"),
)
FINCHES = (
    *trained("birds", "finches/birds", *AT_32_KHZ, encoder("tera_mini"), "upstream_options.mode=time_expand"),
    *trained("callers", "finches/callers", *AT_32_KHZ, encoder("tera_mini"), "upstream_options.mode=band_split"),
    *trained("windows", "finches/windows", *AT_32_KHZ, encoder("log_mel"), "upstream_options.mode=resample"),
    asked("annotate", "annotate", "{here}/windows", SONG, "--out", "{here}/events.csv", "--format", "csv"),
)
FINE_TUNING = (
    *trained("lora", DIGITS, "finetune=lora", "finetune.lora_rank=4", "finetune.lr=1e-3"),
    *trained("on_lora", DIGITS, "upstream={here}/lora"),
    *trained("top_k", DIGITS, "finetune=top_k", "finetune.top_k=1"),
    *trained("norm_and_bias", DIGITS, *WAV2VEC2, "finetune=norm_and_bias", "finetune.freeze_stem=false", steps=10),
    *trained("all", DIGITS, *WAV2VEC2, "finetune=all", "upstream_options.layer_drop=0.1"),
    *trained("lora_on_samples", DIGITS, *WAV2VEC2, "finetune=lora", "finetune.freeze_steps=5"),
)
RATES = "sweep.lr=[1e-2,1e-3]"
SWEEPS = (
    *trained("stacked", DIGITS, RATES, "sweep.seed=[0,1]", "sweep.interface=[weighted_sum,{name: layer, index: 1}]"),
    *trained("in_turn", DIGITS, RATES, "sweep.stack=off", "sweep.interface=[last,concat,cls_pooling]"),
    *trained("tasks", DIGITS, "sweep.task=[{pooling: mean},{pooling: statistics},{dropout: 0.2}]"),
)
INTERFACES = (
    *trained("hierarchical_conv", DIGITS, "interface=hierarchical_conv"),
    *trained("grouped", DIGITS, "interface=grouped_weighted_sum"),
    *trained("pca", DIGITS, "interface=pca", "interface_options.width=64"),
    *trained("layer", DIGITS, "interface=layer", "interface_options.index=2"),
)
FEATURES = (
    *trained("off", DIGITS, "features=off"),
    *trained("frames", DIGITS, "features=frames"),
    *trained("pooled", DIGITS, "features=pooled", steps=40),
)
QUICKSTART = (
    *trained("log_mel", DIGITS, "upstream=log_mel", steps=60),
    *trained("tera_mini", DIGITS, "upstream=tera_mini", steps=60),
    asked("predict", "predict", "{here}/tera_mini", *WAVS),
)
PHONE_RECOGNITION = trained(
    "linear", "librispeech/phone_recognition", "data.dir=data/quickstart", f"task.text.lexicon={LEXICON}"
)
LOADER = (
    *trained("augmented", DIGITS, "data.speeds=[0.9,1.0,1.1]", "data.balance=speaker", "data.max_crop_s=0.4"),
    *trained("steps", DIGITS, "trainer.batches_per_step=2", "trainer.schedule=cosine", "trainer.warmup_steps=5"),
)
IN_CHUNKS = ("--chunk-s", "5", "--overlap-s", "1")
STATES = (
    asked("embed", "embed", "tera_mini", *WAVS, "--out", "{here}/states.npz"),
    asked("chunks", "embed", "tera_mini", *SPEECH, "--out", "{here}/chunks.npz", *IN_CHUNKS, "--pool", "mean"),
    asked("probe", "probe", "tera_mini", "--data", "data/quickstart", "--out", "{here}/probe", "--layers", "0,3"),
)

CASES: dict[str, Case] = {  # the longest first
    "pretraining": Case(("pretrain", "quickstart"), PRETRAINING),
    "fine_tuning": Case(("quickstart",), FINE_TUNING),
    "asr": Case(("asterisk",), ASR),
    "speaker_verification": Case(("libri_mini/verification",), SPEAKER_VERIFICATION),
    "finches": Case(("finches",), FINCHES),
    "sweeps": Case(("quickstart",), SWEEPS),
    "interfaces": Case(("quickstart",), INTERFACES),
    "features": Case(("quickstart",), FEATURES),
    "emotion": Case(("nemo",), EMOTION),
    "sounds": Case(("esc10",), trained("folds", "esc10/sounds")),
    "quickstart": Case(("quickstart",), QUICKSTART),
    "loader": Case(("quickstart",), LOADER),
    "states": Case(("quickstart",), STATES),
    "wakewords": Case(
        ("wakewords",), trained("k", "wakewords/keyword_spotting", "folds=k:3", "data.all=train.jsonl.gz")
    ),
    "few_shot": Case(("fsdd",), trained("tera_mini", "fsdd/few_shot", steps=40)),
    "phone_recognition": Case(("quickstart",), PHONE_RECOGNITION),
}

FACTS = ("features", "num_parameters", "num_trainable")  # of run.json
OF_METRICS = ("metrics", "num_items", "folds", "mean_of_folds")  # of metrics.json
# What differs between two calls of the same code, or says where files lie.
LEFT_OUT = frozenset({"audio", "command", "created", "out", "path", "seconds", "upstream", "upstream_fingerprint"})
KINDS = ("logged", "metrics", "others")
# Files that say what a run is of, not what it found.
NO_FIGURES = ("encoder.json",)


@dataclass(frozen=True)
class Place:
    """Where a checkout is run. renamed: what it calls settings that CASES calls otherwise."""

    checkout: Path
    data: Path
    out: Path
    renamed: Mapping[str, str] = field(default_factory=dict)

    def make(self) -> None:
        """Make the folder. Raises SystemExit for one that is somebody else's, and for a checkout that is not run."""
        corpora = self.out / "corpora"
        if self.out.is_dir() and any(self.out.iterdir()) and not corpora.is_symlink():
            sys.exit(f"error: {self.out} is not empty and not of this program; give another folder with --out.")
        (self.out / "data").mkdir(parents=True, exist_ok=True)
        corpora.unlink(missing_ok=True)
        corpora.symlink_to(self.data.resolve(), target_is_directory=True)
        words = zip(SPOKEN.upper().split(), PHONES.split(", "), strict=True)
        (self.out / LEXICON).write_text("".join(f"{word} {phones}\n" for word, phones in words), encoding="utf-8")
        log = self.out / "data" / "checkout.txt"
        why = called(self, "none", [sys.executable, "-c", "import audiossl; print(audiossl.__file__)"], log)
        found = Path(log.read_text(encoding="utf-8").strip()).resolve()
        if why or not found.is_relative_to(self.checkout.resolve()):
            sys.exit(f"error: {self.checkout} has no audiossl that can be imported; give a checkout. {why}".rstrip())

    def environment(self, case: str) -> dict[str, str]:
        """One thread, no GPU, no network, the code of the checkout, and a cache of the case's own."""
        return {
            **os.environ,
            "PYTHONPATH": str(self.checkout.resolve()),
            "AUDIOSSL_CACHE": str(self.out.resolve() / "cache" / case),
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "HF_HUB_OFFLINE": "1",
        }

    def word(self, word: str, case: str) -> str:
        """A word of a step, as this checkout wants it.

        >>> Place(Path("a"), Path("b"), Path("c"), {"old": "new.place"}).word("old.key={here}/run", "case")
        'new.place.key=case/run'
        """
        name, equals, value = word.partition("=")
        for old, new in self.renamed.items():
            if equals and (name == old or name.startswith(f"{old}.")):
                name = new + name[len(old) :]
        recipes = str(self.checkout.resolve() / "recipes")
        return f"{name}{equals}{value}".replace("{here}", case).replace("{recipes}", recipes)


def main() -> None:
    made = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    commands = made.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the cases with the code of a checkout")
    run.add_argument("checkout", type=Path)
    run.add_argument("--data", type=Path, default=os.environ.get("AUDIOSSL_DATA"), help="folder of corpora")
    run.add_argument("--out", type=Path, required=True, help="folder of the runs and of figures.json")
    run.add_argument("--jobs", type=int, default=2, help="cases at once")
    run.add_argument("--rename", action="append", default=[], metavar="OLD=NEW", help="what a setting is called there")
    compare = commands.add_parser("compare", help="compare what two checkouts gave")
    compare.add_argument("folders", type=Path, nargs=2, metavar="FOLDER")
    for command in (run, compare):
        command.add_argument("--only", action="append", choices=CASES, metavar="CASE", help=f"of {', '.join(CASES)}")
    arguments = made.parse_args()
    if arguments.command == "compare":
        first, second = arguments.folders
        sys.exit(compared(first, second, arguments.only or []))
    if arguments.data is None:
        made.error("real recordings are needed: give --data, or set AUDIOSSL_DATA")
    renamed = dict(pair.split("=", 1) for pair in arguments.rename)
    place = Place(arguments.checkout, Path(arguments.data), arguments.out, renamed)
    sys.exit(run_all(place, arguments.only or list(CASES), arguments.jobs))


def run_all(place: Place, names: Sequence[str], jobs: int) -> int:
    """Prepare the manifests, run the cases, write figures.json. Returns the exit code: 1 where a case failed."""
    begin = time.perf_counter()
    place.make()
    path = place.out / "figures.json"
    figures = read_figures(place.out) if path.is_file() else {}
    with ThreadPoolExecutor(jobs) as pool:
        needed = dict.fromkeys(name for case in names for name in CASES[case].manifests)
        list(pool.map(lambda name: prepare(place, name), needed))
        found = pool.map(lambda name: run_case(place, name), names)
        for name, result in zip(names, found, strict=True):
            figures[name] = result
    path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    failed = [name for name in names if "failed" in figures[name]]
    used = os.times()  # a machine that is busy with other things takes longer, but hardly more of this
    took = f"{time.perf_counter() - begin:.0f} s ({used.children_user + used.children_system:.0f} s of CPU)"
    print(f"{len(names)} cases in {took}, {len(failed)} failed -> {path}")
    return 1 if failed else 0


def prepare(place: Place, name: str) -> None:
    """Manifests in data/NAME. Raises SystemExit where the script fails."""
    script, source = PREPARED[name]
    words = [f"{{recipes}}/{script}", source, f"data/{name}"]
    log = place.out / "data" / f"{name.replace('/', '-')}.txt"
    why = called(place, "none", [sys.executable, *words], log)
    if why:
        raise SystemExit(f"error: {script} failed: {why}")


def run_case(place: Place, name: str) -> Mapping[str, Any]:
    """Run the steps of a case in an empty folder and read what they gave. `failed` says why there is nothing."""
    begin, folder = time.perf_counter(), place.out / name
    for old in (folder, place.out / "cache" / name):
        shutil.rmtree(old, ignore_errors=True)
    folder.mkdir()
    for step in CASES[name].steps:
        log = folder / f"{step.name}.{'json' if step.prints_json else 'txt'}"
        why = called(place, name, [sys.executable, "-m", "audiossl", *step.words], log)
        if why:
            print(f"{name}: {step.name} failed: {why}", flush=True)
            return {"failed": f"{step.name}: {why}"}
    found = figures_of(folder)
    counts = ", ".join(f"{len(found[kind])} {kind}" for kind in KINDS)
    print(f"{name}: {time.perf_counter() - begin:.0f} s, {counts}", flush=True)
    return found


def called(place: Place, case: str, words: Sequence[str], log: Path) -> str:
    """Call a program in the folder of all cases. Returns '' or why it failed, the last line of its errors.

    What it prints goes to `log`, its errors and progress to a file beside it.
    """
    errors = log.with_suffix(".errors.txt")
    with open(log, "w", encoding="utf-8") as out, open(errors, "w", encoding="utf-8") as wrong:
        ended = subprocess.run(
            [place.word(word, case) for word in words],
            cwd=place.out,
            env=place.environment(case),
            stdout=out,
            stderr=wrong,
            check=False,
        )
    if ended.returncode == 0:
        return ""
    lines = errors.read_text(encoding="utf-8").strip().splitlines()
    return lines[-1] if lines else f"exit code {ended.returncode}"


def figures_of(folder: Path) -> dict[str, Figures]:
    """Everything below the folder of a case that can be compared, by its kind and its place."""
    found: dict[str, Figures] = {kind: {} for kind in KINDS}
    for path in sorted(folder.rglob("*")):
        where = path.relative_to(folder).as_posix()
        if path.name == "log.jsonl":
            found["logged"].update(logged(path, where))
        elif path.name == "metrics.json":
            read = json.loads(path.read_text(encoding="utf-8"))
            found["metrics"].update(leaves({key: read[key] for key in OF_METRICS if key in read}, where))
        elif path.suffix in (".json", ".jsonl", ".npz", ".ctm", ".csv") and path.name not in NO_FIGURES:
            found["others"].update(others(path, where))
    return found


def logged(path: Path, where: str) -> Iterator[tuple[str, Any]]:
    """Every figure of a log."""
    for line in path.read_text(encoding="utf-8").splitlines():
        read = json.loads(line)
        yield from leaves(read, f"{where} step {read.pop('step')} {read.pop('split')}")


def others(path: Path, where: str) -> Iterator[tuple[str, Any]]:
    """What a file other than a log and metrics says. Of predictions and arrays, a digest and a mean or a count."""
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            for name in sorted(arrays):
                array = arrays[name]
                yield f"{where} {name}", [str(array.dtype), list(array.shape), float(array.mean(dtype=np.float64))]
                yield f"{where} {name} digest", hashlib.sha256(array.tobytes()).hexdigest()
        return
    text = path.read_text(encoding="utf-8")
    if path.suffix in (".ctm", ".csv"):
        yield where, text
    elif path.suffix == ".jsonl":
        rows = [dict(leaves(json.loads(line), "")) for line in text.splitlines()]
        yield f"{where} rows", len(rows)
        yield f"{where} digest", hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()
    else:
        for number, line in enumerate([text] if text.startswith("{\n") else text.splitlines()):
            read = json.loads(line)
            if path.name == "run.json":
                read = {key: read[key] for key in FACTS if key in read}
            yield from leaves(read, f"{where} row {number}" if number else where)


def leaves(value: Any, where: str) -> Iterator[tuple[str, Any]]:
    """The numbers and texts of nested JSON by their place, without LEFT_OUT.

    >>> dict(leaves({"a": {"value": 1.5, "seconds": 3}, "b": [2, None]}, "x"))
    {'x a value': 1.5, 'x b 0': 2, 'x b 1': None}
    """
    if isinstance(value, Mapping | list):
        for key, part in value.items() if isinstance(value, Mapping) else enumerate(value):
            if key not in LEFT_OUT:
                yield from leaves(part, f"{where} {key}".lstrip())
    else:
        yield where, value


def compared(first: Path, second: Path, only: Sequence[str]) -> int:
    """Print which cases are equal. Returns the exit code: 1 where one is not."""
    one, two = read_figures(first), read_figures(second)
    rows, num_equal = [], 0
    for name in only or dict.fromkeys([*one, *two]):
        sides = [figures.get(name, {"failed": "not run"}) for figures in (one, two)]
        why = verdict(*sides)
        num_equal += not why
        rows.append([name, *(str(len(sides[0].get(kind, {}))) for kind in KINDS), why or "equal"])
    print(table(["case", "logged figures", "metrics", "others", "result"], rows))
    print(f"\n{num_equal} of {len(rows)} cases are equal.")
    return 0 if num_equal == len(rows) else 1


def read_figures(folder: Path) -> dict[str, Any]:
    """The figures of all cases. Raises SystemExit for a folder without."""
    path = folder / "figures.json"
    if not path.is_file():
        sys.exit(f"error: there is no {path}; run the cases first.")
    figures: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return figures


def verdict(one: Mapping[str, Any], two: Mapping[str, Any]) -> str:
    """'' where a case gave the same in both, else how many figures of each kind differ, and the first of them.

    >>> verdict({"logged": {"a": 1.0, "b": 2.0}}, {"logged": {"a": 1.0, "b": 2.5}})
    '1 logged differ, the first: b: 2.0 and 2.5'
    """
    failed = [f"failed: {side['failed']}" for side in (one, two) if "failed" in side]
    if failed:
        return failed[0]
    found = {kind: list(differences(one.get(kind, {}), two.get(kind, {}))) for kind in KINDS}
    counts = [f"{len(places)} {kind}" for kind, places in found.items() if places]
    return f"{', '.join(counts)} differ, the first: {next(filter(None, found.values()))[0]}" if counts else ""


def differences(one: Figures, two: Figures) -> Iterator[str]:
    """Where two cases are not exactly equal."""
    for place in dict.fromkeys([*one, *two]):
        if place not in one or place not in two:
            yield f"{place}: only in the {'first' if place in one else 'second'}"
        elif not same(one[place], two[place]):
            yield f"{place}: {one[place]!r} and {two[place]!r}"


def same(one: Any, two: Any) -> bool:
    """Equality, of one type, where what is not a number equals itself.

    >>> same(float("nan"), float("nan")), same(1.0, 1.0 + 1e-15), same(1, True)
    (True, False, False)
    """
    return type(one) is type(two) and (one == two or (one != one and two != two))


if __name__ == "__main__":
    main()
