"""Which items vary as a whole, and what is said of those whose group nobody knows."""

from __future__ import annotations

import numpy as np
import pytest

from audiossl.metrics.clusters import Clusters, clusters_of, clusters_of_rows


@pytest.mark.parametrize(
    ("groups", "expected", "kind", "remark"),
    [
        (None, [0, 1, 2], "item", ""),
        ([None, None, None], [0, 1, 2], "item", ""),
        (["b", "a", "b"], [1, 0, 1], "speaker", ""),
        (["a", "a", "a"], [0, 1, 2], "item", "all items are of one speaker"),
        (["a", "", "b"], [1, 0, 2], "speaker", ""),  # an empty name is a name
    ],
)
def test_clusters_are_groups_or_items(groups: list[str | None], expected: list[int], kind: str, remark: str) -> None:
    found = clusters_of(groups, 3)
    assert (found.of.tolist(), found.kind) == (expected, kind)
    assert found.remark.startswith(remark) and bool(found.remark) == bool(remark)


def test_one_missing_speaker_is_named_and_changes_nothing_else() -> None:
    rows = [{"id": f"r{number}", "speaker": f"s{number % 3}"} for number in range(9)]
    whole = clusters_of_rows(rows)
    rows[4]["speaker"] = None  # type: ignore[assignment]
    found = clusters_of_rows(rows)
    assert (whole.num, whole.remark) == (3, "")
    assert (found.num, found.kind) == (4, "speaker")
    assert found.remark == "1 of 9 items has no speaker, the first is 'r4': such items count as one speaker"
    rows[7]["speaker"] = None  # type: ignore[assignment]
    assert clusters_of_rows(rows).num == 4  # both may be of one speaker
    assert "2 of 9 items have no speaker" in clusters_of_rows(rows).remark
    assert "no recording" in clusters_of_rows(rows, "recording").remark


def test_one_known_speaker_and_items_without_one_are_items() -> None:
    found = clusters_of(["a", None, "a"], 3)
    assert (found.num, found.kind) == (3, "item")
    assert found.remark.startswith("1 of 3 items has no speaker, the first is item 2, the others are of one")


def test_sums_and_worth_of_unequal_clusters() -> None:
    clusters = clusters_of(["a", "b", "a", "a"], 4)
    assert clusters.sums(np.array([1.0, 2.0, 3.0, 4.0])).tolist() == [8.0, 2.0]
    assert clusters.num_equal == pytest.approx(16 / 10)
    assert clusters_of(None, 4).num_equal == 4


def test_many_clusters_are_merged_alike_and_few_stay() -> None:
    many = Clusters(np.repeat(np.arange(500), 2), "speaker")
    merged = many.merged(200)
    assert merged.num == 200
    assert (merged.of[::2] == merged.of[1::2]).all()  # a speaker stays whole
    sizes = np.bincount(merged.of)
    assert sizes.max() - sizes.min() == 2  # one speaker more or less
    assert (many.merged(200).of == merged.of).all()
    assert many.merged(500) is many


def test_groups_of_another_number_are_an_error() -> None:
    with pytest.raises(ValueError, match="2 groups for 3 items"):
        clusters_of(["a", "b"], 3)
    with pytest.raises(ValueError, match="2 groups for 3 items"):
        clusters_of(clusters_of(["a", "b"], 2), 3)
