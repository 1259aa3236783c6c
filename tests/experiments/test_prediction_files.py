"""Predictions as files for other programs."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from audiossl.core.errors import ConfigError
from audiossl.experiments.prediction_files import check_ending, write_predictions

ROWS: list[dict[str, Any]] = [
    {"id": "a", "predicted": "hello, wörld", "probability": 0.1234567890123, "events": [[0.5, 1.0, "song", 0.9]]},
    {"id": "b", "predicted": "", "probability": None, "start_s": 2},
]


def test_tables_have_everything(tmp_path: Path) -> None:
    write_predictions(tmp_path / "x.csv", ROWS)
    with open(tmp_path / "x.csv", encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert first["predicted"] == "hello, wörld"
    assert float(first["probability"]) == ROWS[0]["probability"]
    assert json.loads(first["events"]) == ROWS[0]["events"]
    assert second == {"id": "b", "predicted": "", "probability": "", "events": "", "start_s": "2"}
    parquet = pytest.importorskip("pyarrow.parquet")
    write_predictions(tmp_path / "x.parquet", ROWS)
    found = parquet.read_table(tmp_path / "x.parquet").to_pylist()
    assert found[0] == {**ROWS[0], "events": json.dumps(ROWS[0]["events"]), "start_s": None}


def test_parts_by_name_are_columns(tmp_path: Path) -> None:
    rows = [{"id": "a", "predicted": {"age": 31.5, "sex": "F"}, "scores": {"sex": [0.9, 0.1]}, "target": None}]
    write_predictions(tmp_path / "x.csv", rows)
    with open(tmp_path / "x.csv", encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row == {"id": "a", "predicted.age": "31.5", "predicted.sex": "F", "scores.sex": "[0.9, 0.1]", "target": ""}


def test_lines_of_json_and_of_kaldi(tmp_path: Path) -> None:
    write_predictions(tmp_path / "x.jsonl", ROWS)
    assert [json.loads(line) for line in (tmp_path / "x.jsonl").read_text(encoding="utf-8").splitlines()] == ROWS
    write_predictions(tmp_path / "x.txt", ROWS)
    assert (tmp_path / "x.txt").read_text(encoding="utf-8") == "a hello, wörld\nb\n"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"id": "a b", "predicted": "x"}, "no place for the id 'a b'"),
        ({"id": "a", "score": 0.5}, "for transcripts and labels"),
        ({"id": "a", "predicted": ["x", "y"]}, "for transcripts and labels"),
    ],
)
def test_what_kaldi_cannot_say_is_not_written(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        write_predictions(tmp_path / "x.txt", [row])
    assert list(tmp_path.iterdir()) == []


def test_the_ending_says_the_format() -> None:
    with pytest.raises(ConfigError, match=r"p\.xlsx does not say in which format; let it end in \.jsonl, \.csv"):
        check_ending(Path("p.xlsx"))


def test_rttm_is_for_who_speaks_when(tmp_path: Path) -> None:
    write_predictions(tmp_path / "x.rttm", [{"id": "day/a", "predicted": [[0.5, 1.0, "speaker_1"]]}])
    assert (tmp_path / "x.rttm").read_text() == "SPEAKER a 1 0.500 0.500 <NA> <NA> speaker_1 <NA> <NA>\n"
    with pytest.raises(ConfigError, match="RTTM is for who speaks when"):
        write_predictions(tmp_path / "y.rttm", ROWS)
