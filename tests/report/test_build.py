"""The report on run folders made up here, in the layout that `audiossl train` and `audiossl evaluate` write."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from toys.reports import PIXEL, asr_run, evaluate, guesses, make_run, read_page, write_lines, write_sound

from audiossl.core.errors import AudiosslError, OutputError, TrainingError
from audiossl.core.types import Table
from audiossl.report import build_report, read_run, read_runs, summary_markdown
from audiossl.report.build import mistakes, page_facts
from audiossl.report.cells import Players


def test_page_needs_nothing_but_itself(two_runs: list[Path], tmp_path: Path) -> None:
    page = read_page(two_runs, tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["index.html"]
    assert page.addresses and all(address.startswith(("#", "data:")) for address in page.addresses)
    assert not page.tags.keys() & {"script", "iframe", "object", "embed"}
    html = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "@import" not in html and "url(http" not in html
    assert "currentColor" in html and "#010203" not in html


def test_ids_are_unique_and_links_lead_somewhere(two_runs: list[Path], tmp_path: Path) -> None:
    page = read_page(two_runs, tmp_path / "out")
    assert page.tags["svg"] == 1 + 3 + 2 * 2  # estimates; three curves; layer weights and confusion of each run
    assert [name for name, count in Counter(page.ids).items() if count > 1] == []
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)


def test_results_are_those_of_the_runs(two_runs: list[Path], tmp_path: Path) -> None:
    page = read_page(two_runs, tmp_path / "out")
    stored = json.loads((two_runs[1] / "test" / "metrics.json").read_text())["metrics"]["accuracy"]
    assert stored["value"] == 0.875
    assert "87.5" in page.texts and "50.0" in page.texts
    assert f"[{100 * stored['low']:.1f}, {100 * stored['high']:.1f}]" in page.texts
    assert "accuracy (%)" in page.texts and "24" in page.texts


def test_facts_of_the_run_are_shown(two_runs: list[Path], tmp_path: Path) -> None:
    page = read_page(two_runs, tmp_path / "out")
    assert "5.4 M" in page.texts and "1.2 k trained" in page.texts
    assert f"audiossl train --out first audiossl evaluate {two_runs[0]} --split test" in page.texts
    assert "torch 2.11.0, test evaluated 2026-01-02T03:04:05+00:00" in page.texts


def test_curves_of_different_tasks_are_apart(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / "head"), make_run(tmp_path / "encoder", task=None)]
    page = read_page(runs, tmp_path / "out")
    assert "train loss, utterance" in page.texts and "train loss, pre-training" in page.texts


def test_items_without_a_target_are_neither_right_nor_wrong(two_runs: list[Path]) -> None:
    path = two_runs[0] / "test" / "predictions.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    write_lines(path, [{**row, "target": None} if index < 11 else row for index, row in enumerate(rows)])
    assert [row["id"] for row in mistakes(read_run(two_runs[0]).evaluations["test"], Players())] == ["clip11"]


def test_mistakes_are_the_surest_wrong_ones(two_runs: list[Path]) -> None:
    found = mistakes(read_run(two_runs[0]).evaluations["test"], Players())
    assert [row["id"] for row in found] == [f"clip{index}" for index in range(11, 1, -1)]
    assert found[0] == {
        "id": "clip11",
        "target": "two",
        "predicted": "zero",
        "probability": f"{12 / 25:.3f}",
        "speaker": "voice2",
        "duration": "0.50",
        "audio": None,
    }


def test_only_what_is_calibrated_is_called_a_probability(two_runs: list[Path], tmp_path: Path) -> None:
    path = two_runs[0] / "test" / "predictions.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for calibrated, word, other in ((False, "score", "probability"), (True, "probability", "score")):
        write_lines(path, [{**row, "calibrated": calibrated} for row in rows])
        texts = read_page(two_runs[:1], tmp_path / word).texts
        assert word in texts and other not in texts


def test_text_of_the_data_is_escaped(tmp_path: Path) -> None:
    labels = ["<script>alert(1)</script>", "$x_{1}$", "a & b"]
    run = evaluate(make_run(tmp_path / "run"), guesses(9, 4, labels), labels=labels)
    page = read_page([run], tmp_path / "out")
    assert page.tags["script"] == 0
    assert labels[0] in page.texts  # in the table of mistakes
    assert labels[1] in page.texts and labels[2] in page.texts


def test_pretraining_run_shows_losses_and_pictures(tmp_path: Path) -> None:
    run = make_run(tmp_path / "pretrained", task=None)
    (run / "figures").mkdir()
    (run / "figures" / "masked_frames.png").write_bytes(PIXEL)
    assert summary_markdown([run]).split("\n")[-1] == "| pretrained | log_mel | - | pre-training | - | - |"
    page = read_page([run], tmp_path / "out")
    (picture,) = [address for address in page.addresses if address.startswith("data:image/png;base64,")]
    assert base64.b64decode(picture.split(",")[1]) == PIXEL
    assert "masked frames" in page.texts
    assert "2.3" in page.texts and "0.04" in page.texts  # first training loss; dev loss 2.4 / 60
    assert "has not been evaluated" not in page


def test_missing_pieces_are_said(tmp_path: Path) -> None:
    run = tmp_path / "young"
    run.mkdir()
    (run / "config.yaml").write_text("upstream: log_mel\ninterface: last\ndownstream: utterance\n")
    page = read_page([run], tmp_path / "out")
    assert "This run has not been evaluated yet." in page.texts
    assert "This run has no log.jsonl, so there are no learning curves." in page.texts
    assert "None of these runs has been evaluated." in page.texts


def test_evaluation_without_predictions_is_no_error(two_runs: list[Path], tmp_path: Path) -> None:
    (two_runs[0] / "test" / "predictions.jsonl").unlink()
    page = read_page(two_runs, tmp_path / "out")
    assert "has no test/predictions.jsonl" in page
    assert "Paired comparison" not in page


def test_many_classes_have_no_confusion_picture(tmp_path: Path) -> None:
    labels = [f"speaker{index}" for index in range(50)]
    run = evaluate(make_run(tmp_path / "run"), guesses(100, 10, labels), labels=labels)
    page = read_page([run], tmp_path / "out")
    assert "too many classes" in page
    assert not any(text.startswith("Confusion matrix") for text in page.texts)


def test_what_is_not_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="neither config.yaml nor log.jsonl"):
        build_report([tmp_path], tmp_path / "out")
    with pytest.raises(AudiosslError, match="no run folder .*absent"):
        build_report([tmp_path / "absent"], tmp_path / "out")
    with pytest.raises(TrainingError, match="No run was given"):
        build_report([], tmp_path / "out")
    assert not (tmp_path / "out").exists()


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


def test_the_picture_has_the_metric_that_the_task_chooses_by(tmp_path: Path) -> None:
    runs = [evaluate(make_run(tmp_path / name), guesses(24, 3), monitor="uar") for name in ("a", "b")]
    (chart,) = page_facts(read_runs(runs))["estimates"]
    assert "uar" in chart.svg and "accuracy" not in chart.svg
    page = read_page(runs, tmp_path / "out")
    assert "95 % intervals over 6 speakers." in page.texts


def test_a_page_that_cannot_be_written_leaves_the_one_that_is_there(
    two_runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    path = build_report(two_runs, out)
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(OutputError, match=r"index\.html could not be written: the disk is full"):
            build_report(two_runs, out)
    assert path.read_bytes() == before
    assert [file.name for file in out.iterdir()] == ["index.html"]
    assert build_report(two_runs, out) == path  # a page of ours is replaced
    path.write_text("<!doctype html><title>my home page</title>")
    with pytest.raises(OutputError, match="is there and is no result of this command"):
        build_report(two_runs, out)
    with pytest.raises(OutputError, match=r"/proc/x cannot be written"):
        build_report(two_runs, Path("/proc/x"))
