"""Cross-validated measures: folds hold out what they should, and chance is not found."""

from __future__ import annotations

import numpy as np
import pytest

from audiossl.analysis.layerwise.crossing import MEASURES, cells_of, crossed, folds_of
from audiossl.core.errors import LabelError
from audiossl.metrics.cca import fit_pwcca
from audiossl.metrics.moment_sums import PairSums

RIDGES = [1e-8, 1e-4, 1e-2, 1.0]


def test_folds_are_of_groups_where_labels_differ_within_them() -> None:
    rng = np.random.default_rng(0)
    groups, values = np.repeat(np.arange(6), 10), np.eye(3)[rng.integers(0, 3, 60)]
    found = folds_of(values, groups, ["r"] * 60, 5, "speaker")
    assert found.held_out == "speaker"
    assert all(len(set(found.of[groups == group])) == 1 for group in range(6))
    assert set(found.of) == set(range(5))


def test_labels_of_whole_speakers_are_dealt_out_so_that_each_fold_has_all() -> None:
    groups = np.repeat(np.arange(8), 5)
    values = np.eye(2)[groups % 2]
    found = folds_of(values, groups, ["r"] * 40, 5, "speaker")
    assert found.held_out == "speaker"
    for fold in set(found.of):
        assert set(values[found.of == fold].argmax(1)) == {0, 1}


def test_speakers_themselves_are_tested_on_other_recordings() -> None:
    groups = np.repeat(np.arange(3), 8)
    rows = [f"{group}-{n // 2}" for group in range(3) for n in range(8)]
    found = folds_of(np.eye(3)[groups], groups, rows, 5, "speaker")
    assert found.held_out == "recording"
    assert set(found.of) == {0, 1, 2, 3}
    assert all(len({fold for fold, row in zip(found.of, rows, strict=True) if row == name}) == 1 for name in rows)
    with pytest.raises(LabelError, match="three of each"):
        folds_of(np.eye(3)[groups], groups, [row[:2] + "0" for row in rows], 5, "speaker")


def test_chance_is_not_found_and_what_is_shared_is() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(500, 40)), rng.normal(size=(500, 40))
    groups = np.arange(500) % 8
    folding = folds_of(y, groups, ["r"] * 500, 5, "speaker")
    chance = crossed(cells_of(x, y, folding.of, groups), 8, RIDGES).estimates
    assert fit_pwcca(PairSums.of(x, y))[0].score(PairSums.of(x, y)) > 0.2  # in sample
    assert all(abs(chance[name].value) < 0.06 for name in ("pwcca", "svcca", "cka"))
    mapped = x @ rng.normal(size=(40, 40))
    same = crossed(cells_of(x, mapped, folding.of, groups), 8, RIDGES).estimates
    assert set(same) == set(MEASURES)
    assert same["pwcca"].value == pytest.approx(1.0, abs=1e-4)
    assert same["pwcca"].without.shape == (8,)


def test_without_a_group_is_without_its_items() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(90, 3))
    y, groups = x[:, :2] + rng.normal(size=(90, 2)), np.arange(90) % 6
    folding = folds_of(y, groups, ["r"] * 90, 3, "speaker")
    found = crossed(cells_of(x, y, folding.of, groups), 6, RIDGES).estimates["cka"]
    kept = groups != 2
    again = crossed(cells_of(x[kept], y[kept], folding.of[kept], groups[kept]), 6, RIDGES).estimates["cka"]
    assert found.without[2] == pytest.approx(again.value)


def test_a_fold_left_with_one_label_says_nothing() -> None:
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(6), 10)
    values = np.eye(2)[groups % 2]
    x = rng.normal(size=(60, 4)) + 3 * values[:, :1]
    folding = folds_of(values, groups, ["r"] * 60, 5, "speaker")
    found = crossed(cells_of(x, values, folding.of, groups), 6, RIDGES).estimates["pwcca"]
    assert (found.without > 0.5).all()  # and not two thirds of that, with a 0 for the fold
