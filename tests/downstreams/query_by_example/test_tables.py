"""Tables of a search."""

from __future__ import annotations

import math

from audiossl.downstreams.query_by_example.choosing import Choice
from audiossl.downstreams.query_by_example.tables import hits_of, layers_table, queries_table
from audiossl.metrics.calibration import Calibration

ROWS = [
    {
        "term": "a",
        "num_frames": 9,
        "target": ["x", "y"],
        "predicted": ["x", "z"],
        "scores": {"x": 0.7, "y": 0.4, "z": 0.9},
    },
    {
        "term": "a",
        "num_frames": 3,
        "target": ["x", "y"],
        "predicted": ["x", "y"],
        "scores": {"x": 0.6, "y": 0.5, "z": 0.1},
    },
]


def test_what_is_found_and_what_is_not_by_term() -> None:
    assert queries_table(ROWS, 5).rows == [["a", 2, 2, "75%", "0.50", 1]]
    assert hits_of(ROWS[0]) == "z (0.90), x (0.70)"
    assert hits_of({**ROWS[0], "predicted": []}) == ""


def test_layers_that_were_not_tried_are_not_shown() -> None:
    choice = Choice(2, "z", 0.1, Calibration(1.0, 0.0))
    (table,) = layers_table([[math.nan, math.nan], [0.1, math.nan], [0.25, math.nan]], ("z", "none"), choice)
    assert table.header == ["layer", "scores: z"]
    assert table.rows == [["1", "0.1000"], ["2 (chosen)", "0.2500"]]
    assert layers_table([[0.1]], ("z",), None) == []
