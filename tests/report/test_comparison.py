"""Runs are compared item by item, by what their task counts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys.reports import asr_run, evaluate, guesses, make_run, read_page, write_lines

from audiossl.report import build_report, read_runs
from audiossl.report.comparison import comparisons


def test_comparison_is_paired_by_id(two_runs: list[Path]) -> None:
    (row,) = comparisons(read_runs(two_runs))
    assert (row.run, row.baseline, row.split, row.num_items) == ("second", "first", "test", 24)
    assert row.difference is not None
    assert row.difference.value == pytest.approx(9 / 24)
    assert row.difference.num_clusters == 6
    # Two speakers alone make the difference: of six, that is no evidence.
    assert row.difference.low is not None and row.difference.low < 0 < row.difference.value


def test_comparison_uses_shared_items_in_any_order(two_runs: list[Path]) -> None:
    path = two_runs[1] / "test" / "predictions.jsonl"
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True)[4:])))
    (row,) = comparisons(read_runs(two_runs))
    # Items 4 to 23: the first run is wrong on 4..11, the second on none.
    assert row.num_items == 20
    assert row.difference is not None and row.difference.value == pytest.approx(8 / 20)
    assert row.remark == "4 items are in one of the two only; no p-value of fewer than 6 speakers"


@pytest.mark.parametrize(
    ("key", "change", "remark"),
    [
        ("id", lambda value: f"other-{value}", "no item is in both"),
        ("target", lambda value: f"not {value}", "the two disagree on what is right"),
    ],
)
def test_comparison_of_what_cannot_be_compared(
    two_runs: list[Path], tmp_path: Path, key: str, change: Callable[[str], str], remark: str
) -> None:
    path = two_runs[1] / "test" / "predictions.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    write_lines(path, [{**row, key: change(row[key])} for row in rows])
    (row,) = comparisons(read_runs(two_runs))
    assert row.difference is None and row.remark == remark
    assert remark in read_page(two_runs, tmp_path / "out")


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
    (folder / "run.json").write_text("{}")
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
    assert (row.measure, row.num_items) == ("eer", 12)
    assert row.difference is not None
    assert row.difference.value == pytest.approx(-1.0)
    assert row.difference.low is None and "every speaker is like the others" in row.remark
    page = build_report(runs, tmp_path / "out").read_text(encoding="utf-8")
    assert "<td>eer</td>" in page
    assert "Most confident mistakes" not in page


def test_trials_of_one_kind_are_not_compared(tmp_path: Path) -> None:
    runs = [trials_run(tmp_path / name, [0.1] * 12, target=1) for name in ("a", "b")]
    (row,) = comparisons(read_runs(runs))
    assert (row.measure, row.difference) == ("eer", None)
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


@pytest.mark.parametrize("monitor", ["uar", "f1", "accuracy"])
def test_labels_are_compared_by_the_metric_that_the_task_chooses_by(tmp_path: Path, monitor: str) -> None:
    labels = ["a", "a", "a", "b"]
    wrong = guesses(80, 0, labels)
    rare = ["a" if index % 4 == 3 and index < 60 else guess for index, guess in enumerate(wrong)]
    runs = [
        evaluate(make_run(tmp_path / name), said, labels=labels, monitor=monitor)
        for name, said in (("bad", rare), ("good", guesses(80, 0, labels)))
    ]
    stored = [json.loads((run / "test" / "metrics.json").read_text())["metrics"][monitor]["value"] for run in runs]
    (row,) = comparisons(read_runs(runs))
    assert row.measure == monitor
    assert row.difference is not None
    assert row.difference.value == pytest.approx(stored[1] - stored[0])
    assert (row.difference.num_clusters, row.difference.cluster) == (20, "speaker")
    assert row.difference.p_value is not None and row.difference.p_value < 0.001


def test_windows_are_compared_by_their_mean_average_precision(tmp_path: Path) -> None:
    for name, noise in (("a", 0.9), ("b", 0.1)):
        (tmp_path / name / "test").mkdir(parents=True)
        (tmp_path / name / "config.yaml").write_text("upstream: log_mel\ndownstream: bioacoustic_windows\n")
        (tmp_path / name / "run.json").write_text("{}")
        rows = [
            {
                "id": f"w{number}",
                "target": ["call"] if number % 3 == 0 else [],
                "predicted": [],
                "scores": [(number % 3 == 0) * 0.5 + noise * (number * 7 % 10) / 10],
                "group": f"tape{number // 4}",
            }
            for number in range(40)
        ]
        write_lines(tmp_path / name / "test" / "predictions.jsonl", rows)
        metric = {"value": 0.5, "cluster": "recording", "num_clusters": 10}
        facts = {"monitor": "map", "labels": ["call"], "metrics": {"map": metric}}
        (tmp_path / name / "test" / "metrics.json").write_text(json.dumps(facts))
    (row,) = comparisons(read_runs([tmp_path / "a", tmp_path / "b"]))
    assert row.measure == "map"
    assert row.difference is not None and row.difference.value > 0.1
    assert row.cells["clusters"] == "10 recordings"


def test_the_page_says_what_a_comparison_is_worth(two_runs: list[Path], tmp_path: Path) -> None:
    page = read_page(two_runs, tmp_path / "out")
    assert "+37.5" in page.texts and "6 speakers" in page.texts
    text = " ".join(" ".join(page.texts).split())
    assert "They say nothing of another training seed or another corpus" in text
    assert "more than the choice of test items" not in text


def frame_run(folder: Path, step_s: float, wrong: Sequence[float]) -> Path:
    """Four speakers' recordings, half a second of each of two phones, of which a share of the first is wrong."""
    run, count = make_run(folder, task="frame_classification"), round(0.5 / step_s)
    rows = []
    for number, share in enumerate(wrong):
        errors = round(share * count)
        predicted = [[errors, "b"], [count - errors, "a"], [count, "b"]] if errors else [[count, "a"], [count, "b"]]
        rows.append(
            {
                "id": f"r{number}",
                "target": [[count, "a"], [count, "b"]],
                "predicted": predicted,
                "first_s": step_s / 2,
                "step_s": step_s,
                "speaker": f"s{number % 4}",
                "num_errors": errors,
                "num_units": 2 * count,
                "measure": "frame error rate",
            }
        )
    (run / "test").mkdir()
    write_lines(run / "test" / "predictions.jsonl", rows)
    facts = {"downstream": "frame_classification", "monitor": "accuracy", "metrics": {}, "num_items": len(rows)}
    (run / "test" / "metrics.json").write_text(json.dumps(facts))
    return run


def test_frames_of_other_steps_are_compared_over_the_same_speakers(tmp_path: Path) -> None:
    first, second = [0.2, 0.4, 0.0, 0.6, 0.2, 0.0], [0.4, 0.4, 0.2, 0.8, 0.4, 0.2]
    runs = [frame_run(tmp_path / "a", 0.02, first), frame_run(tmp_path / "b", 0.05, second)]
    (row,) = comparisons(read_runs(runs))
    assert row.measure == "accuracy" and row.difference is not None
    # Each half of a recording counts alike: the second run's accuracy minus the first's, and without each speaker.
    gaps = [(a - b) / 2 for a, b in zip(first, second, strict=True)]
    without = [np.mean([gap for n, gap in enumerate(gaps) if n % 4 != speaker]) for speaker in range(4)]
    assert row.difference.value == pytest.approx(np.mean(gaps))
    variance = 3 / 4 * sum((each - np.mean(gaps)) ** 2 for each in without)
    assert row.difference.low is not None and row.difference.low < row.difference.value - variance**0.5
    assert (row.difference.cluster, row.difference.num_clusters) == ("speaker", 4)
    assert row.remark.startswith("frames of 50 and 20 ms; ")
