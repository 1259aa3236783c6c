"""Speech recognition on letters that are tones: head, loss, decoding, times, bad transcripts, long recordings."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from lhotse import MonoCut
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from toys.asr import LETTERS, RATE, ToyUpstream, cut_of, sentence, spell, spelling_asr, spoken_batch, toy_asr

from audiossl.core.config import as_dict, make, structured
from audiossl.core.errors import ConfigError, LabelError
from audiossl.core.registry import DOWNSTREAMS
from audiossl.core.types import Batch, Position
from audiossl.data.inputs import cuts_of
from audiossl.downstreams.asr.augmentation import SpecAugmentConfig, spec_augment
from audiossl.downstreams.asr.decoding import Clock, merge
from audiossl.downstreams.asr.heads import Bidirectional, join_frames
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


@pytest.fixture(scope="module")
def recogniser() -> Asr:
    return spelling_asr()


def rows_of(batch: Batch, rows: slice) -> Batch:
    lengths = batch.lengths[rows]
    return Batch(batch.wavs[rows, : int(lengths.max())], lengths, batch.cuts[rows], batch.position)


def file_cut(path: Path, text: str) -> MonoCut:
    soundfile.write(path, (0.99 * spell(text)[0]).numpy(), RATE, subtype="PCM_16")
    (cut,) = cuts_of([str(path)])
    return cut


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


def test_both_directions_equal_a_packed_lstm() -> None:
    torch.manual_seed(0)
    lengths, x = torch.tensor([9, 4, 1]), torch.randn(3, 9, 5)
    ours, theirs = Bidirectional(5, 7), nn.LSTM(5, 7, batch_first=True, bidirectional=True)
    names = [name.removesuffix("_reverse") for name, _ in theirs.named_parameters() if name.endswith("_reverse")]
    ours.ahead.load_state_dict({name: getattr(theirs, name) for name in names})
    ours.back.load_state_dict({name: getattr(theirs, f"{name}_reverse") for name in names})
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    expected = pad_packed_sequence(theirs(packed)[0], batch_first=True)[0]
    for row, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(ours(x, lengths)[row, :length], expected[row, :length])


def test_joined_frames_are_exact_and_end_in_zeros() -> None:
    x = torch.arange(14.0).reshape(2, 7, 1) + 1
    joined, lengths = join_frames(x, torch.tensor([7, 4]), 3)
    assert lengths.tolist() == [3, 2]
    assert joined.tolist() == [
        [[1, 2, 3], [4, 5, 6], [7, 0, 0]],
        [[8, 9, 10], [11, 0, 0], [0, 0, 0]],
    ]


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


def test_words_are_where_they_are_said(recogniser: Asr) -> None:
    """A step of CTC may come up to a tone late; it never is in another word."""
    texts = ["ab ca", "bab b acc"]
    for row, text in zip(recogniser.predict(spoken_batch(texts=texts)), texts, strict=True):
        assert row["predicted"] == text
        for (word, start_s, end_s, confidence), (said, begin, end) in zip(row["words"], spell(text)[1], strict=True):
            assert word == said
            assert begin - 0.03 <= start_s < end_s <= end + 0.05
            assert 0 < confidence <= 1


def test_a_step_is_around_the_middle_of_what_its_frames_see() -> None:
    """Stride 160, receptive field 320: frame f has its middle at 160 f + 160 samples; two of them are a step."""
    clock = Clock.of(ToyUpstream(), 2, 1.0)
    assert clock.at(0) == pytest.approx((160 - 80) / RATE)
    assert clock.at(1) == pytest.approx((2 * 160 + 160 - 80) / RATE)
    assert clock.at(10**6) == 1.0


def test_best_path_merges_repetitions_and_drops_blanks() -> None:
    classes, probabilities = torch.tensor([0, 1, 1, 0, 1, 2, 3, 3, 0]), torch.arange(1, 10) / 10
    found = merge(classes, probabilities, num_units=2)  # class 3 is the end of the sentence
    assert [(each.unit, each.first, each.last) for each in found] == [(0, 1, 3), (0, 4, 5), (1, 5, 6)]
    assert [each.confidence for each in found] == pytest.approx([0.25, 0.5, 0.6])
    assert merge(torch.zeros(4, dtype=torch.int64), torch.ones(4), 2) == []


def test_nothing_recognised_is_an_empty_text() -> None:
    task = toy_asr().eval()
    with torch.no_grad():
        task.head.output.bias[0] = 50.0
    rows = task.predict(spoken_batch(3))
    assert all(row["predicted"] == "" and row["words"] == [] for row in rows)
    assert task.score(rows)["deletions"].value == task.score(rows)["wer"].value == 1.0


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


def test_tables_show_the_worst_with_their_sound() -> None:
    audio = {"path": "x.wav", "start_s": 1.0, "duration_s": 2.0}
    rows = [
        {"id": "1", "target": "a b", "predicted": "a c", "num_errors": 1, "num_units": 2, "audio": audio},
        {"id": "2", "target": "a b", "predicted": "a b", "num_errors": 0, "num_units": 2},
        {"id": "3", "target": "b", "predicted": "c d", "num_errors": 2, "num_units": 1},
        {"id": "4", "target": None, "predicted": "c d"},
    ]
    worst, confusions = toy_asr().tables(rows)
    assert [row[0] for row in worst.rows] == ["3", "1"]
    assert worst.rows[1][3] == {"words": [["a", "a"], ["b", "c"]]}
    assert worst.rows[1][4] == {"audio": "x.wav", "start_s": 1.0, "duration_s": 2.0}
    assert worst.note == "2 of 3 utterances have an error."
    assert confusions.rows == [["(inserted)", "c", 1], ["b", "c", 1], ["b", "d", 1]]


def test_masks_depend_on_the_item_and_the_epoch_alone() -> None:
    config = SpecAugmentConfig(num_time_masks=2, time_width=30, num_feature_masks=1, feature_width=4)
    x, names = torch.ones(3, 50, 8), ["a", "b", "c"]
    masked = spec_augment(x, [50, 50, 20], names, 0, config)
    assert torch.equal(spec_augment(x[1:2], [50], ["b"], 0, config)[0], masked[1])
    assert torch.equal(spec_augment(x[2:, :20], [20], ["c"], 0, config)[0], masked[2, :20])
    assert not torch.equal(spec_augment(x, [50, 50, 20], names, 1, config), masked)
    assert int((masked[2].sum(dim=1) == 0).sum()) < 2 * 0.2 * 20
    hidden = [spec_augment(x, [50] * 3, names, epoch, config) == 0 for epoch in range(200)]
    spans = torch.stack(hidden).all(dim=-1).sum(dim=-1).float()  # two of uniform 0 to 9 frames, some overlap
    assert 7.5 < float(spans.mean()) < 9.0


def test_masks_are_for_training_only() -> None:
    masks = {"num_time_masks": 4, "num_feature_masks": 4, "feature_width": 8}
    task, plain, batch = (
        toy_asr(spec_augment=masks, head={"dropout": 0.0}),
        toy_asr(head={"dropout": 0.0}),
        spoken_batch(3),
    )
    assert torch.equal(task.eval().loss(batch).total, plain.eval().loss(batch).total)
    first = task.train().loss(batch).total
    assert not torch.equal(first, plain.train().loss(batch).total)
    assert torch.equal(first, task.loss(batch).total)
    later = Batch(batch.wavs, batch.lengths, batch.cuts, Position(1, 0))
    assert not torch.equal(first, task.loss(later).total)


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
        (None, r"Item 'x' of dev has nothing in the field 'text'"),
        (" .. ", r"Item 'x' of dev has no word in its transcript ' .. '"),
        ("a z", r"Item 'x' of dev has 'z' \(U\+007A\) in its transcript, which is outside the 4 units; correct"),
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


def test_a_target_longer_than_its_steps_is_named_before_training(tmp_path: Path) -> None:
    cut = file_cut(tmp_path / "x.wav", "a")  # 0.1 s: 9 frames, 5 steps
    for text, fits in (("aaa", True), ("aaaa", False), ("ababa", True)):
        cut.supervisions[0].text = text
        if fits:
            toy_asr().check_cuts([cut], "train")
        else:
            with pytest.raises(LabelError, match=r"Item 'x' of train needs 7 steps for its 4 units and has 5"):
                toy_asr().check_cuts([cut], "train")
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
    other = make(Asr, as_dict(recogniser.config), ToyUpstream(), load_interface("weighted_sum", (8, 8)))
    other.upstream.load_state_dict(recogniser.upstream.state_dict())
    other.load_trainable_state(recogniser.trainable_state())
    assert other.eval().predict(batch) == recogniser.predict(batch)


def long_text(num_words: int) -> str:
    return sentence(random.Random(7), num_words)


@pytest.mark.parametrize("head", [{}, {"kind": "linear", "frame_s": 0.03}])
def test_a_window_that_holds_the_recording_is_the_recording(head: dict[str, Any], tmp_path: Path) -> None:
    task = toy_asr(head=head).eval()
    cut = file_cut(tmp_path / "x.wav", "abc b ca")
    sound, _ = soundfile.read(tmp_path / "x.wav", dtype="float32")
    batch = Batch(torch.from_numpy(sound)[None], torch.tensor([len(sound)]), (cut,))
    with torch.no_grad():
        whole = task.head.log_probs(*task.sequence(batch))[0][0]
        parts = list(task.long_log_probs(cut))
    assert torch.equal(torch.cat(parts), whole)
    assert task.predict_long(cut) == task.predict(batch)[0]


def test_long_recordings_are_recognised_window_by_window(recogniser: Asr, tmp_path: Path) -> None:
    text = long_text(120)
    cut = file_cut(tmp_path / "talk.wav", text)
    assert cut.duration > 20
    options = {"longest_s": 3.0, "window_s": 3.0, "overlap_s": 1.0}
    task = make(Asr, {**as_dict(recogniser.config), **options}, recogniser.upstream, recogniser.interface).eval()
    task.load_trainable_state(recogniser.trainable_state())
    sizes: list[int] = []
    head = task.head.forward

    def measured(x: Tensor, lengths: Tensor) -> Any:
        sizes.append(x.shape[1])
        return head(x, lengths)

    task.head.forward = measured  # type: ignore[method-assign]
    row = task.predict_long(cut)
    assert max(sizes) <= 300
    assert len(sizes) > 10
    cut.supervisions[0].text = text
    scored = task.predict_long(cut)
    assert scored["num_errors"] / scored["num_units"] < 0.1
    assert row["predicted"] == scored["predicted"]
    starts = [start for _, start, _, _ in row["words"]]
    assert starts == sorted(starts)
    expected = [begin for _, begin, _ in spell(text)[1]]
    assert starts[-1] == pytest.approx(expected[-1], abs=0.1)


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
    upstream = ToyUpstream()
    config = structured(Config, options, {"text": {"symbols": symbols}})
    task = Asr(upstream, load_interface("last", upstream.widths), config)
    return {name: tuple(value.shape) for name, value in task.trainable_state().items()}


def test_settings_that_contradict_each_other() -> None:
    with pytest.raises(ConfigError, match="append_space needs text.kind=characters"):
        structured(Config, {"append_space": True, "text": {"kind": "words"}})
    with pytest.raises(ConfigError, match="a window must be longer than the overlap"):
        structured(Config, {"window_s": 4.0})
    with pytest.raises(ConfigError, match="frame_s must not be negative"):
        structured(Config, {"head": {"frame_s": -1}})
    with pytest.raises(ConfigError, match="longest_share=0"):
        structured(Config, {"spec_augment": {"longest_share": 0}})
    with pytest.raises(ConfigError, match="needs units"):
        toy_asr(text={"symbols": []})
