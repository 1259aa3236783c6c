"""What a task says in words on the page: players, aligned words, numbers; and comparisons by error rate."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from audiossl.core.types import Table
from audiossl.report import build_report, read_runs
from audiossl.report.cells import MOST_PLAYED_S, Players, shown_tables
from audiossl.report.comparison import comparisons

RATE = 8000


def write_sound(path: Path, seconds: float = 1.0) -> Path:
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(int(seconds * RATE)), RATE)
    return path


def played(address: str) -> tuple[np.ndarray, int]:
    kind, _, data = address.partition(",")
    assert kind == "data:audio/flac;base64"
    return soundfile.read(io.BytesIO(base64.b64decode(data)))


def asr_run(folder: Path, errors: list[int], words: int = 4, tables: list[Table] | None = None) -> Path:
    """An evaluated run whose rows count errors among words."""
    (folder / "test").mkdir(parents=True)
    (folder / "config.yaml").write_text("upstream: log_mel\ndownstream: asr\n")
    rows = [
        {
            "id": f"u{n}",
            "target": "a b c d",
            "predicted": "a b",
            "num_errors": wrong,
            "num_units": words,
            "speaker": f"s{n}",
        }
        for n, wrong in enumerate(errors)
    ]
    (folder / "test" / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    facts: dict[str, Any] = {
        "downstream": "asr",
        "num_items": len(rows),
        "metrics": {"wer": {"value": sum(errors) / (words * len(errors)), "low": None, "high": None}},
        "tables": [table._asdict() for table in tables or []],
    }
    (folder / "test" / "metrics.json").write_text(json.dumps(facts))
    return folder


def test_a_player_holds_the_part_that_is_named(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "ä b.wav", 2.0)
    shown = Players().cell({"path": str(path), "start_s": 0.5, "duration_s": 1.0})
    sound, rate = played(shown.value)
    whole, _ = soundfile.read(path)
    assert (shown.kind, rate, len(sound)) == ("audio", RATE, RATE)
    np.testing.assert_allclose(sound, whole[RATE // 2 : RATE // 2 + RATE], atol=1e-4)


def test_a_long_recording_plays_its_beginning_and_says_so(tmp_path: Path) -> None:
    shown = Players().cell({"path": str(write_sound(tmp_path / "long.wav", MOST_PLAYED_S + 5))})
    assert len(played(shown.value)[0]) == MOST_PLAYED_S * RATE
    assert shown.remark == "first 30 s"


def test_a_missing_recording_and_one_too_many_are_remarks(tmp_path: Path) -> None:
    players = Players()
    assert players.cell({"path": str(tmp_path / "gone.wav")}).remark == "the recording cannot be read any more"
    players.left = 0
    assert players.cell({"path": str(write_sound(tmp_path / "there.wav"))}).remark == "no room for more players"


def test_cells_of_every_kind() -> None:
    cells = ["text", 1234, 0.123456, None, True, {"words": [["one", "one"], ["two", ""]]}]
    (table,) = shown_tables([Table("T", ["a"] * len(cells), [cells], "note")._asdict()], Players())
    assert [shown.kind for shown in table["rows"][0]] == ["text", "number", "number", "text", "text", "words"]
    assert [shown.value for shown in table["rows"][0][:5]] == ["text", "1,234", "0.1235", "", "yes"]


def test_the_page_shows_tables_players_pictures_and_escapes(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav")
    words = [["yes", "yes"], ["<b>", "no"], ["gone", ""]]
    place = {"audio": {"path": str(path), "start_s": 0.0, "duration_s": 1.0}}
    run = asr_run(
        tmp_path / "run",
        [1, 2],
        tables=[Table("Worst utterances", ["id", "words", "sound"], [["u1", {"words": words}, place]])],
    )
    soundless = np.zeros((4, 4, 3))
    from matplotlib.image import imsave

    imsave(run / "test" / "det_curve.png", soundless)
    imsave(run / "test" / "confusion.png", soundless)
    page = build_report([run], tmp_path / "out").read_text(encoding="utf-8")
    assert "Worst utterances" in page
    assert page.count("<audio ") == 1
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert re.findall(r"<figcaption>([^<]*)</figcaption>", page).count("det curve") == 1
    assert "confusion" not in re.findall(r"<figcaption>([^<]*)</figcaption>", page)
    assert "Most confident mistakes" not in page  # errors within items are not a list of wrong labels


def test_error_rates_are_compared_over_all_words(tmp_path: Path) -> None:
    runs = [asr_run(tmp_path / "a", [4, 4, 0, 2] * 5), asr_run(tmp_path / "b", [0, 1, 0, 2] * 5)]
    (row,) = comparisons(read_runs(runs))
    assert row.measure == "error rate"
    assert row.difference is not None
    assert row.difference.value == pytest.approx((15 - 50) / 80)
    assert row.difference.high is not None
    assert row.difference.high < 0


def trials_run(folder: Path, scores: list[float], **changes: Any) -> Path:
    """A run of verification on twelve trials of four speakers, of which every third is of one speaker."""
    (folder / "test").mkdir(parents=True)
    (folder / "config.yaml").write_text("upstream: log_mel\ndownstream: speaker_verification\n")
    rows = [
        {
            "id": f"a{number} b{number}",
            "enrol": f"a{number}",
            "test": f"b{number}",
            "target": int(number % 3 == 0),
            "score": score,
            "llr": None,
            "speaker_enrol": f"s{number % 4}",
            "speaker_test": f"s{number % 4}" if number % 3 == 0 else f"s{(number + 1) % 4}",
            **changes,
        }
        for number, score in enumerate(scores)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "test" / "predictions.jsonl").write_text(lines)
    (folder / "test" / "metrics.json").write_text(json.dumps({"metrics": {"eer": {"value": 0.1}}}))
    return folder


def test_trials_are_compared_by_their_equal_error_rates(tmp_path: Path) -> None:
    perfect = [float(number % 3 == 0) + number / 100 for number in range(12)]
    useless = [-score for score in perfect]
    runs = [trials_run(tmp_path / "a", useless), trials_run(tmp_path / "b", perfect)]
    (row,) = comparisons(read_runs(runs))
    assert (row.measure, row.num_items) == ("EER", 12)
    assert row.difference is not None
    assert row.difference.value == pytest.approx(-1.0)
    assert row.difference.high is not None and row.difference.high < 0
    page = build_report(runs, tmp_path / "out").read_text(encoding="utf-8")
    assert "<td>EER</td>" in page
    assert "Most confident mistakes" not in page


def test_trials_of_one_kind_are_not_compared(tmp_path: Path) -> None:
    runs = [trials_run(tmp_path / name, [0.1] * 12, target=1) for name in ("a", "b")]
    (row,) = comparisons(read_runs(runs))
    assert (row.measure, row.difference) == ("EER", None)
    assert row.remark == "the trials of both are all of one kind"


def test_scores_that_are_no_trials_are_not_compared(tmp_path: Path) -> None:
    """A task from elsewhere may call anything a score."""
    for name in ("a", "b"):
        trials_run(tmp_path / name, [0.1] * 12)
        path = tmp_path / name / "test" / "predictions.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text(
            "".join(json.dumps({key: row[key] for key in ("id", "target", "score")}) + "\n" for row in rows)
        )
    assert comparisons(read_runs([tmp_path / "a", tmp_path / "b"])) == []
