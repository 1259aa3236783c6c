"""Commands that are killed at any moment: nothing half-written is left, and a second start ends as if nothing was.

    python -m benchmarks.kills --each 6 --write

Each command runs to its end once. Then it is sent a signal after a random share of that time, what it left is read
(every file must be whole), it is started again (training goes on with --resume) and what it made is compared with what
the command made that nobody disturbed: weights, hidden states and metrics to the last bit, tables row by row.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.common import parser, publish, table
from benchmarks.hostile_inputs import World, make_world

SIGNALS = {
    "KILL": (signal.SIGKILL,),
    "TERM": (signal.SIGTERM,),
    "INT": (signal.SIGINT,),
    "INT twice": (signal.SIGINT,) * 2,
}
# What differs between two equal runs.
VOLATILE = {"created", "seconds", "command", "seconds_per_step", "time", "versions", "finished", "out", "cache"}
ENDLESS_S = 120


class Job(NamedTuple):
    """A command whose output is compared.

    words: its arguments. {root} stands for good inputs, {out} for where it writes.
    resumes: whether it goes on with `--resume` once its configuration is written.
    needs_run: whether a trained run lies in its {out} before.
    """

    words: tuple[str, ...]
    resumes: bool = False
    needs_run: bool = False


_MORE = ("trainer.steps=60", "trainer.eval_every=10", "trainer.save_every=5", "trainer.log_every=1")
_ROWS = "{root}/manifests/train.jsonl.gz"
_TRAIN = ("train", "{root}/recipe.yaml", *_MORE)
_CACHE = "cache.dir={out}/cache"
JOBS: dict[str, Job] = {
    "embed to a file": Job(("embed", "{root}/weights.safetensors", "{root}/sound", "--out", "{out}/x.npz")),
    "embed to a folder": Job(("embed", "{root}/weights.safetensors", "{root}/sound", "--out", "{out}/states")),
    "extract": Job(("extract", "{root}/weights.safetensors", _ROWS, "--dir", "{out}/cache")),
    "convert": Job(("convert", "{root}/weights.safetensors", "{out}/x.safetensors")),
    "train": Job((*_TRAIN, "features=off", "--out", "{out}/run"), resumes=True),
    "train on the cache": Job((*_TRAIN, _CACHE, "--out", "{out}/run"), resumes=True),
    "train a sweep": Job(
        (*_TRAIN, _CACHE, "sweep.lr=[0.01,0.001]", "sweep.stack=off", "--out", "{out}/run"), resumes=True
    ),
    "train with folds": Job(
        (*_TRAIN, _CACHE, "folds=k:2", "folds.group=''", f"data.all={_ROWS}", "trainer.steps=20", "--out", "{out}/run"),
        resumes=True,
    ),
    "pretrain": Job(("pretrain", "{root}/pretrain.yaml", *_MORE, "--out", "{out}/run"), resumes=True),
    "evaluate": Job(("evaluate", "{out}/run"), needs_run=True),
    "predict": Job(("predict", "{root}/run", "{root}/sound", "--out", "{out}/x.jsonl")),
    "report": Job(("report", "{root}/run", "--out", "{out}/page")),
    "probe": Job(("probe", "log_mel", "--data", "{root}/manifests", "--probes", "linear", "--out", "{out}/probe")),
    "data from-csv": Job(("data", "from-csv", "{root}/table.csv", "{out}")),
    "data split": Job(("data", "split", _ROWS, "--out", "{out}")),
}


class Ended(NamedTuple):
    """How a process ended, after how long.

    code: its exit code, negative for a signal. None where it had to be killed because it did not end.
    """

    code: int | None
    seconds: float


def run(words: Sequence[str], log: Path, signals: Sequence[int] = (), after_s: float = 0.0) -> Ended:
    """`audiossl WORDS` in a forked process, with what it imports loaded already.

    words: the arguments.
    log: a file for what it says.
    signals: what it is sent, 5 ms apart.
    after_s: when.
    """
    start = time.monotonic()
    # A signal that comes before the child is what it should be would unwind this program's stack in it.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    process = os.fork()
    if process == 0:
        _become(words, log)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
    if signals:
        while time.monotonic() - start < after_s and not _ended(process):
            time.sleep(0.002)
        for number in signals:
            if not _ended(process):
                os.kill(process, number)
                time.sleep(0.005)
    while not _ended(process):
        if time.monotonic() - start > ENDLESS_S:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
            return Ended(None, ENDLESS_S)
        time.sleep(0.002)
    _, status = os.waitpid(process, 0)
    return Ended(os.waitstatus_to_exitcode(status), time.monotonic() - start)


def _become(words: Sequence[str], log: Path) -> None:
    """The child: it never returns."""
    from audiossl.cli.main import main

    code = 1
    try:
        stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(stream, 1)
        os.dup2(stream, 2)
        sys.argv = ["audiossl", *words]
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
        main()
        sys.stdout.flush()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    finally:
        os._exit(code)


def _ended(process: int) -> bool:
    """Whether it has, without taking note of it."""
    return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def contents(folder: Path) -> dict[str, Any]:
    """All that a command wrote, by path, as it is compared. Raises ValueError for a file that is not whole."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts):
            try:
                value = _content(path)
            except Exception as error:  # whatever a reader of a cut file raises
                raise ValueError(f"{name} is not whole: {error}") from error
            if value is not None:
                found[name] = value
    return found


def _content(path: Path) -> Any:
    """What a file says, or None for one that need not be equal: pictures, events and databases of other tools."""
    if path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        return {name: _bits(array) for name, array in load_file(path).items()}
    if path.suffix in (".npz", ".npy"):
        arrays = np.load(path)
        return {name: _bits(arrays[name]) for name in arrays.files} if path.suffix == ".npz" else _bits(arrays)
    if path.suffix in (".jsonl", ".json", ".gz"):
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
        rows = [json.loads(line) for line in text.splitlines()] if ".jsonl" in path.suffixes else json.loads(text)
        return _lasting(rows)
    if path.suffix == ".html":
        text = path.read_text(encoding="utf-8").rstrip()
        if not text.endswith("</html>"):
            raise ValueError("it has no end")
    if path.suffix in (".yaml", ".csv", ".md"):
        return path.read_text(encoding="utf-8")
    return None


def _bits(array: np.ndarray) -> tuple[str, tuple[int, ...], bytes]:
    return str(array.dtype), array.shape, array.tobytes()


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lasting(inner) for key, inner in value.items() if key not in VOLATILE}
    return [_lasting(inner) for inner in value] if isinstance(value, list) else value


def one_kill(world: World, job: Job, signals: Sequence[int], after_s: float, wanted: dict[str, Any]) -> str:
    """What is wrong after a kill and another start. Empty for nothing."""
    out = fresh(world, job)
    words = [word.format(root=world.root, out=out) for word in job.words]
    inputs = _inputs(world, out)
    ended = run(words, _log(world), signals, after_s)
    if ended.code is None:
        return f"it did not end within {ENDLESS_S} s of {len(signals)} signal(s)"
    try:
        if contents(out) == wanted:  # the signal came too late
            return ""
    except ValueError as error:
        return f"after the signal {error}"
    for _ in range(2):  # a run that was killed before it had begun is begun again
        again = ["train" if words[0] == "train" else "pretrain", "--resume", str(out / "run")]
        going_on = job.resumes and (out / "run" / "config.yaml").is_file() and (out / "run" / "run.json").is_file()
        ended = run(again if going_on else words, _log(world))
        if ended.code == 0:
            break
    if ended.code != 0:
        return f"the second start ended with {ended.code}: {_log(world).read_text()[-400:]}"
    made = contents(out)
    different = sorted(name for name in made.keys() | wanted.keys() if made.get(name) != wanted.get(name))
    if different:
        return f"other results in {', '.join(different[:4])}"
    return "an input was changed" if _inputs(world, out) != inputs else ""


def _inputs(world: World, out: Path) -> dict[str, tuple[int, int]]:
    """What the command reads, but for the cache that the run in `{root}` names."""
    cache = f"{world.root}/cache/"
    return {path: facts for path, facts in world.files(without=out).items() if not path.startswith(cache)}


def _log(world: World) -> Path:
    return Path(f"{world.root}.log")


def fresh(world: World, job: Job) -> Path:
    """A folder for what a command writes."""
    out = world.root / "case" / "out"
    shutil.rmtree(out.parent, ignore_errors=True)
    out.mkdir(parents=True)
    if job.needs_run:
        shutil.copytree(world.root / "run", out / "run", ignore=shutil.ignore_patterns("test"))
    return out


def kills(world: World, each: int, seed: int, only: str, report: Callable[[str], None]) -> dict[str, Counter[str]]:
    """Kill each command `each` times, and count by signal what went well and what did not."""
    counts: dict[str, Counter[str]] = {}
    for name, job in JOBS.items():
        if only not in ("", name):
            continue
        counts[name] = Counter()
        out = fresh(world, job)
        whole = run([word.format(root=world.root, out=out) for word in job.words], _log(world))
        if whole.code != 0:
            raise RuntimeError(f"{name} ends with {whole.code}: {_log(world).read_text()[-800:]}")
        wanted = contents(out)
        choose = random.Random(f"{seed} {name}")
        for number in range(each):
            kind = list(SIGNALS)[number % len(SIGNALS)]
            after_s = whole.seconds * choose.random()
            wrong = one_kill(world, job, SIGNALS[kind], after_s, wanted)
            counts[name]["wrong" if wrong else "right"] += 1
            if wrong:
                report(f"--- {name}, {kind} after {after_s:.3f} of {whole.seconds:.3f} s: {wrong}")
    return counts


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--each", type=int, default=8, help="kills of each command")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--only", default="", help="the command to kill, for all")
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder) / "world")
        counts = kills(
            world, arguments.each, arguments.seed, arguments.only, lambda words: print(words, file=sys.stderr)
        )
    rows = [[name, str(kinds.total()), str(kinds["right"]), str(kinds["wrong"])] for name, kinds in counts.items()]
    total = sum(counts.values(), Counter())
    rows.append(["all", str(total.total()), str(total["right"]), str(total["wrong"])])
    publish(arguments, "Kills", table(["command", "kills", "as if nothing was", "anything else"], rows))


if __name__ == "__main__":
    main()
