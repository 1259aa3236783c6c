"""The table of a report as CSV, Markdown and LaTeX, from Python and by `audiossl report --table`."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toys.reports import evaluate, guesses, make_run

from audiossl.core.errors import ConfigError, OutputError
from audiossl.core.files import read_json
from audiossl.report import summary_markdown, summary_note
from audiossl.report.tables import check_table, write_table


def test_csv_has_the_numbers_of_each_run_and_metric(two_runs: list[Path], tmp_path: Path) -> None:
    write_table([*two_runs, make_run(tmp_path / "not evaluated")], tmp_path / "t.csv")
    with open(tmp_path / "t.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["run"], row["metric"]) for row in rows] == [
        (run, metric) for run in ("first", "second") for metric in ("accuracy", "uar", "f1")
    ]
    stored = read_json(two_runs[0] / "test" / "metrics.json")["metrics"]["accuracy"]
    assert [float(rows[0][key]) for key in ("value", "low", "high")] == [
        stored[key] for key in ("value", "low", "high")
    ]
    assert (rows[0]["num_clusters"], rows[0]["cluster"], rows[0]["split"]) == ("6", "speaker", "test")


def test_markdown_is_what_readmes_have(two_runs: list[Path], tmp_path: Path) -> None:
    write_table(two_runs, tmp_path / "t.md")
    assert (tmp_path / "t.md").read_text() == f"{summary_markdown(two_runs)}\n\n{summary_note(two_runs)}\n"


def test_latex_has_a_line_each_and_no_name_is_a_command(two_runs: list[Path], tmp_path: Path) -> None:
    odd = evaluate(make_run(tmp_path / r"100%_\input{x}"), guesses(24, 3))
    write_table([two_runs[0], odd], tmp_path / "t.tex")
    lines = (tmp_path / "t.tex").read_text().splitlines()
    assert lines[0] == r"% needs \usepackage{booktabs}"
    assert lines[3] == r"\caption{95 \% intervals over 6 speakers.}"
    assert lines[4] == r"\begin{tabular}{lllllrrrr}"
    assert lines[6].startswith(r"run & upstream & interface & task & split & items & accuracy (\%) &")
    assert lines[8].startswith(r"first & log\_mel & weighted\_sum & utterance & test & 24 & 50.0 [")
    assert lines[9].startswith(r"100\%\_\textbackslash{}input\{x\} & ")


def test_an_ending_that_says_nothing_and_a_file_of_somebody_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"t\.xlsx does not say in which format; let it end in \.csv, \.md, \.tex"):
        check_table(tmp_path / "t.xlsx")
    (tmp_path / "README.md").write_text("# Mine\n")
    with pytest.raises(OutputError, match="is no result of this command"):
        check_table(tmp_path / "README.md")


def test_by_command_and_again(two_runs: list[Path], tmp_path: Path, audiossl: Callable[..., Any]) -> None:
    for _ in range(2):
        done = audiossl("report", *two_runs, "--out", tmp_path / "page", "--table", tmp_path / "t.csv")
        assert done.code == 0
        assert f"Table: {tmp_path}/t.csv" in done.out
        assert "Paired" in done.out and "95 % interval" in done.out
    assert (tmp_path / "t.csv").read_text().startswith("run,upstream,")
    done = audiossl("report", *two_runs, "--out", tmp_path / "other", "--table", tmp_path / "t.xlsx")
    assert done.code == 2
    assert not (tmp_path / "other").exists()
