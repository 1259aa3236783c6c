"""Figures hold what they are drawn from, and are the same bytes each time."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from toys.reports import make_run

from audiossl.report import build_report, read_run
from audiossl.report.figures import Series as Line
from audiossl.report.figures import confusion_figure, curves_figure, numbered, shortened


def test_values_that_are_not_finite_are_not_drawn(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", losses=2)
    with open(run / "log.jsonl", "a") as file:
        file.write('{"step": 3, "split": "train", "loss": NaN}\n{"step": 4, "split": "train", "loss": Infinity}\n')
    assert read_run(run).series("train", "loss") == ([1, 2], [2.3, 1.15])
    assert "nan" not in (build_report([run], tmp_path / "out")).read_text().lower()


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
