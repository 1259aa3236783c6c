"""Pictures of detections."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import soundfile

from audiossl.downstreams.bioacoustic_events.figures import busiest, draw_detections


def test_the_part_with_the_most_events_is_shown() -> None:
    events = [[10.0, 11.0, "a"], [100.0, 101.0, "a"], [110.0, 111.0, "b"], [250.0, 251.0, "a"]]
    assert busiest(events, 300.0) == 99.5
    assert busiest(events[3:], 255.0) == 235.0
    assert busiest(events, 15.0) == busiest([], 100.0) == 0.0


def test_what_is_drawn(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = []
    for number in range(4):
        path = tmp_path / f"{number}.wav"
        soundfile.write(path, 0.1 * rng.standard_normal(16000), 16000)
        audio = {"path": str(path), "start_s": 0.0, "duration_s": 1.0}
        row = {
            "id": f"day{number}",
            "target": [[0.2, 0.5, "a"]],
            "predicted": [[0.2, 0.6, "b", 0.9]],
            "duration_s": 1.0,
        }
        rows.append({**row, "audio": audio, "num_errors": number, "num_units": 1})
    drawn = draw_detections(rows, ["a", "b"], tmp_path / "test")
    assert list(drawn) == [f"Events of day{n} ({n} errors, 1 events)" for n in (3, 1, 0)]
    picture = matplotlib.image.imread(next(iter(drawn.values())))
    assert picture.shape[1] > 500
    (tmp_path / "3.wav").unlink()
    assert len(draw_detections(rows, ["a", "b"], tmp_path / "again")) == 2
    assert draw_detections([{**rows[0], "audio": None}], ["a"], tmp_path) == {}
