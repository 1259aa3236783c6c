"""Tables for papers: what they hold, and that no name breaks them."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from toys.suite_results import EVIL, QUALITY, make_results

from audiossl.core.errors import AudiosslError
from audiossl.experiments.suites.results import ResultsFolder
from audiossl.report.suites.export import export_text
from audiossl.report.suites.reading import read_results
from audiossl.report.suites.standings import standings


def test_markdown_has_a_row_for_each_encoder_and_says_what_it_shows(made: ResultsFolder) -> None:
    header, _, *rows = export_text(made, "markdown").splitlines()
    table = [line for line in rows if line.startswith("|")]
    assert [row.split(" | ")[0].strip("| ") for row in table] == [*QUALITY, "hf:broken"]
    assert len({row.count("|") for row in [header, *table]}) == 1
    assert "voices/verification EER (%) ↓" in header and "birds/calls mAP (%) ↑" in header
    assert table[0].count("**") == 14 and "†" in table[0]
    assert "(4 of 5)" in table[-1]
    notes = "\n".join(rows)
    assert "20 speakers" in notes and "16 recordings" in notes and "not comparable" in notes


def test_latex_is_a_table_of_booktabs_with_escaped_names(made: ResultsFolder) -> None:
    text = export_text(made, "latex")
    rows = text[text.index(r"\midrule") : text.index(r"\bottomrule")].splitlines()[1:]
    assert len(rows) == 5 and all(row.endswith(r" \\") and row.count(" & ") == 7 for row in rows)
    assert r"wave\_large & \textbf{902}" in rows[0] and r"$^\dagger$" in rows[0]
    assert text.count("{") == text.count("}")
    assert r"accuracy (\%) $\uparrow$" in text and r"EER (\%) $\downarrow$" in text


def test_csv_has_the_figures_as_they_are(made: ResultsFolder) -> None:
    rows = list(csv.DictReader(io.StringIO(export_text(made, "csv"))))
    assert len(rows) == 4 * 7 + 5
    ranked = standings(read_results(made))
    row = next(row for row in rows if (row["upstream"], row["task"]) == ("spectral", "voices/verification"))
    metric = ranked.tasks["voices/verification"].figures["spectral"].metric
    assert (float(row["value"]), float(row["low"]), row["cluster"]) == (metric.value, metric.low, "speaker")
    assert (row["mode"], row["num_seeds"], row["num_items"], row["rank"]) == ("min", "1", "600", "4.0")
    seeds = next(row for row in rows if (row["upstream"], row["task"]) == ("spectral", "digits/keywords"))
    assert float(seeds["seed_deviation"]) > 0
    leak = next(row for row in rows if row["trained_on_test"])
    assert (leak["upstream"], leak["trained_on_test"]) == ("wave_large", "Toy Commands")


def test_a_card_is_of_one_encoder(made: ResultsFolder, tmp_path: Path) -> None:
    with pytest.raises(AudiosslError, match="of one encoder; name one of: .*wave_large"):
        export_text(made, "card")
    with pytest.raises(AudiosslError, match="no results of 'bert'"):
        export_text(made, "card", "bert")
    alone = make_results(tmp_path / "alone", ["spectral"], ["reading/words"])
    assert "name: spectral" in export_text(alone, "card")


def test_names_of_encoders_are_text(own: ResultsFolder) -> None:
    name = f"a|b_{EVIL}\x1b[31m&%"
    for path in own.cells_path.glob("*/*/spectral/*.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "upstream": name}))
    markdown = export_text(own, "markdown")
    assert "<script" not in markdown and "a\\|b_" in markdown and "\x1b" not in markdown
    latex = export_text(own, "latex")
    assert r"a|b\_<script>" in latex and r"\&\%" in latex
    assert len(list(csv.DictReader(io.StringIO(export_text(own, "csv"))))) == 4 * 7 + 5


def test_an_unknown_format_is_named(made: ResultsFolder) -> None:
    with pytest.raises(AudiosslError, match="markdown, latex, csv or card"):
        export_text(made, "word")  # type: ignore[arg-type]
