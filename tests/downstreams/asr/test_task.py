"""Speech recognition on letters that are tones: loss, predictions, bad transcripts, settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lhotse import MonoCut
from torch import nn
from toys.asr import LETTERS, cut_of, encoder, file_cut, spoken_batch, toy_asr

from audiossl.core.config import as_dict, make, structured
from audiossl.core.errors import ConfigError, LabelError
from audiossl.core.registry import DOWNSTREAMS
from audiossl.core.types import Batch
from audiossl.downstreams.asr.task import Asr
from audiossl.experiments.config import read_experiment
from audiossl.training.interface import load_interface

Config = Asr.Config
HEADS: list[dict[str, Any]] = [
    {},
    {"num_layers": 2, "frame_s": 0.03, "dropout": 0.3},
    {"kind": "linear", "frame_s": 0.04},
    {"kind": "linear", "frame_s": 0, "projector_width": None, "normalize": False},
]


def rows_of(batch: Batch, rows: slice) -> Batch:
    lengths = batch.lengths[rows]
    return Batch(batch.wavs[rows, : int(lengths.max())], lengths, batch.cuts[rows], batch.position)


def test_it_is_registered() -> None:
    assert DOWNSTREAMS.load("asr") is Asr


@pytest.mark.parametrize("head", HEADS)
def test_a_batch_equals_its_items_one_by_one(head: dict[str, Any]) -> None:
    task, batch = toy_asr(head=head).eval(), spoken_batch(5)
    together, steps = task.head.log_probs(*task.sequence(batch))
    for row in range(5):
        alone, count = task.head.log_probs(*task.sequence(rows_of(batch, slice(row, row + 1))))
        assert int(count) == int(steps[row]) == alone.shape[1]
        torch.testing.assert_close(alone[0], together[row, : int(count)], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("average", ["units", "items"])
def test_loss_is_ctc_and_batches_add_up(average: str) -> None:
    task, batch = toy_asr(average=average, append_space=True, append_eos=True).eval(), spoken_batch(6)
    whole = task.loss(batch)
    values, sizes = [], []
    log_probs, steps = task.head.log_probs(*task.sequence(batch))
    for row, cut in enumerate(batch.cuts):
        target = [1 + [" ", *LETTERS].index(symbol) for symbol in f"{cut.supervisions[0].text} "] + [5]
        arguments = (torch.tensor(target), steps[row : row + 1], torch.tensor([len(target)]))
        values.append(nn.functional.ctc_loss(log_probs[row, : steps[row]], *arguments, reduction="sum").item())
        sizes.append(len(target))
    items = np.array(values) / np.array(sizes)
    expected, weight = (sum(values) / sum(sizes), sum(sizes)) if average == "units" else (items.mean(), 6)
    assert whole.total.item() == pytest.approx(expected, rel=1e-5)
    assert float(whole.weight) == weight
    parts = [task.loss(rows_of(batch, rows)) for rows in (slice(0, 2), slice(2, 6))]
    assert sum((part.total * part.weight).item() for part in parts) / weight == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("head", HEADS)
def test_gradient_reaches_head_and_interface_and_leaves_the_encoder_alone(head: dict[str, Any]) -> None:
    task = toy_asr(head=head).train()
    task.loss(spoken_batch(4)).total.backward()
    for name, parameter in task.named_parameters():
        if name.startswith("upstream."):
            assert parameter.grad is None, name
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_it_learns_to_spell(recogniser: Asr) -> None:
    scores = recogniser.score(recogniser.predict(spoken_batch(24, seed=1)))
    assert scores["wer"].value < 0.1
    assert scores["cer"].value < 0.05
    assert list(scores) == ["wer", "cer", "substitutions", "deletions", "insertions"]


def test_predictions_are_complete_and_survive_json(recogniser: Asr) -> None:
    batch = spoken_batch(6, seed=2)
    rows = json.loads(json.dumps(recogniser.predict(batch)))
    for row, cut in zip(rows, batch.cuts, strict=True):
        assert row["target"] == cut.supervisions[0].text
        assert (row["id"], row["speaker"]) == (cut.id, cut.supervisions[0].speaker)
        assert " ".join(word for word, *_ in row["words"]) == row["predicted"]
        assert row["num_errors"] == row["substitutions"] + row["deletions"] + row["insertions"]
        assert row["num_units"] == len(row["target"].split())
    assert recogniser.score(rows) == recogniser.score(recogniser.predict(batch))
    assert recogniser.columns(rows[0]) == {"text": rows[0]["predicted"]}


def test_items_without_transcript_are_predicted_and_not_scored(recogniser: Asr) -> None:
    batch = spoken_batch(3)
    bare = MonoCut("bare", start=0, duration=0.5, channel=0)
    rows = recogniser.predict(Batch(batch.wavs, batch.lengths, (*batch.cuts[:2], bare)))
    assert rows[2]["target"] is None
    assert "num_errors" not in rows[2]
    assert recogniser.score(rows) == recogniser.score(rows[:2])
    assert recogniser.facts(rows) == recogniser.facts(rows[:2])
    with pytest.raises(LabelError, match="nothing to score"):
        recogniser.score(rows[2:])


def test_complete_takes_units_from_the_training_transcripts() -> None:
    cuts = [cut_of("1", "B a", 1.0), cut_of("2", None, 1.0), cut_of("3", "c!", 1.0)]
    config = Asr.complete(Config(), iter(cuts))
    assert config.text.symbols == [" ", "!", "B", "a", "c"]
    assert structured(Config, as_dict(config)) == config
    alone = Asr.complete(Config(append_space=True), [cut_of("1", "ba", 1.0)])
    assert alone.text.symbols == [" ", "a", "b"]
    strict = structured(Config, {"text": {"case": "lower", "punctuation": "strip", "symbols": [" ", "a", "b"]}})
    with pytest.raises(LabelError, match=r"Item '3' of training has 'c' \(U\+0063\)"):
        Asr.complete(strict, cuts)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (None, r"1 of the 2 rows of dev have nothing in the field 'text' \(the column transcript"),
        (" .. ", r"Item 'x' of dev has no word in its transcript ' .. '"),
        ("a z", r"Item 'x' of dev has 'z' \(U\+007A\) .* outside the 4 units; .*task\.unknown_symbols=count\."),
    ],
)
def test_bad_transcripts_are_named(text: str | None, named: str) -> None:
    with pytest.raises(LabelError, match=named):
        toy_asr(text={"punctuation": "strip"}).check_cuts([cut_of("1", "a", 1.0), cut_of("x", text, 1.0)], "dev")


def test_symbols_outside_the_units_may_count_as_errors() -> None:
    task = toy_asr(unknown_symbols="count").eval()
    task.check_cuts([cut_of("x", "a z", 1.0)], "test")
    batch = spoken_batch(2)
    cuts = (cut_of("1", "zz", 0.5), cut_of("2", "zz a", 0.5))
    rows = task.predict(Batch(batch.wavs, batch.lengths, cuts))
    assert [row["num_units"] for row in rows] == [1, 2]
    assert task.score(rows)["wer"].value >= 2 / 3
    with pytest.raises(LabelError, match="outside the 4 units"):
        task.loss(Batch(batch.wavs, batch.lengths, cuts))


def test_text_in_another_column_is_named() -> None:
    rows = [cut_of(name, None, 1.0) for name in "xy"]
    rows[0].supervisions[0].custom = {"transcript": "a"}
    with pytest.raises(LabelError, match=r"2 of the 2 rows of training .*first is 'x'; what there is: transcript; .*"):
        Asr.complete(Config(), rows)


@pytest.mark.parametrize("unknown", ["error", "count"])
def test_a_target_longer_than_its_steps_is_named_before_training(tmp_path: Path, unknown: str) -> None:
    cut = file_cut(tmp_path / "x.wav", "a")  # 0.1 s: 9 frames, 5 steps
    for text, fits in (("aaa", True), ("aaaa", False), ("ababa", True)):
        cut.supervisions[0].text = text
        task = toy_asr(unknown_symbols=unknown)
        if fits:
            task.check_cuts([cut], "train")
        else:
            with pytest.raises(LabelError, match=r"Item 'x' of train needs 7 steps for its 4 units and has 5"):
                task.check_cuts([cut], "train")
        toy_asr().eval().check_cuts([cut], "test")  # nothing is aligned there
    batch = spoken_batch(texts=["a"])
    with pytest.raises(LabelError, match=r"needs 7 steps for its 4 units"):
        toy_asr().loss(Batch(batch.wavs, batch.lengths, (cut_of("x", "aaaa", 0.1),)))


def test_a_cropped_row_is_refused(tmp_path: Path) -> None:
    batch = spoken_batch(texts=["abcb abc abcabc"])
    cut = file_cut(tmp_path / "x.wav", "abcb abc abcabc")
    cut.supervisions[0].text = "abcb abc abcabc"
    cropped = cut.truncate(offset=0.1, duration=0.5, preserve_id=True)
    with pytest.raises(LabelError, match=r"'x' is a part \(0.5 s\) of what its transcript says"):
        toy_asr().loss(Batch(batch.wavs, batch.lengths, (cropped,)))


def test_state_round_trips(recogniser: Asr) -> None:
    batch = spoken_batch(3)
    other = make(Asr, as_dict(recogniser.config), encoder(), load_interface("weighted_sum", (8, 8)))
    other.upstream.load_state_dict(recogniser.upstream.state_dict())
    other.load_trainable_state(recogniser.trainable_state())
    assert other.eval().predict(batch) == recogniser.predict(batch)


def test_phone_recognition_counts_phones() -> None:
    task = toy_asr(text={"kind": "phones", "symbols": ["AA", "B"]})
    assert task.monitor.name == "per"
    rows = [{"id": "1", "target": "AA B AA", "predicted": "AA AA", "speaker": None}]
    assert {name: metric.value for name, metric in task.score(rows).items()} == pytest.approx(
        {"per": 1 / 3, "substitutions": 0, "deletions": 1 / 3, "insertions": 0}
    )


def test_settings_are_read_and_what_they_claim() -> None:
    default = read_experiment(None, ["downstream=asr", "setting=default"])
    assert structured(Config, default.task) == Config()
    superb = read_experiment(None, ["downstream=asr", "setting=superb"])
    head = toy_head(superb.task, list("ABCDEFGHIJKLMNOPQRSTUVWXYZ' "))
    assert head["head.projector.weight"] == (1024, 8)
    assert head["head.layers.1.back.weight_ih_l0"] == (4 * 1024, 2048)
    assert head["head.output.weight"] == (30, 2048)  # 28 characters, blank, end; two more there are never a target
    assert (superb.trainer.lr, superb.trainer.steps, superb.data.batch_size) == (1e-4, 200000, 16)
    phones = read_experiment(None, ["downstream=asr", "setting=phone_recognition"])
    head = toy_head(phones.task, [f"P{number}" for number in range(70)])
    assert {name: shape for name, shape in head.items() if "weight" in name} == {
        "head.projector.weight": (256, 8),
        "head.output.weight": (72, 256),
    }
    assert (phones.trainer.lr, phones.trainer.batches_per_step) == (1e-2, 2)


def toy_head(options: dict[str, Any], symbols: list[str]) -> dict[str, tuple[int, ...]]:
    upstream = encoder()
    config = structured(Config, options, {"text": {"symbols": symbols}})
    task = Asr(upstream, load_interface("last", upstream.widths), config)
    return {name: tuple(value.shape) for name, value in task.trainable_state().items()}


def test_settings_that_contradict_each_other() -> None:
    with pytest.raises(ConfigError, match="append_space needs text.kind=characters"):
        structured(Config, {"append_space": True, "text": {"kind": "words"}})
    with pytest.raises(ConfigError, match="a window must be longer than the overlap"):
        structured(Config, {"window_s": 4.0})
    with pytest.raises(ConfigError, match=r"head\.frame_s=.* must be at least 0"):
        structured(Config, {"head": {"frame_s": -1}})
    with pytest.raises(ConfigError, match="longest_share=0"):
        structured(Config, {"spec_augment": {"longest_share": 0}})
    with pytest.raises(ConfigError, match="needs units"):
        toy_asr(text={"symbols": []})
