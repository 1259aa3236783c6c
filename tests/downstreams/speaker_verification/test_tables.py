"""The most confident errors, with their sound."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from matplotlib.image import imread
from toys.voices import (
    toy_task,
)


@pytest.mark.usefixtures("pictures")
def test_tables_name_the_worst_errors_with_sound_on_both_sides(tmp_path: Path) -> None:
    task = toy_task(head="pooled").eval()
    items = [
        {
            "id": f"{speaker}{number}",
            "embedding": [float(speaker == "a"), float(number), 0.1],
            "speaker": speaker,
            "duration_s": 1.0,
            "audio": {"path": f"/{speaker}{number}.wav", "start_s": 0.0, "duration_s": 1.0},
        }
        for speaker in "ab"
        for number in range(3)
    ]
    rows = task.assemble(items, "dev")
    errors, speakers = task.tables(json.loads(json.dumps(rows)))
    assert errors.rows
    for row in errors.rows:
        assert row[0] in ("one speaker, refused", "two speakers, accepted")
        for name, sound in ((row[3], row[4]), (row[5], row[6])):
            assert isinstance(sound, dict)
            assert sound == {"audio": f"/{str(name).split(' ')[0]}.wav", "start_s": 0.0, "duration_s": 1.0}
    threshold = task.facts(rows)["eer_threshold"]
    wrong = [row for row in rows if (row["score"] >= threshold) != bool(row["target"])]
    assert len(errors.rows) == min(10, len(wrong))
    assert {row[0] for row in speakers.rows} == {"a", "b"}
    refused = sum(bool(row["target"]) for row in wrong)
    assert sum(int(str(row[1]).split(" of ")[0]) for row in speakers.rows) == refused
    drawn = task.figures(tmp_path, rows)
    assert set(drawn) == {"DET curve", "Scores"}
    for path in drawn.values():
        assert imread(path).std() > 0.05
