"""Alignment of known classes: against all paths, ties included, against torchaudio, and whatever the padding holds."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from audiossl.core.errors import AudiosslError, LabelError
from audiossl.nn.alignment import align_classes, steps_needed


def spelt(path: list[int] | tuple[int, ...], blank: int = 0) -> list[int]:
    return [number for number, _ in itertools.groupby(path) if number != blank]


def aligned(table: Tensor, classes: list[int], blank: int = 0) -> list[int]:
    (path,) = align_classes(table[None], torch.tensor([len(table)]), [classes], blank).tolist()
    return path


def score(table: Tensor, path: list[int] | tuple[int, ...]) -> float:
    return sum(float(table[step, number]) for step, number in enumerate(path))


def test_the_path_is_the_best_of_all_where_scores_tie() -> None:
    """Tables of few whole numbers, most of which have several best paths."""
    draw = torch.Generator().manual_seed(0)
    ties = 0
    for number in range(120):
        blank = number % 3
        table = torch.randint(-2, 1, (5, 3), generator=draw).float()
        first, second = (each for each in range(3) if each != blank)
        classes = ([first, second], [first, first], [first, second, first], [second])[number % 4]
        scores = [score(table, path) for path in itertools.product(range(3), repeat=5) if spelt(path, blank) == classes]
        ties += scores.count(max(scores)) > 1
        path = aligned(table, classes, blank)
        assert spelt(path, blank) == classes
        assert score(table, path) == max(scores)
    assert ties > 60


def test_of_tied_paths_the_one_that_stays_is_taken() -> None:
    even = torch.zeros(5, 3)
    assert aligned(even, [1]) == [1, 1, 1, 1, 1]
    assert aligned(even, [1, 2]) == [1, 2, 2, 2, 2]
    assert aligned(even, [1, 1]) == [1, 0, 1, 1, 1]
    assert aligned(even, []) == [0, 0, 0, 0, 0]


def test_torchaudio_finds_the_same_paths() -> None:
    functional = pytest.importorskip("torchaudio").functional
    draw = torch.Generator().manual_seed(1)
    for frames, units in ((1, 1), (30, 7), (200, 60), (400, 150)):
        table = (torch.randn(frames, 9, generator=draw) * 3).log_softmax(-1)
        classes = torch.randint(1, 9, (units,), generator=draw)
        if steps_needed(classes.tolist()) <= frames:
            theirs = functional.forced_align(table[None], classes[None], blank=0)[0][0].tolist()
            assert aligned(table, classes.tolist()) == theirs


def test_a_batch_is_its_items_one_by_one_whatever_is_in_the_padding() -> None:
    draw = torch.Generator().manual_seed(2)
    lengths, targets = [40, 17, 0, 26], [[1, 2, 2, 3], [4, 4, 4, 4, 4, 4, 4, 4, 4], [], []]
    batch = (torch.randn(4, 40, 5, generator=draw) * 3).log_softmax(-1)
    for item, length in zip(batch, lengths, strict=True):
        item[length:] = torch.nan
    path = align_classes(batch, torch.tensor(lengths), targets)
    for found, item, length, classes in zip(path.tolist(), batch, lengths, targets, strict=True):
        assert found[:length] == aligned(item[:length], classes)
        assert spelt(found) == classes
        assert set(found[length:]) <= {0}


def test_what_is_impossible_is_taken_only_where_nothing_else_is() -> None:
    table = torch.full((4, 3), -500.0)
    table[:, 0] = -0.001
    table[1, 1] = table[2, 2] = -torch.inf
    assert aligned(table, [1, 2]) == [1, 0, 0, 2]  # far dearer than the blanks, but possible
    table[:, 2] = -torch.inf
    assert aligned(table, [1, 2]).count(2) == 1


def test_scores_that_are_no_numbers_and_too_few_frames_are_refused() -> None:
    with pytest.raises(AudiosslError, match="NaN or infinite"):
        aligned(torch.full((3, 2), torch.nan), [1])
    with pytest.raises(LabelError, match=r"^Item 0 has 2 frames, and its 2 classes need 3; give it fewer"):
        aligned(torch.zeros(2, 2), [1, 1])
