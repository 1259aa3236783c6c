"""Error rates against jiwer, an alignment by dynamic programming written out here, and cases worked out by hand."""

from __future__ import annotations

import random

import numpy as np
import pytest

from audiossl.metrics.error_rate import Edits, align_tokens, count_edits, error_rates, most_frequent
from audiossl.metrics.ratios import score_ratio


def sentences(num: int, seed: int) -> list[tuple[list[str], list[str]]]:
    """Random references and hypotheses over five words, some of them empty hypotheses."""
    rng = random.Random(seed)
    words = ["a", "b", "c", "d", "e"]
    return [(rng.choices(words, k=rng.randint(1, 12)), rng.choices(words, k=rng.randint(0, 12))) for _ in range(num)]


def fewest_edits(reference: list[str], hypothesis: list[str]) -> int:
    """Wagner and Fischer, 1974."""
    row = list(range(len(hypothesis) + 1))
    for i, expected in enumerate(reference, start=1):
        previous, row = row, [i]
        for j, found in enumerate(hypothesis, start=1):
            row.append(min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (expected != found)))
    return row[-1]


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("the cat sat", "the cat sat", (3, 0, 0, 0)),
        ("the cat sat", "the bat sat", (3, 1, 0, 0)),
        ("the cat sat", "the sat", (3, 0, 1, 0)),
        ("the cat sat", "the big cat sat", (3, 0, 0, 1)),
        ("the cat sat", "", (3, 0, 3, 0)),
        ("", "uh huh", (0, 0, 0, 2)),
        ("", "", (0, 0, 0, 0)),
        ("a", "b c d", (1, 1, 0, 2)),
        ("a a", "a", (2, 0, 1, 0)),
        ("Cat", "cat", (1, 1, 0, 0)),
    ],
)
def test_by_hand(reference: str, hypothesis: str, expected: tuple[int, ...]) -> None:
    edits = count_edits(reference.split(), hypothesis.split())
    assert edits == Edits(*expected)
    assert edits.num_errors == sum(expected[1:])


def test_the_edits_are_the_fewest_there_are() -> None:
    for reference, hypothesis in sentences(300, seed=0):
        assert count_edits(reference, hypothesis).num_errors == fewest_edits(reference, hypothesis)


def test_aligned_pairs_hold_both_sides_and_their_edits() -> None:
    for reference, hypothesis in sentences(300, seed=1):
        pairs = align_tokens(reference, hypothesis)
        assert [left for left, _ in pairs if left] == reference
        assert [right for _, right in pairs if right] == hypothesis
        assert ("", "") not in pairs
        assert sum(left != right for left, right in pairs) == count_edits(reference, hypothesis).num_errors


def test_equal_to_jiwer() -> None:
    jiwer = pytest.importorskip("jiwer")
    pairs = sentences(200, seed=2)
    references, hypotheses = [" ".join(left) for left, _ in pairs], [" ".join(right) for _, right in pairs]
    theirs = jiwer.process_words(references, hypotheses)
    edits = [count_edits(*pair) for pair in pairs]
    ours = error_rates(edits)
    assert ours["rate"].value == pytest.approx(theirs.wer)
    total = np.sum([each[1:] for each in edits], axis=0).tolist()
    assert total == [theirs.substitutions, theirs.deletions, theirs.insertions]
    characters = error_rates([count_edits(*pair) for pair in zip(references, hypotheses, strict=True)])
    assert characters["rate"].value == pytest.approx(jiwer.cer(references, hypotheses))


def test_rates_are_micro_averages_and_parts_add_up() -> None:
    edits = [Edits(8, 1, 0, 1), Edits(2, 0, 2, 0), Edits(0, 0, 0, 3)]
    rates = error_rates(edits)
    assert rates["rate"].value == pytest.approx(7 / 10)
    parts = [rates[name].value for name in ("substitutions", "deletions", "insertions")]
    assert parts == pytest.approx([0.1, 0.2, 0.4])


def test_a_rate_may_exceed_one() -> None:
    assert error_rates([Edits(1, 0, 0, 3), Edits(1, 0, 0, 0)])["rate"].value == 1.5


def test_only_empty_references_have_no_rate() -> None:
    with pytest.raises(ValueError, match="the 2 references have none"):
        error_rates([Edits(0, 0, 0, 1), Edits(0, 0, 0, 0)])


def test_whole_speakers_vary() -> None:
    edits = [Edits(10, 5 if number < 20 else 0, 0, 0) for number in range(40)]
    speakers = [f"s{number // 10}" for number in range(40)]
    drawn = error_rates(edits, speakers)["rate"]
    assert drawn == score_ratio([each.num_errors for each in edits], [10] * 40, speakers)
    alone = error_rates(edits)["rate"]
    assert drawn.low is not None
    assert alone.low is not None
    assert drawn.value - drawn.low > 2 * (alone.value - alone.low)


def test_most_frequent_differences() -> None:
    pairs = [("a", "a"), ("a", "b"), ("c", ""), ("a", "b"), ("", "d"), ("c", "")]
    assert most_frequent(pairs, 2) == [("a", "b", 2), ("c", "", 2)]
    assert most_frequent(pairs, 9)[-1] == ("", "d", 1)
