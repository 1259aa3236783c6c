"""Run folders turned into one self-contained HTML page, a terminal table or a Markdown table."""

from audiossl.report.build import build_report
from audiossl.report.runs import RunSummary, read_run, read_runs
from audiossl.report.summary import summary_markdown, summary_note, summary_table

__all__ = ["RunSummary", "build_report", "read_run", "read_runs", "summary_markdown", "summary_note", "summary_table"]
