"""The results of a suite as tables and as a site."""

from audiossl.report.suites.board import write_board
from audiossl.report.suites.export import export_text
from audiossl.report.suites.reading import SuiteResults, read_results
from audiossl.report.suites.site import build_site
from audiossl.report.suites.standings import Standings, standings

__all__ = ["Standings", "SuiteResults", "build_site", "export_text", "read_results", "standings", "write_board"]
