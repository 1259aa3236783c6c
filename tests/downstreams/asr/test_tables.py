"""The utterances that are recognised worst."""

from __future__ import annotations

from toys.asr import toy_asr


def test_tables_show_the_worst_with_their_sound() -> None:
    audio = {"path": "x.wav", "start_s": 1.0, "duration_s": 2.0}
    rows = [
        {"id": "1", "target": "a b", "predicted": "a c", "num_errors": 1, "num_units": 2, "audio": audio},
        {"id": "2", "target": "a b", "predicted": "a b", "num_errors": 0, "num_units": 2},
        {"id": "3", "target": "b", "predicted": "c d", "num_errors": 2, "num_units": 1},
        {"id": "4", "target": None, "predicted": "c d"},
    ]
    worst, confusions = toy_asr().tables(rows)
    assert [row[0] for row in worst.rows] == ["3", "1"]
    assert worst.rows[1][3] == {"words": [["a", "a"], ["b", "c"]]}
    assert worst.rows[1][4] == {"audio": "x.wav", "start_s": 1.0, "duration_s": 2.0}
    assert worst.note == "2 of 3 utterances have an error."
    assert confusions.rows == [["(inserted)", "c", 1], ["b", "c", 1], ["b", "d", 1]]
