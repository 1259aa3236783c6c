"""The layer is chosen test by test on dev, and figures have intervals over speakers."""

from __future__ import annotations

import numpy as np
import pytest

from audiossl.analysis.segment_probes.fitting import ToldByLayer
from audiossl.analysis.segment_probes.folds import cells_of
from audiossl.analysis.segment_probes.scoring import Curve, apart, difference, judge, layer_zero
from audiossl.core.errors import LabelError
from audiossl.metrics.clusters import clusters_of

SPEAKERS = [f"s{number % 6}" for number in range(60)]
PARTS = np.array([number % 6 // 2 for number in range(60)])
CELLS = list(cells_of({"speaker": PARTS}, 3))
TARGETS = np.array(["a", "b"] * 30)


def _judged() -> tuple[Curve, object]:
    right, wrong = TARGETS.copy(), np.array(["a"] * 60)
    layers = {0: ToldByLayer(wrong, [1.0] * 3, [0.6, 0.4, 0.6]), 1: ToldByLayer(right, [1.0] * 3, [0.9, 0.9, 0.1])}
    return Curve("toy", "", TARGETS, layers), clusters_of(SPEAKERS, 60)


def test_each_test_has_its_own_layer() -> None:
    curve, clusters = _judged()
    found = judge(curve, CELLS, clusters)  # type: ignore[arg-type]
    assert found.picks == [1, 1, 0]
    assert found.layers[1]["uar"].value == 1.0 and found.layers[0]["uar"].value == 0.5
    assert found.chosen["accuracy"].value == pytest.approx((20 + 20 + 10) / 60)
    assert found.chosen["accuracy"].num_clusters == 6
    gap = difference(found, layer_zero(found), clusters, "accuracy")  # type: ignore[arg-type]
    assert gap.value == pytest.approx(50 / 60 - 0.5) and gap.low is not None
    assert found.as_json()["chosen_on_dev"]["layers"] == [1, 1, 0]


def test_groups_have_their_own_figures() -> None:
    curve, clusters = _judged()
    found = judge(curve, CELLS, clusters)  # type: ignore[arg-type]
    groups = apart(found, ["young" if part < 2 else "old" for part in PARTS], SPEAKERS, "speaker", "age")
    assert {name: (size, each["accuracy"].value) for name, (size, each) in groups.items()} == {
        "old": (20, 0.5),
        "young": (40, 1.0),
    }
    with pytest.raises(
        LabelError, match="The column 'age' has 60 values, 0 for instance; write a column of at most 12"
    ):
        apart(found, [str(number) for number in range(60)], SPEAKERS, "speaker", "age")


def test_numbers_are_scored_as_numbers() -> None:
    targets = np.linspace(0.0, 1.0, 60)
    curve = Curve("toy", "", targets, {0: ToldByLayer(targets + 0.1, [1.0] * 3, [1.0] * 3)})
    found = judge(curve, CELLS, clusters_of(SPEAKERS, 60))
    assert found.chosen["pearson"].value == pytest.approx(1.0)
    assert found.chosen["mae"].value == pytest.approx(0.1)
