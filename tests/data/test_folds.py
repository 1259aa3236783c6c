"""Folds: every row is tested once, by a head that knows no such voice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from lhotse import MonoCut, SupervisionSegment

from audiossl.core.errors import ConfigError, ManifestError
from audiossl.data.folds import Fold, FoldsConfig, draw_folds


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
    with pytest.raises(ConfigError, match=r"folds\.dev=1 must be above 0 and below 1"):
        FoldsConfig(by="k:2", dev=1)
