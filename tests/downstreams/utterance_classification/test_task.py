"""The task on a toy encoder: head, loss, predictions, labels, checkpoints."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lhotse import MonoCut
from torch import nn
from toys.words import WORDS, cut_of, tone_batch, toy_task

from audiossl.core.config import as_dict, structured
from audiossl.core.errors import CheckpointError, ConfigError, LabelError
from audiossl.core.registry import DOWNSTREAMS
from audiossl.core.types import Batch
from audiossl.downstreams.utterance_classification.task import UtteranceClassification
from audiossl.experiments.config import read_experiment

Config = UtteranceClassification.Config
RECIPES = Path(__file__).resolve().parents[3] / "recipes"


def test_it_is_registered() -> None:
    assert DOWNSTREAMS.load("utterance_classification") is UtteranceClassification


def test_the_default_head_is_the_published_one() -> None:
    task = toy_task()
    head = {name: tuple(value.shape) for name, value in task.trainable_state().items()}
    assert head == {
        "calibration": (2,),
        "interface.sum.logits": (3,),
        "projector.weight": (256, 8),
        "projector.bias": (256,),
        "classifier.weight": (3, 256),
        "classifier.bias": (3,),
    }


def test_logits_equal_projection_then_masked_mean_then_linear() -> None:
    task, batch = toy_task().eval(), tone_batch()
    sequence, lengths = task.sequence(batch)
    means = [task.projector(row[:length]).mean(dim=0) for row, length in zip(sequence, lengths.tolist(), strict=True)]
    torch.testing.assert_close(task.logits(batch), task.classifier(torch.stack(means)), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "max", "attention", "statistics"])
def test_a_batch_equals_its_items_one_by_one(pooling: str) -> None:
    task, batch = toy_task(pooling=pooling).eval(), tone_batch(5)
    together = task.logits(batch)
    for row, length in enumerate(batch.lengths.tolist()):
        alone = Batch(batch.wavs[row : row + 1, :length], batch.lengths[row : row + 1], batch.cuts[row : row + 1])
        torch.testing.assert_close(task.logits(alone)[0], together[row], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "max", "attention", "statistics"])
@pytest.mark.parametrize("projector_width", [None, 16])
def test_gradient_reaches_head_and_interface_and_leaves_the_encoder_alone(
    pooling: str, projector_width: int | None
) -> None:
    task = toy_task(pooling=pooling, projector_width=projector_width, dropout=0.1).train()
    assert not task.upstream.training
    task.loss(tone_batch()).total.backward()
    for name, parameter in task.named_parameters():
        if name.startswith("upstream."):
            assert parameter.grad is None, name
        elif name != "pooling.score.bias":  # a softmax over time does not see a constant
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_loss_is_a_mean_over_items_so_that_batches_add_up() -> None:
    task, batch = toy_task(label_smoothing=0.1, class_weights=True, label_counts=[1, 2, 5]).eval(), tone_batch(12)
    whole = task.loss(batch)
    assert float(whole.weight) == 12
    total, correct = 0.0, 0.0
    for rows in (slice(0, 5), slice(5, 12)):
        part = task.loss(Batch(batch.wavs[rows], batch.lengths[rows], batch.cuts[rows]))
        total += part.total.item() * part.weight.item()
        correct += float(part.logs["accuracy"] * part.weight)
    assert total / 12 == pytest.approx(whole.total.item(), rel=1e-5)
    assert correct / 12 == pytest.approx(float(whole.logs["accuracy"]))


def test_loss_is_the_cross_entropy_of_the_labels() -> None:
    task, batch = toy_task(label_smoothing=0.2), tone_batch()
    targets = torch.tensor([row % 3 for row in range(12)])
    expected = nn.functional.cross_entropy(task.logits(batch), targets, label_smoothing=0.2)
    torch.testing.assert_close(task.loss(batch).total, expected)


def test_class_weights_scale_the_loss_of_each_item() -> None:
    task, batch = toy_task(class_weights=True, label_counts=[2, 3, 15]), tone_batch(2)
    losses = nn.functional.cross_entropy(task.logits(batch), torch.tensor([0, 1]), reduction="none")
    weights = torch.tensor([20 / (3 * 2), 20 / (3 * 3)])  # N / (C n_c)
    torch.testing.assert_close(task.loss(batch).total, (losses * weights).mean())


def test_class_weights_have_mean_one_over_the_training_items() -> None:
    counts = [2, 3, 15]
    weights = toy_task(class_weights=True, label_counts=counts).get_buffer("class_weights")
    shares = torch.tensor(counts) / 20
    torch.testing.assert_close((weights * shares).sum(), torch.tensor(1.0))
    torch.testing.assert_close(weights * shares, torch.full((3,), 1 / 3))
    with pytest.raises(ConfigError, match="label_counts"):
        toy_task(class_weights=True)


def test_it_learns_tones() -> None:
    task, batch = toy_task(), tone_batch(24)
    trainable = [parameter for parameter in task.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trainable, lr=1e-2)
    first = task.loss(batch).total.item()
    for _ in range(30):
        optimizer.zero_grad()
        task.loss(batch).total.backward()
        optimizer.step()
    assert task.loss(batch).total.item() < 0.1 * first
    unheard = task.predict(tone_batch(24, seed=1))
    assert task.score(unheard)["accuracy"].value == 1.0


def test_predictions_are_complete_and_survive_json() -> None:
    task, batch = toy_task().eval(), tone_batch()
    rows = json.loads(json.dumps(task.predict(batch)))
    probabilities = task.logits(batch).softmax(dim=-1)
    for row, cut, expected in zip(rows, batch.cuts, probabilities, strict=True):
        assert set(row) == {
            *("id", "target", "predicted", "probability", "scores", "logits", "calibrated", "temperature"),
            *("speaker", "duration_s"),
        }
        assert (row["calibrated"], row["temperature"]) == (False, None)
        assert row["id"] == cut.id
        assert row["target"] == cut.supervisions[0].custom["label"]
        assert row["predicted"] == WORDS[int(expected.argmax())]
        assert row["probability"] == max(row["scores"])
        assert row["scores"] == pytest.approx(expected.tolist(), abs=1e-6)
        assert sum(row["scores"]) == pytest.approx(1.0, abs=1e-5)
        assert row["speaker"] == cut.supervisions[0].speaker
        assert row["duration_s"] == pytest.approx(cut.duration, abs=1e-4)
    assert task.score(rows) == task.score(task.predict(batch))


def test_items_without_label_are_predicted_and_not_scored() -> None:
    task, batch = toy_task().eval(), tone_batch(3)
    bare = MonoCut("bare", start=0, duration=0.5, channel=0)
    rows = task.predict(Batch(batch.wavs, batch.lengths, (*batch.cuts[:2], bare)))
    assert rows[2]["target"] is None
    assert rows[2]["speaker"] is None
    assert rows[2]["predicted"] in WORDS
    assert task.score(rows) == task.score(rows[:2])
    with pytest.raises(LabelError, match="nothing to score"):
        task.score(rows[2:])


def test_score_draws_whole_speakers_where_they_are_known() -> None:
    task = toy_task()
    rows = [
        {"target": "no", "predicted": "no" if number % 40 < 20 else "up", "speaker": f"s{number // 20}"}
        for number in range(160)
    ]
    by_speaker = task.score(rows)["accuracy"]
    by_item = task.score([{**row, "speaker": None} for row in rows])["accuracy"]
    assert by_speaker.value == by_item.value == 0.5
    assert by_speaker.high is not None
    assert by_item.high is not None
    assert by_speaker.high - 0.5 > 2 * (by_item.high - 0.5)


def test_complete_takes_sorted_labels_and_their_counts() -> None:
    cuts = [cut_of(number, label) for number, label in enumerate(["b", "a", "b", None, "c"])]
    config = UtteranceClassification.complete(Config(), iter(cuts))
    assert (config.labels, config.label_counts) == (["a", "b", "c"], [1, 2, 1])
    chosen = UtteranceClassification.complete(Config(labels=["c", "b", "x"]), cuts)
    assert (chosen.labels, chosen.label_counts) == (["c", "b", "x"], [1, 2, 0])
    assert structured(Config, as_dict(config)) == config


@pytest.mark.parametrize(("labels", "found"), [(["a", "a"], "only 'a'"), ([None], "none"), ([], "none")])
def test_fewer_than_two_labels_are_an_error(labels: list[str | None], found: str) -> None:
    cuts = [cut_of(number, label) for number, label in enumerate(labels)]
    with pytest.raises(LabelError, match=f"{found} in the field 'label'"):
        UtteranceClassification.complete(Config(), cuts)
    with pytest.raises(ConfigError, match="at least two"):
        toy_task(labels=["a"])


def test_labels_unseen_in_training_are_named_with_an_item() -> None:
    cuts = [cut_of(0, "no"), cut_of(1, "stop"), cut_of(2, "go"), cut_of(3, "stop")]
    with pytest.raises(LabelError, match=r"^2 label\(s\) of the test set .*'stop', 'go' .*'item-1'"):
        toy_task().check_cuts(cuts, "the test set")
    toy_task().check_cuts(cuts[:1], "the test set")


def test_an_item_without_label_is_named() -> None:
    with pytest.raises(
        LabelError, match=r"1 of the .* rows of dev have nothing in the field 'label', the first is 'item-7'"
    ):
        toy_task().check_cuts([cut_of(0, "no"), cut_of(7, None)], "dev")


def test_trainable_state_round_trips_and_refuses_another_head() -> None:
    batch, task = tone_batch(), toy_task()
    with torch.no_grad():
        for parameter in task.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter))
    other = toy_task()
    assert not torch.equal(other.logits(batch), task.logits(batch))
    other.load_trainable_state(task.trainable_state())
    assert torch.equal(other.logits(batch), task.logits(batch))
    with pytest.raises(CheckpointError, match=r"projector\.weight"):
        toy_task(projector_width=8).load_trainable_state(task.trainable_state())


def test_half_precision_encoder_with_a_float32_head(monkeypatch: pytest.MonkeyPatch) -> None:
    task, batch = toy_task().eval(), tone_batch()
    features = task.features(batch)
    exact = task.logits(batch)
    halves = type(features)(tuple(layer.bfloat16() for layer in features.layers), features.lengths)
    monkeypatch.setattr(task, "features", lambda _: halves)
    torch.testing.assert_close(task.logits(batch), exact, atol=0.05, rtol=0.05)


def test_superb_setting_is_valid_and_published() -> None:
    setting = read_experiment(None, ["downstream=utterance_classification", "setting=superb"])
    assert structured(Config, setting.task) == Config()  # the defaults are the published head
    assert setting.interface == "weighted_sum"
    assert (setting.data.batch_size, setting.trainer.optimizer, setting.trainer.lr) == (32, "adam", 1e-4)
    assert (setting.trainer.steps, setting.trainer.eval_every, setting.trainer.clip) == (200000, 5000, 1.0)


def test_keyword_spotting_draws_classes_equally_often() -> None:
    published = read_experiment(None, ["downstream=utterance_classification", "setting=keyword_spotting"])
    shared = read_experiment(None, ["downstream=utterance_classification", "setting=superb"])
    assert (published.data.balance, shared.data.balance) == ("label", "")
    assert replace(published, data=shared.data, task=shared.task, setting="superb") == shared
    recipe = read_experiment(RECIPES / "speech_commands" / "keyword_spotting.yaml", [])
    assert (recipe.setting, recipe.data.balance) == ("keyword_spotting", "label")


def test_the_columns_that_are_there_are_named() -> None:
    with pytest.raises(LabelError, match=r"have none in the field 'species'; .*\(there are: label, text\)"):
        UtteranceClassification.complete(Config(label_field="species"), [cut_of(0, "a"), cut_of(1, "b")])
