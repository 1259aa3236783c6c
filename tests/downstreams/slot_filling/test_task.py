"""Slots of letters that are tones: it learns them, with errors, units and the contract."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest
import torch
from lhotse import MonoCut
from toys.asr import encoder, sentence, spoken_batch, trained

from audiossl import check_downstream
from audiossl.core.config import as_dict, structured
from audiossl.core.errors import ConfigError, LabelError
from audiossl.core.types import Batch
from audiossl.downstreams.slot_filling.task import SlotFilling
from audiossl.report.estimates import scored
from audiossl.training.interface import load_interface

HEAD = {"projector_width": 16, "hidden": 12, "num_layers": 1, "dropout": 0.0}
QUIET = {"num_time_masks": 0, "num_feature_masks": 0}


def marked(text: str) -> str:
    """A word that begins with a is an x, one that begins with c is a y."""
    names = {"a": "x", "c": "y"}
    return " ".join(f"B-{name} {word} E-{name}" if (name := names.get(word[0])) else word for word in text.split())


def with_slots(batch: Batch) -> Batch:
    cuts = []
    for cut in batch.cuts:
        (said,) = cut.supervisions
        cuts.append(replace(cut, supervisions=[replace(said, custom={"slots": marked(said.text)})]))
    return Batch(batch.wavs, batch.lengths, tuple(cuts))


def slotted_batch(num_items: int = 16, seed: int = 0) -> Batch:
    rng = random.Random(seed)
    return with_slots(spoken_batch(seed=seed, texts=[sentence(rng, 2) for _ in range(num_items)]))


def toy_task(batch: Batch, **options: Any) -> SlotFilling:
    torch.manual_seed(0)
    upstream = encoder()
    layer = {"head": HEAD, "spec_augment": QUIET, **options}
    config = SlotFilling.complete(structured(SlotFilling.Config, layer), batch.cuts)
    assert structured(SlotFilling.Config, as_dict(config)) == config
    return SlotFilling(upstream, load_interface("weighted_sum", upstream.widths), config)


@pytest.fixture(scope="module")
def learnt() -> SlotFilling:
    batch = slotted_batch(24)
    made = trained(toy_task(batch), batch, 90, lr=0.05)
    assert isinstance(made, SlotFilling)
    return made


def test_it_keeps_the_contract() -> None:
    batch = slotted_batch(4)
    check_downstream(toy_task(batch), batch)
    check_downstream(toy_task(batch, text={"kind": "words"}), batch)


def test_the_ends_of_slots_are_units_whatever_the_words_are_made_of() -> None:
    batch = slotted_batch(24)
    ends = ["B-x", "B-y", "E-x", "E-y"]
    letters = toy_task(batch, text={"case": "upper", "punctuation": "strip"})
    assert letters.config.text.symbols == [" ", "A", "B", "B-x", "B-y", "C", "E-x", "E-y"]
    cut = next(cut for cut in batch.cuts if cut.supervisions[0].text.startswith("a"))
    said = cut.supervisions[0].custom["slots"].split()
    symbols = [letters.config.text.symbols[number - 1] for number in letters.target(cut)]
    inside = [*said[1].upper()]
    assert symbols[: len(inside) + 3] == ["B-x", *inside, "E-x", " "]
    pieces = toy_task(batch, text={"kind": "bpe", "size": 8})
    assert pieces.config.text.symbols[-4:] == ends
    assert len(pieces.config.text.symbols) == 12
    for task in (letters, pieces, toy_task(batch, text={"kind": "words"})):
        for each in batch.cuts:
            numbers = [number - 1 for number in task.target(each)]
            assert task.units.decode(numbers) == " ".join(task.units.tokens(each.supervisions[0].custom["slots"]))


def test_it_learns_slots_and_says_them(learnt: SlotFilling) -> None:
    batch = slotted_batch(24, seed=1)
    rows = learnt.predict(batch)
    assert json.loads(json.dumps(rows)) == rows
    found = learnt.score(rows)
    assert list(found)[:4] == ["slot_type_f1", "slot_value_cer", "slot_f1", "slot_edit_f1"]
    assert found["slot_type_f1"].value > 0.9
    assert found["slot_value_cer"].value < 0.3
    assert found["slot_type_f1"].cluster == "speaker"
    assert {"wer", "cer"} <= found.keys()
    right = next(row for row in rows if row["target"] == row["predicted"] and row["target"].startswith("B-x"))
    assert learnt.columns(right)["slots"].startswith("x=a")
    assert right["words"][0][0] == "B-x"
    assert (right["num_errors"], right["num_units"]) == (0, 1)
    assert scored(rows, "slot_type_f1").estimate.value == pytest.approx(1 - found["slot_type_f1"].value, abs=1e-6)


def test_words_are_scored_without_the_ends_of_slots(learnt: SlotFilling) -> None:
    (row,) = learnt.predict(with_slots(spoken_batch(texts=["ab b"])))
    spoiled = {**row, "predicted": "ab B-y b E-y"}  # the words are right and the slots are not
    found = learnt.score([spoiled, spoiled])
    assert (found["wer"].value, found["slot_f1"].value, found["slot_type_f1"].value) == (0.0, 0.0, 0.0)
    assert learnt.facts([spoiled])["edits"] == {
        "unit": "word",
        "num_units": 2,
        "substitutions": 0,
        "deletions": 0,
        "insertions": 0,
    }
    types, worst, *_ = learnt.tables([spoiled])
    assert types.rows == [["x", 1, 1, 0, 0, 0], ["y", 0, 0, 0, 1, 0]]
    assert worst.rows[0][1] == 3  # ends of slots as well


def test_kept_emissions_give_the_same(learnt: SlotFilling) -> None:
    batch = slotted_batch(3, seed=2)
    plain = learnt.predict(batch)
    learnt.keep_emissions()
    kept = learnt.predict(batch)
    learnt.keeps_emissions = False
    assert "log_probs" in kept[0]
    assert learnt.assemble(kept, "test") == plain


def cut(**columns: str) -> MonoCut:
    made = spoken_batch(1).cuts[0]
    return replace(made, supervisions=[replace(made.supervisions[0], custom=columns)])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"slots": "B-x a"}, r"'item-0' of dev never ends the slot 'x' in its field 'slots'; correct it"),
        ({"slots": "B-z a E-z"}, r"'item-0' of dev has 'B-z' in its transcript, which is outside the 8 units"),
        ({}, r"1 of the 1 rows of dev ha.* in the field 'slots'.* set task.text_field to the column"),
    ],
)
def test_what_dev_must_not_have_is_one_sentence(columns: dict[str, str], message: str) -> None:
    with pytest.raises(LabelError, match=message):
        toy_task(slotted_batch()).check_cuts([cut(**columns)], "dev")


def test_settings_that_cannot_be_are_one_sentence() -> None:
    batch = slotted_batch()
    with pytest.raises(ConfigError, match="lexicon=none, with a language model of units"):
        toy_task(batch, decoding={"method": "beam", "lm": "lm.arpa"})
    plain = Batch(batch.wavs, batch.lengths, spoken_batch(seed=0).cuts[:1])
    with pytest.raises(LabelError, match=r"None of the 1 rows of training has a slot in the field 'text'; mark values"):
        toy_task(plain, text_field="text")
    with pytest.raises(LabelError, match=r"of training has 'B-.' in its transcript, which is outside the 4 units"):
        toy_task(batch, text={"symbols": [" ", "a", "b", "c"]})
