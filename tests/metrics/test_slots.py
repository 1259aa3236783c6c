"""Slots by hand, held against seqeval where the two are comparable."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from audiossl.metrics.error_rate import Edits
from audiossl.metrics.slots import Hits, Slot, edit_hits, slot_hits, slot_metrics, type_f1, value_edits

A, B = Slot("artist", "nina"), Slot("album", "it is finished")
WRONG = Slot("artist", "mina")


@pytest.mark.parametrize(
    ("target", "found", "expected"),
    [
        ([], [], 1.0),
        ([A], [], 0.0),
        ([], [A], 0.0),
        ([A, B], [WRONG, WRONG], 2 / 3),  # a type counts once, whatever its values
        ([A, B], [B, A], 1.0),
        ([A], [B], 0.0),
    ],
)
def test_type_f1_is_of_sets_of_types(target: list[Slot], found: list[Slot], expected: float) -> None:
    assert type_f1(target, found) == pytest.approx(expected)


def test_a_value_is_held_against_the_most_similar_one_of_its_type() -> None:
    assert value_edits([A], [Slot("artist", "bob"), WRONG, B]) == Edits(4, 1, 0, 0)
    assert value_edits([A, B], [WRONG]) == Edits(4 + 14, 1, 14, 0)
    assert value_edits([], [A]) == Edits(0, 0, 0, 0)


def test_hits_by_hand() -> None:
    assert slot_hits([A, A, B], [A, WRONG]) == Hits(1, 3, 2)
    # SUPERB's code: one found value serves two true ones, and a second false value of a type is not seen.
    assert edit_hits([A, A, B], [A, WRONG]) == Hits(2, 3, 2)
    assert edit_hits([A], [WRONG, WRONG]) == Hits(0, 1, 1)
    assert edit_hits([], [A, B]) == Hits(0, 0, 2)


def test_figures_of_a_set_by_hand() -> None:
    found = slot_metrics([[A, B], [A], []], [[A], [WRONG], []], ["ann", "ann", "bob"])
    assert found["slot_type_f1"].value == pytest.approx((2 / 3 + 1 + 1) / 3)
    assert found["slot_value_cer"].value == pytest.approx((14 + 1) / (4 + 14 + 4))
    assert found["slot_f1"].value == pytest.approx(2 * 1 / (3 + 2))
    assert found["slot_f1"].cluster == "speaker"
    assert found.keys() == {"slot_type_f1", "slot_value_cer", "slot_f1", "slot_edit_f1"}
    assert slot_metrics([[]], [[]]).keys() == {"slot_type_f1"}
    for name in ("slot_type_f1", "slot_f1"):
        metric = slot_metrics([[A], [B], [A]] * 8, [[A], [B], [B]] * 8, [f"s{n % 6}" for n in range(24)])[name]
        assert metric.low is not None
        assert metric.high is not None
        assert 0 < metric.low < metric.value < metric.high < 1
    with pytest.raises(ValueError, match="one for each"):
        slot_metrics([[A]], [])


def tagged(rng: random.Random, num_words: int) -> list[str]:
    """Tags B-, I- and O of so many words."""
    tags: list[str] = []
    while len(tags) < num_words:
        name, size = rng.choice(["O", "O", "x", "y"]), min(rng.randint(1, 2), num_words - len(tags))
        tags += ["O"] * size if name == "O" else [f"B-{name}"] + [f"I-{name}"] * (size - 1)
    return tags


def spans_of(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """(type, first word, last word + 1) of each slot."""
    found: list[tuple[str, int, int]] = []
    for place, tag in enumerate(tags):
        if tag.startswith("B-"):
            found.append((tag[2:], place, place + 1))
        elif tag.startswith("I-"):
            found[-1] = (found[-1][0], found[-1][1], place + 1)
    return found


def test_f1_is_that_of_spans_and_seqevals_where_words_are_right() -> None:
    rng = random.Random(0)
    sentences = [[f"w{number}" for number in range(rng.randint(1, 9))] for _ in range(60)]
    true, said = [[tagged(rng, len(words)) for words in sentences] for _ in range(2)]
    slots = [
        [
            [Slot(name, " ".join(words[first:last])) for name, first, last in spans_of(tags)]
            for words, tags in zip(sentences, side, strict=True)
        ]
        for side in (true, said)
    ]
    ours = slot_metrics(*slots)["slot_f1"].value
    spans = [{(number, *span) for number, tags in enumerate(side) for span in spans_of(tags)} for side in (true, said)]
    assert ours == pytest.approx(2 * len(spans[0] & spans[1]) / (len(spans[0]) + len(spans[1])))
    assert 0 < ours < 1
    metrics = pytest.importorskip("seqeval.metrics")
    assert ours == pytest.approx(metrics.f1_score(true, said))
