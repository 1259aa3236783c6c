"""Pictures of conversations."""

from __future__ import annotations

from pathlib import Path

from matplotlib.image import imread

from audiossl.downstreams.diarization.figures import draw_conversations
from audiossl.metrics.diarization import diarization_errors


def test_the_worst_the_middle_and_the_best_are_drawn(tmp_path: Path) -> None:
    rows = []
    for number in range(4):
        row = {"id": f"t{number}", "target": [[0.0, 1.0, "ann"], [0.5, 2.0, "bob"]], "duration_s": 2.0}
        row |= {"probabilities": [[0.9] * 10 + [0.1] * 10, [0.2] * 20], "first_s": 0.05, "step_s": 0.1}
        row["predicted"] = [[0.0, 1.0 - 0.1 * number, "speaker_1"]]
        found = diarization_errors([(0.0, 1.0, "ann"), (0.5, 2.0, "bob")], [(0.0, 1.0 - 0.1 * number, "speaker_1")])
        rows.append((row, found))
    drawn = draw_conversations(rows, 0.5, tmp_path)
    rates = ((3, "72.0"), (1, "64.0"), (0, "60.0"))
    assert list(drawn) == [f"Who speaks in t{number} (DER {rate} %)" for number, rate in rates]
    assert all(imread(path).shape[0] > 150 for path in drawn.values())
    assert draw_conversations([], 0.5, tmp_path) == {}
