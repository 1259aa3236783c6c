"""Probes from few examples: draws hold each other, the layer that knows is chosen, and too few items are an error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.neighbors import NearestCentroid
from toys.probes import SPLITS

from audiossl.analysis.few_shots import check_shots, draw_shots, drawn_shots, run_shots, shots_as_json, shots_markdown
from audiossl.analysis.probes import Scaling
from audiossl.core.errors import LabelError
from audiossl.core.pictures import is_picture


def test_draws_have_each_class_and_hold_smaller_ones() -> None:
    labels = list("aabbbbaabb")
    few, more = (drawn_shots(labels, count, draw=3) for count in (2, 4))
    assert sorted(labels[place] for place in few) == ["a", "a", "b", "b"]
    assert set(few) < set(more)
    assert {tuple(drawn_shots(labels, 2, draw)) for draw in range(10)} != {tuple(few)}


def test_figures_are_means_over_draws_of_what_scikit_learn_gives() -> None:
    (found,) = run_shots(SPLITS, ["prototype"], [2], num_draws=3)
    assert found.layer == 1
    train, test = SPLITS["train"], SPLITS["test"]
    right = []
    for draw in range(3):
        places = drawn_shots(train.labels, 2, draw)
        few = train.layers[1][places]
        scaling = Scaling.of(few)
        model = NearestCentroid().fit(scaling.scaled(few), [train.labels[place] for place in places])
        guessed = model.predict(scaling.scaled(test.layers[1]))
        right.append(np.mean([guessed[np.array(test.labels) == each] == each for each in "abc"]))
    assert np.allclose(found.draws, right)
    assert found.test["uar"].value == pytest.approx(np.mean(right))
    assert found.test["uar"].low is not None


def test_more_examples_are_a_curve_a_table_and_a_picture(tmp_path: Path) -> None:
    found = run_shots(SPLITS, ["prototype", "knn"], [1, 5], num_draws=2)
    assert [(row.probe, row.shots) for row in found] == [("prototype", 1), ("prototype", 5), ("knn", 1), ("knn", 5)]
    text = shots_markdown(found, "uar")
    assert "| examples | prototype: uar (%) | knn: uar (%) |" in text
    assert "Means of 2 draws" in text
    assert shots_as_json(found)[0]["draws"] == found[0].draws
    draw_shots(found, "uar", tmp_path / "shots.png", chance=1 / 3)
    assert is_picture(tmp_path / "shots.png")


def test_a_class_with_fewer_items_is_named() -> None:
    with pytest.raises(LabelError, match=r"--shots 5: training has 2 item.s. of the class 'b'; ask for at most 2"):
        check_shots(list("aaaaaabb"), [1, 5])
