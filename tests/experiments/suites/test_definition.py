"""Every suite of the package, a user's own file, an installed one, and what is wrong with one."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from toys.core import ROOT
from toys.suites import SUITE, TASK

from audiossl.core.errors import AudiosslError, ConfigError, UnknownNameError
from audiossl.core.registry import DOWNSTREAMS
from audiossl.experiments.config import Experiment
from audiossl.experiments.suites import definition
from audiossl.experiments.suites.definition import Suite, SuiteTask, read_suite, suite_files, why_missing
from audiossl.experiments.suites.recipes import task_experiment

NAMES = ("bio", "emotion", "layers", "mini", "speaker", "superb")


@cache
def suites() -> list[Suite]:
    return [read_suite(name) for name in suite_files()]


def tasks() -> list[Any]:
    return [
        pytest.param(name, task, id=f"{suite.name}:{name}") for suite in suites() for name, task in suite.tasks.items()
    ]


def experiment_of_task(name: str, task: SuiteTask) -> Experiment:
    return task_experiment(name, task, task.search.seeds[0], Path("results"), {})


def test_the_package_has_its_suites() -> None:
    assert tuple(suite_files()) == NAMES
    for suite in suites():
        assert suite.title
        assert suite.summary
        assert suite.version >= 1


@pytest.mark.parametrize(("name", "task"), tasks())
def test_a_task_is_whole(name: str, task: SuiteTask) -> None:
    """It says what it is, and what is unsound in it. Its recipe is there."""
    assert task.title
    assert task.protocol.endswith(".")
    assert (task.reference.low is None) == (task.reference.high is None)
    if task.reference.low is not None and task.reference.high is not None:
        assert task.reference.source
        assert (task.reference.high > task.reference.low) == (task.mode == "max")
    assert why_missing(name, task) == ""
    script = (ROOT / "recipes" / name.split("/")[0] / "run.sh").read_text(encoding="utf-8")
    found = re.search(r"^corpus=(\S+)", script, flags=re.MULTILINE)
    assert found is not None
    assert task.corpus == found[1]
    assert task.get
    assert task.test_sets


@pytest.mark.parametrize(("name", "task"), tasks())
def test_a_task_is_an_experiment_with_the_figure_that_it_reads(name: str, task: SuiteTask) -> None:
    config = experiment_of_task(name, task)
    assert str(Path("results").absolute() / "data") in config.data.dir
    assert config.upstream_options == {}
    target = DOWNSTREAMS.load(config.downstream)
    source = Path(sys.modules[target.__module__].__file__ or "").parent
    texts = " ".join(path.read_text(encoding="utf-8") for path in [*source.glob("*.py"), *METRICS.glob("*.py")])
    assert f'"{task.metric}"' in texts


METRICS = ROOT / "audiossl" / "metrics"


def test_superb_is_as_published() -> None:
    """Steps, batches, clipping and weighted sum of the paper's code; learning rates are searched, and only these."""
    suite = read_suite("superb")
    assert len(suite.tasks) == 10
    expected = {
        "librispeech/phone_recognition": (100_000, 16, 2, "adam", 1.0),
        "librispeech/asr": (200_000, 16, 1, "adam", 1.0),
        "speech_commands/keyword_spotting": (200_000, 32, 1, "adam", 1.0),
        "voxceleb1/speaker_identification": (200_000, 8, 4, "adam", 1.0),
        "voxceleb1/speaker_verification": (200_000, 10, 5, "adamw", 1000.0),
        "librimix/diarization": (30_000, 8, 4, "adam", 1.0),
        "fluent_speech_commands/intent_classification": (200_000, 32, 1, "adam", 1.0),
        "snips/slot_filling": (200_000, 32, 1, "adam", 1.0),
        "iemocap/emotion_superb": (30_000, 4, 8, "adam", 1.0),
    }
    for name, (steps, batch, accumulated, optimizer, clip) in expected.items():
        config = experiment_of_task(name, suite.tasks[name])
        trainer = config.trainer
        found = trainer.steps, config.data.batch_size, trainer.batches_per_step, trainer.optimizer, trainer.clip
        assert found == (steps, batch, accumulated, optimizer, clip), name
        assert (config.interface, config.standardize, trainer.schedule) == ("weighted_sum", False, "constant"), name
        assert suite.tasks[name].search.lr == [1e-1, 1e-2, 1e-3, 1e-4, 1e-5]
        assert trainer.lr in ([1e-2] if name.endswith("phone_recognition") else [1e-4])
    assert (
        experiment_of_task("voxceleb1/speaker_verification", suite.tasks["voxceleb1/speaker_verification"]).checkpoint
        == "last"
    )
    recalled = [task for task in suite.tasks.values() if "recalled" in task.reference.source]
    assert len(recalled) == 10  # no figure of the papers was checked, and each says so


def test_layers_are_linear_probes_on_the_tasks_of_mini() -> None:
    mini, layers = read_suite("mini"), read_suite("layers")
    assert list(layers.tasks) == list(mini.tasks)
    for name, task in layers.tasks.items():
        assert task.search.interface == ["every_layer"]
        config = experiment_of_task(name, task)
        assert config.standardize
        assert config.task["projector_width"] is None
        assert task.metric == mini.tasks[name].metric
        assert config.data == experiment_of_task(name, mini.tasks[name]).data


def test_the_suite_on_the_page_is_one(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "suites.md").read_text(encoding="utf-8")
    path = tmp_path / "my.yaml"
    path.write_text(text.split("```yaml\n")[1].split("```")[0])
    suite = read_suite(str(path))
    assert suite.tasks["fsdd/unseen_speakers"].search.seeds == [0, 1, 2]
    for name, task in suite.tasks.items():
        assert experiment_of_task(name, task).data.dir


def test_a_seed_stands_where_it_is_asked_for() -> None:
    task = read_suite("mini").tasks["fsdd/few_shot"]
    assert task_experiment("fsdd/few_shot", task, 3, Path("x"), {}).data.train == "train_5shot_seed3.jsonl.gz"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes a suite of a toy task, and gives its path."""
    (tmp_path / "recipes" / "toy").mkdir(parents=True)
    for name in ("words", "folds"):
        (tmp_path / "recipes" / "toy" / f"{name}.yaml").write_text("downstream: utterance_classification\n")
    monkeypatch.setattr(definition, "RECIPES", tmp_path / "recipes")

    def write(name: str = "mine.yaml", **changed: Any) -> str:
        path = tmp_path / name
        path.write_text(yaml.safe_dump({**SUITE, **changed}, sort_keys=False))
        return str(path)

    return write


def test_a_users_own_file_is_a_suite(own: Any) -> None:
    suite = read_suite(own("mine.yaml"))
    assert suite.name == "mine"
    assert list(suite.tasks) == ["toy/words", "toy/folds"]
    assert suite.tasks["toy/words"].search.seeds == [0]
    assert list(suite.only(["toy/folds"]).tasks) == ["toy/folds"]
    assert suite.only([]) == suite
    with pytest.raises(UnknownNameError, match=r"^The suite 'mine' has no task 'toy/word'. Did you mean toy/words"):
        suite.only(["toy/word"])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tasks": {"toy/wrds": TASK}}, r"there is no task 'toy/wrds'\. Did you mean toy/words"),
        ({"tasks": {"words": TASK}}, r"'words' is no task; write RECIPE/YAML"),
        ({"tasks": {}}, r"there is no task; write at least one"),
        ({"tasks": {"toy/words": {"corpus": "toy"}}}, r"toy/words has no metric; name the figure"),
        ({"tasks": {"toy/words": {**TASK, "metrik": "x"}}}, r"there is no key 'tasks\.toy/words\.metrik'|metrik"),
        ({"tasks": {"toy/words": {**TASK, "mode": "best"}}}, r"mode"),
        ({"tasks": {"toy/words": {**TASK, "search": {"seeds": []}}}}, r"toy/words has no seed"),
        ({"tasks": {"toy/words": {**TASK, "search": {"lr": [-1.0]}}}}, r"lr"),
        ({"version": 0}, r"version"),
    ],
)
def test_what_is_wrong_is_one_sentence_with_the_file(own: Any, changed: dict[str, Any], message: str) -> None:
    path = own(**changed)
    with pytest.raises(ConfigError, match=message) as caught:
        read_suite(path)
    assert "mine.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_task_without_its_downstream_is_named_as_missing(own: Any) -> None:
    suite = read_suite(own(tasks={"none/yet": {**TASK, "downstream": "separation"}, "toy/words": TASK}))
    assert why_missing("none/yet", suite.tasks["none/yet"]) == "the task 'separation' does not exist in this version"
    known = SuiteTask(downstream="asr", metric="wer")
    assert why_missing("none/yet", known) == "the recipe none/yet.yaml does not exist in this version"
    assert why_missing("toy/words", suite.tasks["toy/words"]) == ""


def test_an_unknown_suite_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"no suite named 'supreb'\. Did you mean superb"):
        read_suite("supreb")
    with pytest.raises(AudiosslError, match=r"none\.yaml"):
        read_suite(str(tmp_path / "none.yaml"))


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: Any) -> Any:
    """A package with an entry point: `name = package`."""
    package = tmp_path / "site" / "their_suites"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def install(name: str) -> Path:
        point = importlib.metadata.EntryPoint(name, "their_suites", definition.GROUP)
        monkeypatch.setattr(definition.importlib.metadata, "entry_points", lambda group: [point])
        return package

    return install


def test_an_installed_package_adds_a_suite(installed: Any, own: Any) -> None:
    package = installed("theirs")
    (package / "theirs.yaml").write_text(Path(own()).read_text())
    assert tuple(suite_files()) == (*NAMES, "theirs")
    assert read_suite("theirs").name == "theirs"


def test_an_entry_point_without_its_file_or_with_a_name_that_is_taken_is_one_sentence(installed: Any) -> None:
    package = installed("theirs")
    with pytest.raises(ConfigError, match=r"^The entry point theirs = their_suites has no .*theirs\.yaml; uninst"):
        suite_files()
    installed("mini")
    (package / "mini.yaml").touch()
    with pytest.raises(ConfigError, match=r"^Two packages claim the suite 'mini' \(.* and .*\); uninstall one\.$"):
        suite_files()
