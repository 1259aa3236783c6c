"""What a run has written is removed for another run, and nothing else is; what it reads is not in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from audiossl.core.errors import ConfigError, TrainingError
from audiossl.core.files import write_json
from audiossl.experiments.config import Experiment, read_experiment
from audiossl.experiments.folder import RunFacts, RunFolder
from audiossl.experiments.leftovers import has_weights, is_of_a_run, remove_written, written_in
from audiossl.experiments.start import train

Make = Callable[..., Experiment]

OWN = (
    "checkpoints/best.safetensors",
    "checkpoints/kept-20.safetensors",
    "checkpoints/.last.safetensors.01234567.part",
    "figures/reconstruction.png",
    "tensorboard/events.out.tfevents.1.host.2",
    "log.jsonl",
    "interface.json",
    "encoder.json",
    "test/predictions.jsonl",
    "test/confusion.png",
)
FOREIGN = (
    "thesis.txt",
    "recordings/a.wav",
    "checkpoints/of_another_project.pt",
    "figures/figure1.pdf",
    "test/notes.md",
    "results/metrics.json",
    "other_run/run.json",
    "other_run/checkpoints/best.safetensors",
    "manifests/all.jsonl.gz",
    "data/train.jsonl.gz",
)


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or path.is_file()}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run with things of its own and of others in its folder."""
    made = RunFolder(tmp_path / "run")
    make(made.path, *OWN, *FOREIGN)
    write_json(made.split("test").metrics, {"metrics": {}})
    made.begin(Experiment(), RunFacts(), resume=True)
    write_json(made.path / "other_run" / "run.json", RunFacts().as_json())
    return made


def test_what_a_run_wrote_goes_and_all_else_stays(run: RunFolder, tmp_path: Path) -> None:
    make(tmp_path, "elsewhere/last.safetensors")
    (run.path / "link").symlink_to(tmp_path / "elsewhere")
    (run.checkpoint("last")).symlink_to(tmp_path / "elsewhere" / "last.safetensors")
    assert files(run.path) == {*OWN, *FOREIGN, "test/metrics.json", "run.json", "config.yaml", "link"} | {
        "checkpoints/last.safetensors"
    }
    with run.writing(resume=False, overwrite=True):
        run.begin(Experiment(seed=1), RunFacts())
    assert files(run.path) == {*FOREIGN, ".lock", "run.json", "config.yaml", "link"}
    assert not (run.path / "tensorboard").exists()  # a folder with nothing else in it goes as well
    assert (tmp_path / "elsewhere" / "last.safetensors").read_text() == "{}"
    assert run.config().seed == 1


def test_members_and_folds_are_those_that_the_run_names(tmp_path: Path) -> None:
    sweep, folds = RunFolder(tmp_path / "sweep"), RunFolder(tmp_path / "folds")
    for whole, inner in ((sweep, "lr0.1"), (sweep, "mine"), (folds, "folds/v0"), (folds, "folds/mine")):
        whole.begin(Experiment(), RunFacts(), resume=True)
        RunFolder(whole.path / inner).begin(Experiment(), RunFacts())
        make(whole.path / inner, "checkpoints/last.safetensors", ".lock")
    write_json(sweep.sweep_path, {"members": [{"name": "lr0.1"}, {"name": "../folds"}, 3]})
    write_json(folds.folds_path, {"v0": {}, "../../sweep": {}})
    make(folds.path, "manifests/v0/train.jsonl.gz")
    for whole, kept in ((sweep, "mine"), (folds, "folds/mine")):
        assert has_weights(whole.path)
        remove_written(whole.path)
        assert {str(Path(name).parent) for name in files(whole.path)} == {kept, f"{kept}/checkpoints"}


def test_members_of_folds_are_of_the_run(tmp_path: Path) -> None:
    whole = RunFolder(tmp_path / "run")
    fold = whole.fold("v0")
    for folder in (whole, fold, fold.member("lr0.1"), fold.member("mine")):
        folder.begin(Experiment(), RunFacts(), resume=True)
    for name in ("lr0.1", "mine"):
        make(fold.member(name).path, "checkpoints/last.safetensors", ".lock")
    write_json(whole.folds_path, {"v0": {}})
    write_json(fold.sweep_path, {"members": [{"name": "lr0.1"}]})
    assert has_weights(whole.path)
    remove_written(whole.path)
    assert {str(Path(name).parent) for name in files(whole.path)} == {"folds/v0/mine", "folds/v0/mine/checkpoints"}


def test_a_run_half_cleared_is_cleared_again(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    unlink = Path.unlink
    gone: list[Path] = []

    def killed(path: Path, missing_ok: bool = False) -> None:
        if gone:
            raise KeyboardInterrupt
        gone.append(path)
        unlink(path, missing_ok)

    for _ in range(len(list(written_in(run.path))) - 1):
        gone.clear()
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", killed)
            with pytest.raises(KeyboardInterrupt):
                run.clear()
        assert is_of_a_run(run.path)
    run.clear()
    assert files(run.path) == set(FOREIGN)


@pytest.mark.parametrize("name", ["config.yaml", "run.json", "checkpoints/last.safetensors", "figures/a.png"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_not_of_a_run_is_never_replaced(tmp_path: Path, name: str, overwrite: bool) -> None:
    make(tmp_path, name, "thesis.txt")
    with (
        pytest.raises(TrainingError, match=rf"{name} is not of a run .*; choose another folder with --out") as caught,
        RunFolder(tmp_path).writing(resume=False, overwrite=overwrite),
    ):
        pytest.fail("it is somebody else's")
    assert "--overwrite" not in str(caught.value)
    assert files(tmp_path) == {name, "thesis.txt"}


def test_another_programs_config_is_nothing_to_go_on_with(tmp_path: Path) -> None:
    make(tmp_path, "config.yaml")
    with (
        pytest.raises(TrainingError, match="is not a run folder, so nothing can be resumed"),
        RunFolder(tmp_path).writing(resume=True, overwrite=False),
    ):
        pytest.fail("it is no run")


@pytest.fixture
def inputs(run: RunFolder, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Overwrites the run by an experiment, after making a link to it."""
    (tmp_path / "link").symlink_to(run.path)
    before = files(run.path)

    def overwrite(*overrides: str, pretrain: bool = False) -> None:
        from audiossl.experiments.training import pretrain as start

        config = read_experiment(None, [each.replace("FOLDER", str(tmp_path)) for each in overrides], pretrain=pretrain)
        (start if pretrain else train)(config, run.path, overwrite=True)

    yield overwrite
    assert files(run.path) == before


@pytest.mark.parametrize(
    ("overrides", "pretrain"),
    [
        (["data.dir=FOLDER/run/data"], False),
        (["data.dir=FOLDER/link/data"], False),
        (["data.dir=FOLDER/run"], False),
        (["data.dir=FOLDER", "data.train=run/data/train.jsonl.gz"], False),
        (["upstream=FOLDER/run"], False),
        (["upstream=FOLDER/link/../link"], False),
        (["upstream=hf:FOLDER/run"], False),
        (["upstream=bandwidth", "upstream_options.encoder=FOLDER/run"], False),
        (["task.trials.dev=FOLDER/run/thesis.txt"], False),
        (["sweep.lr=[0.1]", "upstream=FOLDER/run"], False),
        (["folds=k:2", "data.all=FOLDER/run/manifests/all.jsonl.gz"], False),
        (["init=FOLDER/run"], True),
        (["data.dir=FOLDER/run/data"], True),
    ],
)
def test_what_a_training_reads_is_not_replaced_by_it(
    inputs: Callable[..., Any], overrides: list[str], pretrain: bool
) -> None:
    with pytest.raises(ConfigError, match="is read by this training and lies in .*run, whose run is to be replaced"):
        inputs(*overrides, pretrain=pretrain)


def test_an_encoders_name_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder(tmp_path / "log_mel")
    run.begin(Experiment(), RunFacts())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Exception, match=r"There is no nowhere/train\.jsonl\.gz"):
        train(read_experiment(None, ["data.dir=nowhere", "upstream=log_mel"]), Path("log_mel"), overwrite=True)


@pytest.mark.parametrize("name", [".lock", "config.yaml", "log.jsonl", "checkpoints", "tensorboard", "figures"])
def test_nothing_is_written_through_a_link(run: RunFolder, tmp_path: Path, name: str) -> None:
    place = tmp_path / "elsewhere"
    (run.path / name).rename(place) if (run.path / name).exists() else place.write_text("precious")
    before = place.read_bytes() if place.is_file() else sorted(place.iterdir())
    (run.path / name).symlink_to(place)
    for resume, overwrite in ((True, False), (False, True)):
        with (
            pytest.raises(TrainingError, match=f"{name} is a link, so what would be written there is not of the run"),
            run.writing(resume=resume, overwrite=overwrite),
        ):
            pytest.fail("it leads elsewhere")
    assert before == (place.read_bytes() if place.is_file() else sorted(place.iterdir()))
