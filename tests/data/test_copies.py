"""Which copy an epoch hears, and what marks it."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from lhotse.testing.dummies import dummy_cut

from audiossl.data.config import LoaderConfig
from audiossl.data.copies import DrawnBy, copy_of, drawn_by, marked, of_copy
from audiossl.data.draws import EpochDraws, as_used
from audiossl.data.manifests import read_manifest


def test_copies_come_in_turn_whatever_the_seed() -> None:
    assert [drawn_by(7, epoch, 0, 3) for epoch in range(4)] == [of_copy(0), of_copy(1), of_copy(2), of_copy(0)]
    assert drawn_by(8, 1, 1, 3) == of_copy(2)
    assert drawn_by(7, 5, 1, 0) == DrawnBy(7, 5, 1)


def test_a_mark_stays_beside_what_else_a_row_says() -> None:
    cut = dummy_cut(0)
    cut.custom = {"note": "x"}
    assert copy_of(cut) is None
    assert copy_of(marked(cut, 2)) == 2 and marked(cut, 2).custom["note"] == "x" and copy_of(cut) is None


def test_epochs_have_the_speeds_and_crops_of_their_copy(corpus: Path) -> None:
    rows = list(islice(read_manifest(corpus / "train.jsonl.gz"), 6))
    config = LoaderConfig(batch_size=2, speeds=[0.9, 1.0, 1.1], max_crop_s=0.2, augment=[{"name": "gain"}])
    one, two = (EpochDraws(rows, config, seed, copies=2) for seed in (0, 5))
    found = {
        epoch: {use.row: draws.cut(use, epoch) for use in draws.order(epoch)}
        for epoch, draws in enumerate([one, two, one])
    }
    assert found[0] == found[2] and found[0] != found[1]
    for epoch, cuts in found.items():
        for row, cut in cuts.items():
            assert cut == marked(as_used(rows[row], config, of_copy(epoch % 2)), epoch % 2)
