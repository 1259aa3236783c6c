"""Speaker verification: loss, embeddings, scores of trials, calibration, runs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys.voices import (
    HEADS,
    RATE,
    Config,
    batch_of,
    cut_of,
    name_of,
    settings,
    toy_task,
    written,
)

from audiossl.core.config import as_dict, structured
from audiossl.core.errors import AudioError, LabelError, ManifestError
from audiossl.core.files import read_jsonl
from audiossl.core.registry import DOWNSTREAMS
from audiossl.core.tensors import read_tensors
from audiossl.core.types import Batch
from audiossl.data.manifests import read_manifest
from audiossl.downstreams.speaker_verification.task import SpeakerVerification
from audiossl.experiments.config import read_experiment
from audiossl.experiments.loading import load_run
from audiossl.experiments.start import train
from audiossl.metrics.verification import cllr, equal_error_rate


def test_it_is_registered_with_its_command() -> None:
    assert DOWNSTREAMS.load("speaker_verification") is SpeakerVerification
    assert "verify" in DOWNSTREAMS.card("speaker_verification").commands


@pytest.mark.parametrize("options", HEADS, ids=name_of)
def test_a_batch_equals_its_items_one_by_one(options: dict[str, Any]) -> None:
    task, batch = toy_task(**options).eval(), batch_of(5)
    together = task.embeddings(batch)
    for row, length in enumerate(batch.lengths.tolist()):
        alone = Batch(batch.wavs[row : row + 1, :length], batch.lengths[row : row + 1], batch.cuts[row : row + 1])
        for whole, part in zip(together, task.embeddings(alone), strict=True):
            torch.testing.assert_close(part[0], whole[row], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("options", HEADS, ids=name_of)
def test_loss_is_a_mean_over_items_so_that_batches_add_up(options: dict[str, Any]) -> None:
    task, batch = toy_task(**options).eval(), batch_of(7)
    whole = task.loss(batch)
    total = 0.0
    for rows in (slice(0, 3), slice(3, 7)):
        part = task.loss(Batch(batch.wavs[rows], batch.lengths[rows], batch.cuts[rows]))
        total += part.total.item() * part.weight.item()
    assert float(whole.weight) == 7
    assert total / 7 == pytest.approx(whole.total.item(), rel=1e-4)


@pytest.mark.parametrize("options", HEADS, ids=name_of)
def test_gradient_reaches_every_parameter_of_the_head(options: dict[str, Any]) -> None:
    task = toy_task(**options).train()
    task.loss(batch_of()).total.backward()
    for name, parameter in task.named_parameters():
        # Biases before a batch normalisation or a softmax over time have no effect.
        if parameter.requires_grad and not name.endswith("bias"):
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_margin_grows_with_the_steps_and_follows_from_their_number() -> None:
    task = toy_task(margin=0.4, margin_warmup_steps=10)
    found = []
    for step in (0, 5, 10, 99, 5):
        task.begin_step(step)
        found.append(task.criterion.margin)
    assert found == pytest.approx([0.0, 0.2, 0.4, 0.4, 0.2])


def test_only_the_pooled_mean_commutes_with_the_mean() -> None:
    assert toy_task(head="pooled", pooling="mean").commutes_with_mean
    assert not toy_task(head="pooled", pooling="statistics").commutes_with_mean
    assert not toy_task(head="xvector", pooling="mean").commutes_with_mean


def test_training_items_need_speakers() -> None:
    task = toy_task()
    with pytest.raises(LabelError, match=r"'item-1' has no speaker"):
        task.check_split([cut_of(0, "ann"), cut_of(1, None)], "train")
    with pytest.raises(LabelError, match=r"'eve' of the training item 'item-0' is not among"):
        task.check_split([cut_of(0, "eve")], "train")
    with pytest.raises(LabelError, match="only 'a'"):
        SpeakerVerification.complete(Config(), [cut_of(0, "a"), cut_of(1, "a")])
    config = SpeakerVerification.complete(Config(), [cut_of(0, "b"), cut_of(1, "a"), cut_of(2, None)])
    assert config.speakers == ["a", "b"]
    assert structured(Config, as_dict(config)) == config


def test_recordings_shorter_than_the_heads_reach_are_named() -> None:
    task = toy_task(head="xvector", tdnn=[[8, 5, 1], [8, 3, 2]])  # 9 frames
    enough, short = cut_of(0, "ann", 0.10), cut_of(1, "ann", 0.09)
    assert [int(task.upstream.num_frames(round(cut.duration * RATE))) for cut in (enough, short)] == [9, 8]
    with pytest.raises(AudioError, match=r"'item-1' lasts 0.09 s, 8 frames .* the xvector head needs 9; drop it from"):
        task.check_split([enough, short], "test")
    wavs = torch.zeros(2, round(0.1 * RATE))
    batch = Batch(wavs, torch.tensor([1600, 1440]), (enough, short))
    with pytest.raises(AudioError, match=r"8 frames .*data.min_duration_s"):
        task.loss(batch)
    task.eval().embeddings(Batch(wavs[:1], torch.tensor([1600]), (enough,)))
    ecapa = toy_task(head="ecapa").eval()
    assert ecapa.head.min_frames == 5
    ecapa.head(torch.randn(1, 5, 8), torch.tensor([5]))


def test_rows_of_trials_and_their_calibration() -> None:
    task, batch = toy_task(head="pooled", pooling="statistics").eval(), batch_of(9)
    assert task.calibration is None
    items = json.loads(json.dumps(task.predict(batch)))
    before = task.assemble(items, "test")
    assert len(before) == 36
    assert all(row["llr"] is None for row in before)
    assert set(task.score(before)) == {"eer", "min_dcf_p01", "min_dcf_p05"}
    rows = task.assemble(items[::-1], "dev")  # in any order
    assert [row["id"] for row in rows] == [row["id"] for row in before]
    assert task.calibration is not None
    for row in rows:
        assert row["llr"] == pytest.approx(task.calibration.llrs(row["score"]))
        assert row["target"] == int(row["speaker_enrol"] == row["speaker_test"])
    units = {item["id"]: np.array(item["embedding"]) / np.linalg.norm(item["embedding"]) for item in items}
    assert rows[0]["score"] == pytest.approx(float(units[rows[0]["enrol"]] @ units[rows[0]["test"]]))
    metrics = task.score(json.loads(json.dumps(rows)))
    assert metrics["eer"].value == equal_error_rate([row["score"] for row in rows], [row["target"] for row in rows])
    assert metrics["cllr"].value == pytest.approx(cllr([row["llr"] for row in rows], [row["target"] for row in rows]))
    assert metrics["eer"].low is not None
    again = task.assemble(items, "test")
    assert [row["llr"] for row in again] == [row["llr"] for row in rows]  # kept, not fitted again
    assert task.facts(rows)["num_target_trials"] == 9
    assert metrics["eer"].num_clusters == 3


def test_dev_speakers_that_are_trained_on_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    task = toy_task(head="pooled", speakers=["ann", "bob"])
    strangers = [cut_of(number, speaker, 1.0) for number, speaker in enumerate(["eve", "eve", "fay", "fay"])]
    task.check_split(strangers, "dev")
    known = [cut_of(number, speaker, 1.0) for number, speaker in enumerate(["ann", "ann", "fay", "fay"])]
    task.check_split(known, "test")
    assert not caplog.records
    task.check_split(known, "dev")
    assert "1 speaker(s) of dev are trained on, for instance 'ann': the calibration" in caplog.text


def test_mean_embedding_is_taken_out_where_asked_for() -> None:
    plain, centred = (toy_task(head="pooled", subtract_mean=flag).eval() for flag in (False, True))
    items = plain.predict(batch_of(6))
    for row in items:
        row["embedding"] = (np.array(row["embedding"]) + 50.0).tolist()  # nearly all one direction
    assert min(row["score"] for row in plain.assemble(items, "dev")) > 0.9
    scores = [row["score"] for row in centred.assemble(items, "dev")]
    assert min(scores) < 0
    other = toy_task(head="pooled", subtract_mean=True)
    other.load_trainable_state(centred.trainable_state())
    assert [row["score"] for row in other.assemble(items, "test")] == scores


@pytest.mark.usefixtures("pictures")
def test_it_learns_voices_that_it_never_heard(run: Path, corpus: Path) -> None:
    loaded = load_run(run)
    metrics = loaded.evaluate("test")
    assert metrics["eer"].value < 0.2
    assert metrics["cllr"].value < 1.0
    rows = read_jsonl(run / "test" / "predictions.jsonl")
    assert len(rows) == len((corpus / "trials.txt").read_text().splitlines())
    facts = json.loads((run / "test" / "metrics.json").read_text())
    assert facts["tables"][0]["title"] == "Most confident errors"
    assert facts["calibration"]["scale"] > 0
    assert {"det.png", "scores.png"} <= {path.name for path in (run / "test").iterdir()}
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if line["split"] == "dev"] == [30, 60]


def test_calibration_is_that_of_the_weights_it_lies_with(run: Path) -> None:
    loaded = load_run(run)
    task = loaded.task
    assert isinstance(task, SpeakerVerification)
    stored = read_tensors(run / "checkpoints" / "best.safetensors")[0]["scale_and_offset"]
    before = task.calibration
    loaded.evaluate("dev")  # fits again, on the same embeddings
    assert before is not None
    assert task.calibration is not None
    assert tuple(stored.tolist()) == tuple(before)
    assert tuple(before) == pytest.approx(tuple(task.calibration), rel=1e-3)


def test_resuming_gives_the_run_that_was_not_stopped(run: Path, corpus: Path, tmp_path: Path) -> None:
    train(settings(corpus, "trainer.steps=30"), tmp_path / "run")
    config = dataclasses.replace(settings(corpus))
    train(config, tmp_path / "run", resume=True)
    whole, parts = (read_tensors(path / "checkpoints" / "last.safetensors")[0] for path in (run, tmp_path / "run"))
    assert set(whole) == set(parts)
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=0, atol=0)


def test_lists_are_held_against_the_manifests_before_training(corpus: Path, tmp_path: Path) -> None:
    wrong = written(tmp_path, "1 s6-0 s6-1\n0 s6-0 s10-0\n")
    with pytest.raises(ManifestError, match=r"trials.txt line 2 names 's10-0', which is no item of dev"):
        train(settings(corpus, f"task.trials.dev={wrong}"), tmp_path / "run")
    assert not (tmp_path / "run" / "log.jsonl").exists()


def test_averaged_weights_have_a_calibration(corpus: Path, tmp_path: Path) -> None:
    config = settings(corpus, "trainer.steps=20", "trainer.eval_every=10", "trainer.average_best=2")
    loaded = load_run(train(config, tmp_path / "run"), "averaged")
    assert isinstance(loaded.task, SpeakerVerification)
    assert loaded.task.calibration is not None


def test_predict_gives_embeddings(run: Path, corpus: Path) -> None:
    loaded = load_run(run)
    (row,) = loaded.predict(read_manifest(corpus / "test.jsonl.gz").subset(first=1))
    assert len(row["embedding"]) == 16
    assert loaded.task.columns(row)["embedding"].startswith("16 numbers")


def test_enrolment_lists_in_a_run(run: Path, corpus: Path, tmp_path: Path) -> None:
    models = written(tmp_path, "".join(f"m{s} s{s}-0 s{s}-1\n" for s in range(10, 14)), "models")
    lines = [f"{int(a == b)} m{a} s{b}-{take}\n" for a in range(10, 14) for b in range(10, 14) for take in (2, 3)]
    trials = written(tmp_path, "".join(lines))
    changed = [f"task.trials.test={trials}", f"task.enrolment.test={models}"]
    rows = load_run(run, overrides=changed).predictions_of("test")
    assert [row["enrol"] for row in rows[:2]] == ["m10", "m10"]
    assert rows[0]["speaker_enrol"] == "s10"
    assert len(rows) == 32


def test_settings_are_valid_and_say_what_they_are() -> None:
    sound = read_experiment(None, ["downstream=speaker_verification", "setting=default"])
    assert structured(Config, sound.task).loss == "aam"
    assert (sound.data.max_crop_s, sound.data.balance) == (3.0, "speaker")
    published = read_experiment(None, ["downstream=speaker_verification", "setting=superb"])
    assert (published.data.batch_size, published.trainer.batches_per_step) == (10, 5)
    assert (published.trainer.optimizer, published.trainer.lr, published.trainer.clip) == ("adamw", 1e-4, 1000.0)
    assert (published.trainer.steps, published.checkpoint) == (200000, "last")
    assert published.data.max_crop_s == 8.0
    identification = read_experiment(None, ["setting=speaker_identification"])
    assert (identification.data.batch_size, identification.trainer.batches_per_step) == (8, 4)
    assert identification.task["label_field"] == "speaker"
