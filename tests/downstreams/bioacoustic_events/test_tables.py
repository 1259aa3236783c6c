"""Tables of the classes and of the worst recordings."""

from __future__ import annotations

from audiossl.downstreams.bioacoustic_events.tables import class_table, worst_table


def test_tables_by_hand() -> None:
    counts = [[4, 5, 3, 2, 6, 6, 5], [0, 1, 0, 0, 0, 1, 0]]
    row = {"id": "day", "counts": counts, "predicted": [[0, 1, "a", 0.5]] * 6, "num_errors": 6, "num_units": 4}
    rule = {"threshold": 0.3, "median_s": 0.07, "gap_s": 0.0, "shortest_s": 0.1}
    facts = {"rules": {"a": rule, "b": rule}, "scoring": "so", "labels_left_out": ["b"], "undecided": ["b"]}
    table = class_table([row], ["a", "b"], facts)
    assert table.rows[0] == [
        "a",
        4,
        5,
        round(4 / 9, 4),
        round(6 / 9, 4),
        round(10 / 12, 4),
        0.4,
        0.5,
        0.3,
        0.07,
        0,
        0.1,
    ]
    assert table.rows[1][:7] == ["b", 0, 1, None, None, None, 0.0]
    assert table.note == (
        "Scored: so. Precision and recall are by overlap. No event of b: left out of the means. Dev could not choose "
        "how b is decided."
    )
    assert len(class_table([row], ["a", "b"], {**facts, "rules": None}).header) == 8
    assert worst_table([row]).rows == [["day", 4, 6, 2, 4]]
