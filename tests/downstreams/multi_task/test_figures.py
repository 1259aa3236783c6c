"""Pictures of numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from audiossl.downstreams.multi_task.figures import draw_targets
from audiossl.downstreams.multi_task.numbers import NumberHead
from audiossl.downstreams.multi_task.scoring import TargetScores
from audiossl.downstreams.multi_task.target import Target


def test_one_panel_a_number_and_systems_on_top(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f"symptom {number}" for number in range(13)]
    heads = [NumberHead(name, Target("number", scale=1.0), 2) for name in names]
    rows = [
        {
            "id": str(number),
            "target": {name: float(number % 5) for name in names},
            "predicted": {name: float(number % 5 + 0.3 * rng.standard_normal()) for name in names},
            "system": f"x{number % 5}",
            "speaker": "a",
        }
        for number in range(40)
    ]
    drawn = draw_targets(TargetScores(heads, rows), tmp_path)
    assert list(drawn) == ["Predicted against true"]
    assert drawn["Predicted against true"].read_bytes().startswith(b"\x89PNG")
