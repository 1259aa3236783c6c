"""The report on run folders made up here, in the layout that `audiossl train` and `audiossl evaluate` write."""

from __future__ import annotations

import base64
import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

from audiossl.core.errors import AudiosslError, TrainingError
from audiossl.metrics.classification import classification_metrics, confusion_matrix
from audiossl.report import build_report, read_run, read_runs, summary_markdown, summary_table
from audiossl.report.build import mistakes
from audiossl.report.cells import Players
from audiossl.report.comparison import comparisons
from audiossl.report.figures import Series as Line
from audiossl.report.figures import confusion_figure, curves_figure, numbered, shortened
from audiossl.report.runs import distinct_names

LABELS = ("zero", "one", "two")
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Page(HTMLParser):
    """What a test asks of a page: its tags, its addresses and ids, and its text by enclosing tag."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.open.append(tag)
        for name, value in attrs:
            if name in ("href", "src", "xlink:href", "srcset", "data", "action"):
                self.addresses.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_data(self, data: str) -> None:
        if data.strip() and self.open[-1:] != ["style"]:
            self.texts.append(" ".join(data.split()))

    def __contains__(self, text: str) -> bool:
        return any(text in each for each in self.texts)


def make_run(folder: Path, *, upstream: str = "log_mel", task: str | None = "utterance", losses: int = 60) -> Path:
    """A run that has been trained but not evaluated."""
    folder.mkdir(parents=True)
    config = f"upstream: {upstream}\nupstream_options:\n  weights: pretrained\n"
    config += f"interface: weighted_sum\ndownstream: {task}\n" if task else "objective: {}\n"
    (folder / "config.yaml").write_text(config)
    facts = {"command": f"audiossl train --out {folder.name}", "num_parameters": 5_400_000, "num_trainable": 1_234}
    (folder / "run.json").write_text(json.dumps({**facts, "versions": {"torch": "2.11.0"}}))
    rows: list[dict[str, Any]] = []
    for step in range(1, losses + 1):
        rows.append({"step": step, "split": "train", "loss": 2.3 / step, "lr": 1e-3, "grad_norm": 1.0})
        if step % 20 == 0:
            rows.append({"step": step, "split": "dev", "loss": 2.4 / step, "accuracy": 1 - 1 / step})
    write_lines(folder / "log.jsonl", rows)
    if task:
        weights = {"name": "weighted_sum", "layer_weights": {"layers": [0.2, 0.5, 0.3]}}
        (folder / "interface.json").write_text(json.dumps(weights))
    return folder


def evaluate(run: Path, predicted: Sequence[str], *, split: str = "test", labels: Sequence[str] = LABELS) -> Path:
    """Give the run an evaluation; the target of item i is labels[i % C]."""
    targets = [labels[index % len(labels)] for index in range(len(predicted))]
    folder = run / split
    folder.mkdir()
    rows = [
        {
            "id": f"clip{index}",
            "target": target,
            "predicted": guess,
            "probability": (index + 1) / (len(predicted) + 1),
            "scores": [0.0] * len(labels),
            "speaker": f"voice{index // 4}",
            "duration_s": 0.5,
        }
        for index, (target, guess) in enumerate(zip(targets, predicted, strict=True))
    ]
    write_lines(folder / "predictions.jsonl", rows)
    metrics = classification_metrics(targets, list(predicted))
    facts = {
        "upstream": "log_mel",
        "interface": "weighted_sum",
        "downstream": "utterance",
        "split": split,
        "num_items": len(rows),
        "labels": list(labels),
        "confusion": confusion_matrix(targets, list(predicted), list(labels)).tolist(),
        "metrics": {name: metric.as_json() for name, metric in metrics.items()},
        "created": "2026-01-02T03:04:05+00:00",
    }
    (folder / "metrics.json").write_text(json.dumps(facts))
    return run


def guesses(num_items: int, num_wrong: int, labels: Sequence[str] = LABELS) -> list[str]:
    """Predictions whose first `num_wrong` items are wrong."""
    return [labels[(index + (index < num_wrong)) % len(labels)] for index in range(num_items)]


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def read_page(runs: Sequence[Path], out: Path) -> Page:
    made = build_report(runs, out)
    assert made == out / "index.html"
    return Page(made.read_text(encoding="utf-8"))


@pytest.fixture
def two_runs(tmp_path: Path) -> list[Path]:
    first = evaluate(make_run(tmp_path / "first"), guesses(24, 12))
    second = evaluate(make_run(tmp_path / "second", losses=200), guesses(24, 3))
    return [first, second]


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


def test_comparison_is_paired_by_id(two_runs: list[Path]) -> None:
    (row,) = comparisons(read_runs(two_runs))
    assert (row.run, row.baseline, row.split, row.num_items) == ("second", "first", "test", 24)
    assert row.difference is not None
    assert row.difference.value == pytest.approx(9 / 24)
    assert row.difference.low is not None and 0 < row.difference.low < row.difference.value


def test_comparison_uses_shared_items_in_any_order(two_runs: list[Path]) -> None:
    path = two_runs[1] / "test" / "predictions.jsonl"
    path.write_text("".join(reversed(path.read_text().splitlines(keepends=True)[4:])))
    (row,) = comparisons(read_runs(two_runs))
    # Items 4 to 23: the first run is wrong on 4..11, the second on none.
    assert row.num_items == 20
    assert row.difference is not None and row.difference.value == pytest.approx(8 / 20)
    assert row.remark == "4 items are in one of the two only"


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


def test_cut_off_last_log_line_is_left_out(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    whole = read_run(run).series("train", "loss")
    with open(run / "log.jsonl", "a") as file:
        file.write('{"step": 61, "spl')
    read = read_run(run)
    assert read.series("train", "loss") == whole
    assert any("cut-off last line" in note for note in read.notes)


def test_damaged_files_are_named(two_runs: list[Path]) -> None:
    log = two_runs[0] / "log.jsonl"
    log.write_text("oops\n" + log.read_text())
    with pytest.raises(TrainingError, match=r"Line 1 of .*log\.jsonl"):
        read_run(two_runs[0])
    (two_runs[1] / "test" / "metrics.json").write_text("{")
    with pytest.raises(AudiosslError, match=r"metrics\.json is not readable JSON"):
        read_run(two_runs[1])


@pytest.mark.parametrize("metric", [{"low": 0.1}, {"value": "much"}, None])
def test_metric_without_a_value_is_named(two_runs: list[Path], metric: object) -> None:
    path = two_runs[0] / "test" / "metrics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "metrics": {"accuracy": metric}}))
    with pytest.raises(TrainingError, match=r"metrics\.json has a metric without a value"):
        read_run(two_runs[0])


def test_values_that_are_not_finite_are_not_drawn(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", losses=2)
    with open(run / "log.jsonl", "a") as file:
        file.write('{"step": 3, "split": "train", "loss": NaN}\n{"step": 4, "split": "train", "loss": Infinity}\n')
    assert read_run(run).series("train", "loss") == ([1, 2], [2.3, 1.15])
    assert "nan" not in (build_report([run], tmp_path / "out")).read_text().lower()


def test_test_split_stands_for_the_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    evaluate(run, guesses(6, 0), split="dev")
    assert read_run(run).best_evaluation == read_run(run).evaluations["dev"]
    evaluate(run, guesses(6, 6), split="test")
    assert list(read_run(run).evaluations) == ["test", "dev"]


def test_summary_markdown(two_runs: list[Path], tmp_path: Path) -> None:
    header, rule, first, second, third = summary_markdown([*two_runs, make_run(tmp_path / "third")]).split("\n")
    assert header == "| run | upstream | interface | task | split | items | accuracy (%) | uar (%) | f1 (%) |"
    assert rule == "| --- | --- | --- | --- | --- | ---: | ---: | ---: | ---: |"
    assert first.startswith("| first | log_mel | weighted_sum | utterance | test | 24 | 50.0 [")
    assert second.startswith("| second | log_mel | weighted_sum | utterance | test | 24 | 87.5 [")
    assert third == "| third | log_mel | weighted_sum | utterance | not evaluated | - | - | - | - |"


def test_summary_table_has_the_same_figures(two_runs: list[Path]) -> None:
    console = Console(file=io.StringIO(), width=200)
    console.print(summary_table(two_runs))
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue()
    cells = [cell.strip() for cell in summary_markdown(two_runs).split("\n")[3].strip("|").split("|")]
    assert all(cell in printed for cell in cells)


def test_random_weights_are_told_apart(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("pretrained", "random"))
    assert "log_mel (random)" in summary_markdown([run])


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a/x"], ["x"]),
        (["a/x", "a/y"], ["x", "y"]),
        (["a/x", "b/x"], ["a/x", "b/x"]),
        (["x", "x"], ["x (1)", "x (2)"]),
    ],
)
def test_names_tell_runs_apart(paths: list[str], names: list[str]) -> None:
    assert distinct_names([Path(path) for path in paths]) == names


def test_confusion_figure_holds_its_counts() -> None:
    counts = [[31, 7], [0, 42]]
    root = ElementTree.fromstring(confusion_figure(counts, ["yes", "no"]))
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert [text for text in texts if text in ("31", "7", "42", "0")] == ["31", "7", "42"]
    assert {"yes", "no", "predicted", "target"} <= set(texts)


def test_figures_are_the_same_bytes_each_time() -> None:
    steps = list(range(300))
    lines = [Line(name, steps, np.cos(np.arange(300) / 20).tolist(), place) for place, name in enumerate(["a", "b"])]
    assert curves_figure(lines, "loss") == curves_figure(lines, "loss")


def test_numbered_ids_stay_linked() -> None:
    root = ElementTree.fromstring(numbered(confusion_figure([[1, 2], [3, 4]], ["a", "b"]), 7))
    ids = {element.attrib["id"] for element in root.iter() if "id" in element.attrib}
    used = {element.attrib["clip-path"][5:-1] for element in root.iter() if "clip-path" in element.attrib}
    assert used and used <= ids and all(name.startswith("c7-") for name in ids)


@pytest.mark.parametrize("most", [5, 8, 9])
def test_shortened_keeps_both_ends(most: int) -> None:
    made = shortened("abcdefghijklmnop", most)
    assert len(made) == most and made[0] == "a" and made[-1] == "p"
