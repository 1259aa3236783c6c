"""The command line as a user meets it: results, JSON, errors of one line, exit codes."""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from toys.core import LABELS, ROOT, TINY_TERA

from audiossl import load_upstream
from audiossl.encoders.weights import save_upstream
from audiossl.experiments.folder import RunFolder
from audiossl.training.log import read_log

Cli = Callable[..., Any]


@pytest.fixture
def recipe(tmp_path: Path, corpus: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        f"upstream: log_mel\ndata:\n  dir: {corpus}\n  batch_size: 6\n"
        "trainer:\n  steps: 6\n  lr: 0.01\n  log_every: 1\n  eval_every: 3\n",
        encoding="utf-8",
    )
    return path


def test_list_and_describe(audiossl: Cli) -> None:
    assert "log_mel" in audiossl("list").out
    assert "weighted_sum" in audiossl("list", "interface").out
    assert "No name matches 'zzz'" in audiossl("list", "upstreams", "zzz").out
    cards = json.loads(audiossl("list", "downstreams", "--json").out)
    assert "utterance_classification" in [card["name"] for card in cards]
    facts = json.loads(audiossl("describe", "log_mel", "--json").out)
    assert (facts["layers"], facts["widths"], facts["frame_rate_hz"]) == (1, [80], 100.0)
    assert facts["receptive_field_ms"] == 25.0
    assert "arXiv" in audiossl("describe", "pca").out


def test_a_name_of_two_kinds_is_described_by_its_kind(audiossl: Cli) -> None:
    assert "tera" in {card["name"] for card in json.loads(audiossl("list", "objectives", "--json").out)}
    first = json.loads(audiossl("describe", "tera", "--json").out)
    assert (first["kind"], first["objective"], first["also"]) == ("upstream", "tera", ["objective:tera"])
    other = json.loads(audiossl("describe", "objective:tera", "--json").out)
    assert (other["kind"], other["target"]) == ("objective", "audiossl.objectives.tera.objective:TeraObjective")
    wrong = audiossl("describe", "objective:terra")
    assert (wrong.code, wrong.err.count("\n")) == (2, 1)
    assert "There is no objective named 'terra'. Did you mean tera?" in wrong.err


def test_train_evaluate_predict_report(audiossl: Cli, recipe: Path, corpus: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = audiossl("train", recipe, "seed=3", "--out", run)
    assert (done.code, done.out) == (0, f"Run: {run}\n")

    scores = json.loads(audiossl("evaluate", run, "--json").out)
    stored = json.loads((run / "test" / "metrics.json").read_text())
    assert scores == stored["metrics"]
    table = audiossl("evaluate", run, "--split", "dev", "--checkpoint", "last")
    assert "accuracy" in table.out
    assert (run / "dev" / "predictions.jsonl").is_file()

    sounds = corpus.parent / "audio" / "test"
    lines = audiossl("predict", run, sounds, "--json", "--out", tmp_path / "p.jsonl").out.splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["id"] for row in rows] == sorted(path.stem for path in sounds.iterdir())
    assert {row["predicted"] for row in rows} <= set(LABELS)
    assert all(row["target"] is None for row in rows)
    assert (tmp_path / "p.jsonl").read_text().splitlines() == lines
    assert "high_0" in audiossl("predict", run, sounds / "high_0.wav").out

    assert audiossl("report", run, "--out", tmp_path / "report").code == 0
    assert "log_mel" in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")


@pytest.fixture
def encoder(tmp_path: Path) -> str:
    save_upstream(load_upstream("tera", weights="random", **TINY_TERA), tmp_path / "tera.safetensors")
    return str(tmp_path / "tera.safetensors")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "upstraems"], "Did you mean upstreams"),
        (["describe", "log_mle"], "Did you mean log_mel"),
        (["embed", "log_mel", "nowhere.wav", "--out", "x.npz"], "nowhere.wav"),
        (["embed", "log_mel", "*.nothing", "--out", "x.npz"], "No file matches"),
        (["embed", "log_mel", ".", "--out", "x.npz"], "holds no sound file"),
        (["embed", "tera", "RECIPE", "--out", "x.npz"], "architecture without weights"),
        (["embed", "log_mel", "RECIPE", "--out", "x.npz"], "recipe.yaml"),
        (["embed", "log_mel", "SOUND", "--out", "x.npz", "--layer", "7"], "has layers 0 to 0"),
        (["embed", "log_mel", "SOUND", "--out", "x.npz", "--pool", "max"], "choose none or mean"),
        (["embed", "log_mel", "SOUND", "--out", "x.npz", "--batch-size", "0"], "batch_size=0"),
        (["train"], "Give a recipe's YAML"),
        (["train", "upstream=tera_mini", "data.dir=x"], "Give a recipe's YAML first, before upstream=tera_mini, for"),
        (["train", "nothing.yaml"], "There is no configuration file nothing.yaml"),
        (["train", "RECIPE", "trainer.stpes=3"], "Did you mean trainer.steps"),
        (["train", "RECIPE", "upstream=log_mle"], "Did you mean log_mel"),
        (["train", "RECIPE", "data.dir=[x]"], "data.dir"),
        (["train", "RECIPE", "data.dir=no[b]where"], "no[b]where/train.jsonl.gz"),
        (["train", "RECIPE", "trainer.device=gpu"], "trainer.device"),
        (["train", "--resume", "nowhere"], "nowhere"),
        (["train", "RECIPE", "--resume", "nowhere"], "leave the recipe out"),
        (["pretrain", "RECIPE", "upstream=log_mel"], "interface|objective|no key"),
        (["evaluate", "nowhere"], "nowhere is not a run folder"),
        (["predict", "nowhere", "x.wav"], "nowhere is not a run folder"),
        (["report", "nowhere"], "nowhere"),
        (["data", "validate", "nowhere.jsonl"], "nowhere.jsonl"),
    ],
)
def test_mistakes_are_one_line_on_stderr_and_code_2(
    audiossl: Cli,
    recipe: Path,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    known = {"RECIPE": str(recipe), "SOUND": str(corpus.parent / "audio" / "test" / "low_0.wav")}
    done = audiossl(*[known.get(argument, argument) for argument in arguments])
    assert (done.code, done.out) == (2, "")
    assert re.search(message, done.err) if "|" in message else message in done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert not (tmp_path / "empty" / "x.npz").exists()


def test_ids_and_labels_are_text(audiossl: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither values of the environment, nor formulas, nor markup, nor codes of the terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET", "s3cr3t")
    labels = ["???", "${oc.env:SECRET}", "${", r"$\frac{1$", "[red]owl[/red]", "\x1b[31mred\a"]
    rows = [(label, split) for label in labels for split in ("train", "dev", "test")]
    with open("t.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "split"])
        for number, (label, split) in enumerate(rows):
            soundfile.write(f"{number}.wav", 0.1 * np.random.default_rng(number).standard_normal(4000), 16000)
            table.writerow([f"{number}.wav", label, split])
    assert audiossl("data", "from-csv", "t.csv", "m").code == 0
    Path("r.yaml").write_text("upstream: log_mel\nfeatures: off\ndata:\n  dir: m\n")
    assert audiossl("train", "r.yaml", "trainer.steps=2", "trainer.eval_every=2", "--out", "run").code == 0
    stored = RunFolder("run").config().task["labels"]
    assert stored == sorted(labels)
    assert "s3cr3t" not in Path("run/config.yaml").read_text()
    assert audiossl("evaluate", "run").code == 0
    assert Path("run/test/confusion.png").is_file()
    Path("0.wav").rename("[b]\x1b[2Ja.wav")
    done = audiossl("predict", "run", "[[]b]*a.wav", "--out", "p.jsonl")
    assert (done.code, "\x1b" in done.out, r"[b]\x1b[2Ja" in done.out) == (0, False, True), done.err
    assert json.loads(Path("p.jsonl").read_text())["id"] == "[b]\x1b[2Ja"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["embed", "log_mel", "a.wav", "--out", "a.wav"], "a.wav is an input of this command and would be replaced"),
        (["embed", "log_mel", "a.wav", "--out", "a.wav/x.npz"], "a.wav/x.npz cannot be written (Not a directory)"),
        (["embed", "log_mel", "a.wav", "--out", "/proc/x"], "/proc/x cannot be written (No such file or directory)"),
        (["embed", "log_mel", "same.jsonl", "--out", "new"], "The ids 'a' and '../a' would both be written as a.npz"),
        (["embed", "log_mel", "loop.wav", "--out", "x.npz"], "loop.wav"),
        (["convert", "tera_mini", "/proc/x.safetensors"], "/proc/x.safetensors cannot be written (No such file"),
        (["convert", "tera_mini", "a.wav/x.safetensors"], "a.wav/x.safetensors cannot be written (Not a directory)"),
        (
            ["export", "log_mel", "--format", "torch-export", "--out", "a.wav"],
            "a.wav is there and is no result of this",
        ),
        (["export", "log_mel", "--format", "torch-export", "--out", "."], ". is a folder; name a file in it."),
        (["data", "split", "in/dev.jsonl.gz", "--out", "in"], "in/dev.jsonl.gz is an input of this command"),
        (["data", "split", "in/dev.jsonl.gz", "--out", "a.wav"], "a.wav is no folder and would be replaced"),
        (["data", "from-folder", ".", "/proc/m"], "/proc/m cannot be written (No such file or directory)"),
        (["train", "RECIPE", "--out", "a.wav"], "a.wav is no folder and would be replaced"),
        (["train", "RECIPE", "--out", "/proc/x"], "/proc/x cannot be written (No such file or directory)"),
        (["extract", "log_mel", "in/dev.jsonl.gz", "--dir", "a.wav"], "a.wav is a file, and hidden states are kept in"),
        (["probe", "log_mel", "--data", "in", "--out", "a.wav"], "a.wav is no folder and would be replaced"),
        (["report", "in", "--out", "a.wav"], "a.wav is no folder and would be replaced"),
    ],
)
def test_what_must_not_or_cannot_be_written_is_one_line_and_changes_nothing(
    audiossl: Cli,
    recipe: Path,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    here = tmp_path / "here"
    (here / "in").mkdir(parents=True)
    monkeypatch.chdir(here)
    shutil.copy(corpus.parent / "audio" / "test" / "low_0.wav", "a.wav")
    shutil.copy(corpus / "dev.jsonl.gz", "in")
    Path("loop.wav").symlink_to("loop.wav")
    rows = [json.dumps({**json.loads(line), "id": name}) for name, line in zip(("a", "../a"), dev_rows(corpus))]
    Path("same.jsonl").write_text("\n".join(rows) + "\n")
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    done = audiossl(*[str(recipe) if argument == "RECIPE" else argument for argument in arguments])
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ") and message in done.err
    assert done.err.count("\n") == 1
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before


def dev_rows(corpus: Path) -> list[str]:
    return gzip.decompress((corpus / "dev.jsonl.gz").read_bytes()).decode().splitlines()


def test_a_file_that_grows_too_large_is_one_sentence_and_the_run_can_be_gone_on_with(
    audiossl: Cli, recipe: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert audiossl("train", recipe, "--out", run, "trainer.steps=2", "trainer.eval_every=2").code == 0
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, most))  # Python ignores the signal, and gets an error
    try:
        done = audiossl("train", "--resume", run, "trainer.steps=4")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert done.code == 2
    assert "could not be written: its disk takes no larger files. Free some space and go on" in done.err
    assert "Traceback" not in done.err
    assert list(run.rglob("*.part")) == []
    assert audiossl("train", "--resume", run, "trainer.steps=4").code == 0


def test_ctrl_c_gives_130_and_a_command_that_goes_on(
    audiossl: Cli, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from audiossl.downstreams.utterance_classification.task import UtteranceClassification

    original, count = UtteranceClassification.loss, [0]

    def loss(self: UtteranceClassification, batch: Any) -> Any:
        count[0] += 1
        if count[0] == 2:
            signal.raise_signal(signal.SIGINT)
        return original(self, batch)

    audiossl("train", recipe, "--out", tmp_path / "straight")
    run = tmp_path / "a [b] run"  # a name that needs quotes, and that looks like markup
    monkeypatch.setattr(UtteranceClassification, "loss", loss)
    done = audiossl("train", recipe, "--out", run)
    assert done.code == 130
    command = shlex.split(done.err.split("Go on with: ")[1])
    assert command == ["audiossl", "train", "--resume", str(run)]
    assert audiossl(*command[1:]).code == 0
    assert [line["step"] for line in read_log(run) if line["split"] == "train"] == [1, 2, 3, 4, 5, 6]
    assert read_log(run) == read_log(tmp_path / "straight")
    assert audiossl(*command[1:], "trainer.steps=8").code == 0  # and the run can be made longer
    assert read_log(run)[-1]["step"] == 8


def test_ctrl_c_outside_of_training_gives_130(audiossl: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*given: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("audiossl.cli.inspect.describe_name", interrupt)
    done = audiossl("describe", "log_mel")
    assert (done.code, "Traceback" in done.err) == (130, False)


def environment(*folders: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, [*folders, ROOT])),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
    }


@pytest.mark.slow
def test_ctrl_c_of_a_terminal_reaches_workers_as_well(recipe: Path, tmp_path: Path, audiossl: Cli) -> None:
    run = tmp_path / "run"
    arguments = ["train", str(recipe), "--out", str(run), "data.num_workers=2", "trainer.steps=100000"]
    command = [sys.executable, "-m", "audiossl", *arguments, "trainer.eval_every=0"]
    process = subprocess.Popen(command, env=environment(), start_new_session=True, stderr=subprocess.PIPE, text=True)
    while len(read_log(run)) < 3 and process.poll() is None:
        pass
    os.killpg(process.pid, signal.SIGINT)  # a terminal signals the whole group
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    step = read_log(run)[-1]["step"]
    assert audiossl("train", "--resume", run, f"trainer.steps={step + 2}", "data.num_workers=0").code == 0
    assert [line["step"] for line in read_log(run) if line["split"] == "train"] == list(range(1, step + 3))


PROGRAM = """
import json, sys
from pathlib import Path
import portalocker  # whose own business it is what a system has for locks
sys.modules.update(fcntl=None, resource=None, speechbrain=None)  # any import of them fails
import audiossl
from audiossl.cli import main as cli

def run(*arguments):
    sys.argv = ["audiossl", *map(str, arguments)]
    try:
        cli.main()
    except SystemExit as stop:
        return stop.code or 0
    return 0

recipe, encoder, sound, out = sys.argv[1:]
codes = {"list": run("list")}
for name in ("log_mel", "fbank", encoder):
    codes[name] = run("embed", name, sound, "--out", Path(out) / f"{Path(name).stem}.npz")
codes["train"] = run("train", recipe, "--out", Path(out) / "run")
codes["evaluate"] = run("evaluate", Path(out) / "run")
codes["doctor"] = run("doctor")
print("CODES", json.dumps(codes))
try:
    import torchaudio
except OSError:
    print("TORCHAUDIO IS BROKEN")
"""


@pytest.mark.slow
def test_nothing_needs_torchaudio_speechbrain_or_fcntl(
    recipe: Path, encoder: str, corpus: Path, tmp_path: Path
) -> None:
    fake = tmp_path / "fake"
    (fake / "torchaudio").mkdir(parents=True)
    (fake / "torchaudio" / "__init__.py").write_text('raise OSError("libtorchaudio.so: undefined symbol")\n')
    (tmp_path / "out").mkdir()
    sound = corpus.parent / "audio" / "test" / "low_0.wav"
    command = [sys.executable, "-c", PROGRAM, str(recipe), encoder, str(sound), str(tmp_path / "out")]
    done = subprocess.run(command, env=environment(fake), capture_output=True, text=True, check=False)
    assert "TORCHAUDIO IS BROKEN" in done.stdout, done.stderr  # the trap is in place
    codes = json.loads(re.search("CODES (.*)", done.stdout)[1])
    assert set(codes.values()) == {0}, done.stdout + done.stderr
    assert len(list((tmp_path / "out").glob("*.npz"))) == 3
    assert "undefined symbol" in done.stdout
    assert "pip uninstall torchaudio" in done.stdout
