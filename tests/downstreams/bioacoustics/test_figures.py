"""Timelines of a recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.image import imread
from toys.calls import toy

from audiossl.downstreams.bioacoustics.figures import draw_timeline


def timeline_rows() -> list[dict[str, Any]]:
    calls = [[0.4, 0.9, "lo"], [2.0, 3.0, "hi"]]
    rows = []
    for number in range(8):
        start = number * 0.5
        inside = [call for call in calls if float(call[0]) < start + 1 and float(call[1]) > start]
        scores = [0.9 if any(call[2] == name for call in inside) else 0.1 for name in ("hi", "lo")]
        row = {"recording": "a.wav", "start_s": start, "end_s": start + 1, "scores": scores, "calls": inside}
        rows.append({**row, "target": [call[2] for call in inside], "id": str(number), "speaker": None})
    return rows


def test_timeline_is_drawn(tmp_path: Path) -> None:
    task, rows = toy(), timeline_rows()
    drawn = task.figures(tmp_path, rows)
    assert list(drawn) == ["Timeline of a.wav"]
    assert list(drawn.values()) == [tmp_path / "timeline_1.png"]
    assert imread(tmp_path / "timeline_1.png").shape[0] > 150
    assert task.figures(tmp_path, rows[:1]) == {}
    many = [f"label number {number}" for number in range(20)]
    wide = [{**row, "scores": [0.1 * (number % 10) for number in range(20)]} for row in rows]
    draw_timeline(wide, many, None, tmp_path / "many.png", "many")
    assert imread(tmp_path / "many.png").shape[0] < 1600
