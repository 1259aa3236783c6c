"""One line a run, on the terminal and as Markdown."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import scipy.stats
from rich.console import Console
from toys.reports import evaluate, guesses, make_run

from audiossl.core.files import read_json
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


def test_runs_that_differ_in_the_seed_alone_have_a_line_of_their_mean(tmp_path: Path) -> None:
    counts = (14, 17, 15)
    runs = [evaluate(make_run(tmp_path / f"head-seed{seed}"), guesses(24, num)) for seed, num in enumerate(counts)]
    other = evaluate(make_run(tmp_path / "other-seed0"), guesses(24, 12))
    shares = [read_json(run / "test" / "metrics.json")["metrics"]["accuracy"]["value"] for run in runs]
    *_, last = summary_markdown([*runs, other]).split("\n")
    cells = [cell.strip() for cell in last.strip("|").split("|")]
    assert cells[:6] == ["head, mean of 3 seeds", "log_mel", "weighted_sum", "utterance", "test", "24"]
    # Student's interval of three shares.
    interval = scipy.stats.ttest_1samp(shares, 0).confidence_interval(0.95)
    assert cells[6] == f"{100 * np.mean(shares):.1f} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
