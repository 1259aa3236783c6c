"""Ratings in a column."""

from __future__ import annotations

import pytest
from toys.targets import target_cut

from audiossl.core.errors import LabelError
from audiossl.downstreams.mos_prediction.ratings import Rating, domains_of, listeners_of, ratings_of


def test_who_gave_which_score() -> None:
    rows = [target_cut(0, ratings="anna=4| a=b =5", domain="x"), target_cut(1), target_cut(2, ratings="anna=1.5")]
    assert ratings_of(rows[0], "ratings") == [Rating("anna", 4), Rating("a=b", 5)]
    assert ratings_of(rows[1], "ratings") == []
    assert listeners_of(rows, "ratings") == ["a=b", "anna"]
    assert domains_of(rows, "domain") == ["", "x"]


@pytest.mark.parametrize("text", ["4", "=4", "anna=4|", "anna=", "anna=nan"])
def test_what_is_no_rating(text: str) -> None:
    with pytest.raises(LabelError, match="'item-0' has"):
        ratings_of(target_cut(0, ratings=text), "ratings")
