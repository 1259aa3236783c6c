"""Cross-validation: which rows a fold has, what it trains, how it resumes, and the one result over all folds."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from core_toys import LABELS, RATE_HZ, sound_of
from lhotse import MonoCut, SupervisionSegment
from sklearn.metrics import accuracy_score

from audiossl import load_run
from audiossl.core.config import structured
from audiossl.core.errors import AudiosslError, ConfigError, LabelError, ManifestError, TrainingError
from audiossl.core.files import read_jsonl
from audiossl.data.folds import Fold, FoldsConfig, draw_folds
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.sources import cuts_from_csv
from audiossl.downstreams.utterance_classification.task import UtteranceClassification
from audiossl.experiments.config import read_experiment, read_settings
from audiossl.experiments.cross_validation.run import FoldedRun
from audiossl.experiments.cross_validation.training import mean_log
from audiossl.experiments.start import train
from audiossl.report import build_report
from audiossl.training.trainer import Interrupted, Trainer

Make = Callable[..., Any]


def row(number: int, speaker: str | None, label: str | None = "a", **custom: Any) -> MonoCut:
    name = f"item-{number:03}"
    custom |= {} if label is None else {"label": label}
    segment = SupervisionSegment(name, name, 0, 1, speaker=speaker, custom=custom)
    return MonoCut(name, start=0, duration=1, channel=0, supervisions=[segment])


def corpus_rows(num_speakers: int = 6, per_label: int = 3) -> list[MonoCut]:
    """Speakers in sessions of two, with three labels each."""
    return [
        row(
            number,
            f"s{number % num_speakers}",
            "abc"[number // num_speakers % 3],
            session=f"Ses{number % num_speakers // 2}",
        )
        for number in range(num_speakers * 3 * per_label)
    ]


def ids(rows: Sequence[Any]) -> set[str]:
    return {cut.id for cut in rows}


def speakers(rows: Sequence[Any]) -> set[str]:
    return {cut.supervisions[0].speaker for cut in rows}


def check_partition(folds: Sequence[Fold], rows: Sequence[Any]) -> None:
    """Each fold has every row once, and each row is tested once."""
    for fold in folds:
        assert Counter(cut.id for _, part in fold.parts() for cut in part) == Counter(cut.id for cut in rows)
        assert all(part for _, part in fold.parts())
    assert Counter(cut.id for fold in folds for cut in fold.test) == Counter(cut.id for cut in rows)


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("leave_one_out:speaker", ["s0", "s1", "s2", "s3", "s4", "s5"]),
        ("leave_one_out:session", ["Ses0", "Ses1", "Ses2"]),
        ("column:session", ["Ses0", "Ses1", "Ses2"]),
        ("k:3", ["1", "2", "3"]),
    ],
)
def test_every_row_is_tested_once_by_a_head_that_knows_no_such_voice(by: str, names: list[str]) -> None:
    rows = corpus_rows()
    folds = draw_folds(rows, FoldsConfig(by=by), seed=0)
    assert [fold.name for fold in folds] == names
    check_partition(folds, rows)
    for fold in folds:
        assert not speakers(fold.train) & speakers(fold.dev)
        assert not speakers(fold.train + fold.dev) & speakers(fold.test)
        assert all(len({cut.supervisions[0].custom["label"] for cut in part}) == 3 for _, part in fold.parts())


def test_folds_depend_on_the_seed_and_the_rows_and_not_on_their_order() -> None:
    rows = corpus_rows(12)
    drawn = [draw_folds(rows, FoldsConfig(by="k:4"), seed) for seed in range(4)]
    assert draw_folds(rows[::-1], FoldsConfig(by="k:4"), 0) == drawn[0]
    assert len({tuple(sorted(tuple(sorted(ids(fold.test))) for fold in folds)) for folds in drawn}) > 1
    left_out = [draw_folds(rows, FoldsConfig(by="leave_one_out:speaker"), seed) for seed in range(4)]
    assert len({tuple(sorted(ids(folds[0].dev))) for folds in left_out}) > 1  # dev is drawn, test is not
    assert len({tuple(sorted(ids(folds[0].test))) for folds in left_out}) == 1


def test_k_folds_are_stratified_and_rows_without_speakers_are_drawn_one_by_one() -> None:
    rows = [row(number, None, "rare" if number % 5 == 0 else "common") for number in range(100)]
    folds = draw_folds(rows, FoldsConfig(by="k:5"), seed=0)
    check_partition(folds, rows)
    for fold in folds:
        assert Counter(cut.supervisions[0].custom["label"] for cut in fold.test) == {"rare": 4, "common": 16}
        assert sum(cut.supervisions[0].custom["label"] == "rare" for cut in fold.dev) in (3, 4)
        assert len(fold.dev) == 16


@pytest.mark.parametrize("labels", [None, "numbers"])
def test_what_cannot_be_stratified_is_drawn_all_the_same(labels: str | None) -> None:
    rows = [row(number, f"s{number % 7}", None if labels is None else str(number)) for number in range(42)]
    check_partition(draw_folds(rows, FoldsConfig(by="k:7"), seed=0), rows)


def test_dev_has_the_share_that_is_asked_for() -> None:
    rows = corpus_rows(num_speakers=10)
    for share, num_speakers in ((0.2, 2), (0.33, 3), (0.5, 4)):
        folds = draw_folds(rows, FoldsConfig(by="leave_one_out:speaker", dev=share), seed=0)
        assert {len(speakers(fold.dev)) for fold in folds} <= {num_speakers, num_speakers + 1}


def test_published_protocols_let_dev_share_speakers() -> None:
    config = FoldsConfig(by="leave_one_out:session", dev_shares_groups=True)
    rows = corpus_rows()
    folds = draw_folds(rows, config, seed=0)
    check_partition(folds, rows)
    assert all(speakers(fold.dev) <= speakers(fold.train) for fold in folds)
    assert not any(speakers(fold.test) & speakers(fold.train) for fold in folds)


def test_a_class_stays_in_training_where_one_speaker_alone_has_it() -> None:
    rows = [*corpus_rows(), *(row(900 + number, "s1", "rare", session="Ses0") for number in range(3))]
    for seed in range(5):
        for fold in draw_folds(rows, FoldsConfig(by="leave_one_out:session"), seed)[1:]:
            assert "rare" in {cut.supervisions[0].custom["label"] for cut in fold.train}


def test_official_folds_may_share_speakers_and_drawn_ones_not() -> None:
    rows = [row(number, f"s{number % 4}", fold=str(number % 10)) for number in range(40)]
    check_partition(draw_folds(rows, FoldsConfig(by="column:fold"), seed=0), rows)
    with pytest.raises(
        ManifestError, match=r"speaker 's0' is in two folds of .*'0' and '4' \(row 'item-004'\).*'fold'"
    ):
        draw_folds(rows, FoldsConfig(by="leave_one_out:fold"), seed=0)
    check_partition(draw_folds(rows, FoldsConfig(by="leave_one_out:fold", group=""), seed=0), rows)


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("leave_one_out:sesion", r"No row of all has the column 'sesion'\. Did you mean session\?"),
        (
            "leave_one_out:half",
            r"9 of the 54 rows of all have nothing in the column 'half' \(for instance 'item-000'\)",
        ),
        ("leave_one_out:same", "All rows of all have 'x' in the column 'same', and folds need at least two values"),
        (
            "k:7",
            r"folds=k:7 needs at least 7 values of 'speaker', and all has 6; ask for fewer folds, or .*folds.group=''",
        ),
        ("leave_one_out:clash", "Two folds of all would be the folder 'a_b'"),
        ("leave_one_out:pair", "The training part of fold 'p' of all has a single speaker, so no dev part"),
    ],
)
def test_rows_that_make_no_such_folds_are_one_sentence(by: str, message: str) -> None:
    rows = corpus_rows()
    for cut in rows:
        speaker = cut.supervisions[0].speaker
        custom = cut.supervisions[0].custom
        custom |= {
            "half": "" if speaker == "s0" else "x",
            "same": "x",
            "clash": {"s0": "a/b", "s1": "a b"}.get(speaker, "c"),
        }
        custom["pair"] = "q" if speaker == "s0" else "p"
    with pytest.raises(ManifestError, match=message):
        draw_folds(rows, FoldsConfig(by=by), seed=0, where="all")


def test_rows_half_of_which_have_a_speaker_are_an_error() -> None:
    rows = [row(number, "ann" if number % 2 else None, fold=str(number % 3)) for number in range(12)]
    with pytest.raises(
        ManifestError, match=r"6 of the 12 rows .* column 'speaker' .*draw rows one by one with folds\.group=''"
    ):
        draw_folds(rows, FoldsConfig(by="k:2"), seed=0)


@pytest.mark.parametrize("by", ["leave_one_out", "leave_one_out:", "fold:x", "k:1", "k:many"])
def test_folds_that_are_not_understood(by: str) -> None:
    with pytest.raises(ConfigError, match=f"folds={by} (is none of|needs a whole number)"):
        FoldsConfig(by=by)
    with pytest.raises(ConfigError, match=r"folds\.dev=1 must be a share"):
        FoldsConfig(by="k:2", dev=1)


def test_the_short_form_is_read_everywhere(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("folds: column:fold\n")
    assert read_experiment(tmp_path / "a.yaml", ["folds.dev=0.3"]).folds == FoldsConfig("column:fold", dev=0.3)
    assert read_experiment(tmp_path / "a.yaml", ["folds=k:5"]).folds == FoldsConfig("k:5")
    assert read_experiment(tmp_path / "a.yaml", ["folds=''"]).folds == FoldsConfig()


def test_the_mean_of_logs_has_the_lines_of_all() -> None:
    first = [{"step": 1, "split": "train", "loss": 1.0, "finite": True}, {"step": 2, "split": "train", "loss": 2.0}]
    second = [{"step": 1, "split": "train", "loss": 3.0, "finite": True}]
    assert mean_log([first, second]) == [{"step": 1, "split": "train", "loss": 2.0}]


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifests of three sounds by three speakers, twice each."""
    folder = tmp_path_factory.mktemp("voices")
    lines = ["path,label,speaker"]
    for speaker in range(3):
        for number, label in enumerate(LABELS):
            for take in range(2):
                name = f"{label}_{speaker}_{take}.wav"
                soundfile.write(folder / name, sound_of(label, 100 * number + 10 * speaker + take), RATE_HZ)
                lines.append(f"{name},{label},v{speaker}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    write_manifests(cuts_from_csv(folder / "table.csv"), folder / "manifests")
    return folder / "manifests"


@pytest.fixture(autouse=True)
def no_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """They take most of the time of an evaluation; the test of the whole result draws them."""
    if "result" not in request.node.name:
        monkeypatch.setattr(UtteranceClassification, "figures", lambda *_: {})


@pytest.fixture
def folded(experiment: Make, voices: Path) -> Make:
    def make(*overrides: str) -> Any:
        return experiment(
            f"data.dir={voices}", "folds=leave_one_out:speaker", "trainer.steps=12", "trainer.eval_every=6", *overrides
        )

    return make


@pytest.fixture(scope="module")
def trained() -> dict[str, Path]:
    return {}


@pytest.fixture
def run(folded: Make, tmp_path: Path, trained: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a run that is trained once."""
    if not trained:
        trained["run"] = train(folded("trainer.average_best=2"), tmp_path_factory.mktemp("trained") / "run")
    return Path(shutil.copytree(trained["run"], tmp_path / "run"))


def test_all_held_out_rows_are_one_result(run: Path, voices: Path, tmp_path: Path) -> None:
    metrics = load_run(run, device="cpu").evaluate()
    rows = read_jsonl(run / "test" / "predictions.jsonl")
    facts = json.loads((run / "test" / "metrics.json").read_text())
    assert [each["id"] for each in rows] == sorted(cut.id for cut in read_manifest(voices / "all.jsonl.gz"))
    assert all(each["fold"] == each["speaker"] for each in rows)
    assert all(Path(each["audio"]["path"]).is_file() for each in rows)
    assert (run / "test" / "confusion.png").is_file()
    targets, predicted = [each["target"] for each in rows], [each["predicted"] for each in rows]
    assert metrics["accuracy"].value == pytest.approx(accuracy_score(targets, predicted))
    assert metrics["accuracy"].value > 0.5
    by_fold = {
        name: accuracy_score(
            [each["target"] for each in rows if each["fold"] == name],
            [each["predicted"] for each in rows if each["fold"] == name],
        )
        for name in ("v0", "v1", "v2")
    }
    assert {name: found["accuracy"] for name, found in facts["folds"].items()} == pytest.approx(by_fold)
    assert facts["mean_of_folds"]["accuracy"] == pytest.approx(np.mean(list(by_fold.values())))
    table = facts["tables"][0]
    assert [line[:2] for line in table["rows"]] == [*([name, 6] for name in by_fold), ["mean", 18]]
    page = Path(build_report([run], tmp_path / "report")).read_text(encoding="utf-8")
    assert "Folds" in page
    assert "has no log.jsonl" not in page


def test_each_fold_is_an_ordinary_run_of_its_rows(run: Path) -> None:
    stored = json.loads((run / "folds.json").read_text())
    assert list(stored) == ["v0", "v1", "v2"]
    for name, parts in stored.items():
        for part, names in parts.items():
            assert [cut.id for cut in read_manifest(run / "manifests" / name / f"{part}.jsonl.gz")] == names
        one = load_run(run / "folds" / name, device="cpu")
        assert not isinstance(one, FoldedRun)
        assert not one.config.folds.by
    weights = json.loads((run / "interface.json").read_text())["layer_weights"]["layers"]
    each = [
        json.loads((run / "folds" / name / "interface.json").read_text())["layer_weights"]["layers"] for name in stored
    ]
    assert weights == pytest.approx(np.mean(each, axis=0))
    assert json.loads((run / "run.json").read_text())["folds"] == list(stored)


def test_folds_predict_together_by_their_mean(run: Path, voices: Path) -> None:
    cuts = read_manifest(voices / "all.jsonl.gz")
    loaded = load_run(run, device="cpu")
    together = loaded.predict(cuts)
    alone = [{each["id"]: each for each in one.predict(cuts)} for one in loaded.folds.values()]
    for each in together:
        mean = np.mean([found[each["id"]]["scores"] for found in alone], axis=0)
        assert each["scores"] == pytest.approx(mean, abs=2e-6)
        assert each["predicted"] == LABELS[int(mean.argmax())]
        assert each["probability"] == max(each["scores"])


def test_which_weights_are_evaluated_is_passed_on(run: Path) -> None:
    states = {name: load_run(run, name, "cpu").folds["v1"].task.trainable_state() for name in ("last", "averaged")}
    assert not torch.equal(states["last"]["classifier.weight"], states["averaged"]["classifier.weight"])


def test_a_task_without_a_way_to_unite_folds_says_so(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from audiossl.training.downstream import Downstream

    loaded = load_run(run, device="cpu")
    monkeypatch.setattr(type(loaded.task), "ensemble", Downstream.ensemble)
    with pytest.raises(AudiosslError, match="predict with one of them, a folder below RUN/folds"):
        loaded.predict(read_manifest(run / "manifests" / "v0" / "test.jsonl.gz"))


def test_what_a_cross_validation_cannot_do_is_one_sentence(run: Path, folded: Make, audiossl: Make) -> None:
    with pytest.raises(AudiosslError, match=r"evaluated on the rows that its folds hold out; leave --split dev out"):
        load_run(run).evaluate("dev")
    with pytest.raises(ConfigError, match=r"data\.dir cannot be changed"):
        load_run(run, overrides=["data.dir=elsewhere"])
    with pytest.raises(TrainingError, match=r"drawn with other settings \(folds=leave_one_out:speaker\)"):
        train(folded("folds=k:2", "trainer.average_best=2"), run, resume=True)
    with pytest.raises(TrainingError, match="has a run already"):
        train(folded(), run)
    (run / "folds" / "v2" / "interface.json").unlink()
    done = audiossl("evaluate", run)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "The fold 'v2'" in done.err


def test_a_moved_run_is_evaluated_where_it_is(run: Path, tmp_path: Path) -> None:
    moved = shutil.move(run, tmp_path / "moved")
    assert load_run(moved, device="cpu").evaluate()["accuracy"].value > 0.5
    assert (tmp_path / "moved" / "folds" / "v0" / "test" / "metrics.json").is_file()


def test_a_class_that_no_other_fold_has_is_named_before_any_training(
    folded: Make, tmp_path: Path, voices: Path
) -> None:
    cuts = list(read_manifest(voices / "all.jsonl.gz"))
    for cut in cuts:
        if cut.supervisions[0].speaker == "v2" and cut.supervisions[0].custom["label"] == "noise":
            cut.supervisions[0].custom["label"] = "rare"
    write_manifests({"all": cuts}, tmp_path)
    with pytest.raises(LabelError, match=r"of the (dev|test) part of fold 'v\d' were not seen in training: 'rare'"):
        train(folded(f"data.dir={tmp_path}"), tmp_path / "run")
    assert not (tmp_path / "run" / "config.yaml").exists()
    for cut in cuts:
        cut.supervisions[0].custom["label"] = "a" if cut.supervisions[0].speaker != "v0" else "b"
    write_manifests({"all": cuts}, tmp_path)
    with pytest.raises(LabelError, match="^Fold 'v0': A classifier needs at least two labels"):
        train(folded(f"data.dir={tmp_path}"), tmp_path / "run")


def test_folds_need_a_manifest_of_all_rows(folded: Make, corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"There is no .*all\.jsonl\.gz"):
        train(folded(f"data.dir={corpus}"), tmp_path / "run")
    train(folded(f"data.dir={corpus}", "data.all=train.jsonl.gz", "folds=k:2", "folds.group=''"), tmp_path / "run")


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{key}": value
        for name, one in load_run(run, "last", "cpu").folds.items()
        for key, value in one.task.trainable_state().items()
    }


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_stopped_cross_validation_goes_on_in_the_fold_that_is_unfinished(
    folded: Make, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, out, stop_in = folded("trainer.average_best=2"), tmp_path / "stopped", tmp_path / "stopped" / "folds" / "v1"
    plain = Trainer.steps

    def stopping(self: Trainer, resume: bool = False) -> Iterator[float | None]:
        for loss in plain(self, resume):
            if self.folder == stop_in and self.state.step == 6:
                self.stop()
            yield loss

    monkeypatch.setattr(Trainer, "steps", stopping)
    with pytest.raises(Interrupted):
        train(config, out)
    monkeypatch.setattr(Trainer, "steps", plain)
    assert sorted(path.name for path in (out / "folds").iterdir()) == ["v0", "v1"]
    finished = (out / "folds" / "v0" / "checkpoints" / "last.safetensors").stat().st_mtime_ns
    train(structured(type(config), read_settings(out / "config.yaml")), out, resume=True)
    assert (out / "folds" / "v0" / "checkpoints" / "last.safetensors").stat().st_mtime_ns == finished
    assert same(weights_of(out), weights_of(run))
    assert (out / "log.jsonl").read_text() == (run / "log.jsonl").read_text()


def test_a_finished_cross_validation_can_be_given_more_steps(folded: Make, run: Path, tmp_path: Path) -> None:
    longer = train(folded("trainer.average_best=2", "trainer.steps=8"), tmp_path / "longer")
    train(folded("trainer.average_best=2"), longer, resume=True)
    assert same(weights_of(longer), weights_of(run))
    assert load_run(longer).config.trainer.steps == 12


def test_a_new_start_leaves_nothing_of_the_old_one(folded: Make, run: Path) -> None:
    load_run(run, device="cpu").evaluate()
    train(folded("folds=k:3", "trainer.steps=2"), run, overwrite=True)
    assert sorted(path.name for path in (run / "folds").iterdir()) == ["1", "2", "3"]
    assert not (run / "test").exists()


def test_the_encoder_runs_once_for_all_folds(
    folded: Make, toy_upstream: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core_toys import ToyUpstream

    encoded = []
    plain = ToyUpstream.encode

    def counting(self: ToyUpstream, wavs: torch.Tensor, lengths: torch.Tensor, last: int) -> list[torch.Tensor]:
        encoded.append(len(wavs))
        return plain(self, wavs, lengths, last)

    monkeypatch.setattr(ToyUpstream, "encode", counting)
    monkeypatch.setenv("AUDIOSSL_CACHE", str(tmp_path / "cache"))
    run = train(folded("features=auto"), tmp_path / "run")
    load_run(run, device="cpu").evaluate()
    assert sum(encoded) == 18
