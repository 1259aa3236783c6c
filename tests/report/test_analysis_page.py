"""The page of an analysis: nothing of a name is markup, and nobody's page is replaced."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys.layerwise import write_speakers

from audiossl.analysis.layerwise.config import AnalyseOptions
from audiossl.analysis.layerwise.study import study_layers
from audiossl.core.errors import OutputError
from audiossl.report.analysis_page import check_analysis_page, write_analysis_page


def test_page(tmp_path: Path) -> None:
    manifest = write_speakers(tmp_path)
    options = AnalyseOptions(clusters=0, moments=40)
    found = study_layers(["log_mel"], [manifest], "mel,speakers", tmp_path / "out", options)
    page = write_analysis_page(found, tmp_path / "out", "audiossl <b>").read_text()
    assert page.startswith("<!doctype html>")
    assert "audiossl &lt;b&gt;" in page
    assert 'src="figures/speakers.png"' in page
    assert "of other recordings than what is fitted" in page
    write_analysis_page(found, tmp_path / "out", "again")
    (tmp_path / "out" / "index.html").write_text("mine")
    with pytest.raises(OutputError, match="no result of this command"):
        check_analysis_page(tmp_path / "out")
