"""One line a run, on the terminal and as Markdown."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console
from toys.reports import evaluate, guesses, make_run

from audiossl.report import summary_markdown, summary_note, summary_table


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


def test_under_the_table_stands_over_how_many_of_what_the_intervals_are(two_runs: list[Path], tmp_path: Path) -> None:
    assert summary_note(two_runs) == "95 % intervals over 6 speakers."
    few = evaluate(make_run(tmp_path / "few"), guesses(24, 3), per_speaker=12)
    assert summary_note([*two_runs, few]).split("\n") == [
        "first, second: 95 % intervals over 6 speakers.",
        "few: 95 % intervals over 2 speakers, which is too few to tell much.",
    ]
    assert summary_note([make_run(tmp_path / "none")]) == ""
