"""Analyses in a site: pages with figures, linked from the encoders, and nothing that leads out of their folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from toys.reports import Page
from toys.suite_results import make_results

from audiossl.core.errors import AudiosslError
from audiossl.experiments.suites.results import ResultsFolder
from audiossl.report.suites.layers_page import read_analyses
from audiossl.report.suites.site import build_site


def _peak(encoder: str, view: str, value: float | None) -> dict[str, Any]:
    ends = {"low": None, "high": None} if value is None else {"low": value - 0.1, "high": value + 0.1}
    minus = {f"{encoder}, random": {"value": 0.25, "low": 0.125, "high": 0.375}}
    return {"encoder": encoder, "view": view, "title": "PWCCA", "layer": 3, "value": value, **ends, "minus": minus}


def _write(results: ResultsFolder, name: str = "digits") -> Path:
    folder = results.analyses_path / name
    (folder / "figures").mkdir(parents=True)
    (folder / "figures" / "mel.png").write_bytes(b"picture")
    (folder / "figures" / "all_layers_cka.png").write_bytes(b"picture")
    said = {
        "command": "audiossl suite analyse <b>",
        "num_recordings": 20,
        "audio_s": 90.0,
        "views": [
            {"name": "mel", "figure": "mel.png", "notes": ["1,000 frames."]},
            {"name": "a<i>b", "figure": "../../../suite.json", "notes": []},
        ],
        "encoders": [
            {"written": "large", "name": "wave_large", "options": {}},
            {"written": "large, random", "name": "wave_large", "options": {"weights": "random"}},
            {"written": "spectral", "name": "spectral", "options": {}},
        ],
        "peaks": [_peak("large", "mel", 0.5), _peak("spectral", "mel", None), _peak("large", "a<i>b", 0.75)],
        "grid": {"figures": ["all_layers_cka.png", "gone.png"]},
    }
    (folder / "analysis.json").write_text(json.dumps(said))
    return folder


@pytest.fixture
def small(tmp_path: Path) -> ResultsFolder:
    return make_results(tmp_path / "small", ["wave_large", "spectral", "spectral:random"], ["digits/keywords"])


def test_an_analysis_is_a_page_that_encoders_lead_to(small: ResultsFolder, tmp_path: Path) -> None:
    _write(small)
    site = build_site(small, tmp_path / "site").parent
    assert {path.name for path in (site / "analyses" / "digits").iterdir()} == {"mel.png", "all_layers_cka.png"}
    text = (site / "analyses" / "digits.html").read_text()
    page = Page(text)
    assert "../analyses/digits/mel.png" in page.addresses and "../upstreams/spectral.html" in page.addresses
    assert "suite.json" not in text and "gone.png" not in text
    assert "a&lt;i&gt;b" in text and "audiossl suite analyse &lt;b&gt;" in text
    assert "0.500" in text and "[0.400, 0.600]" in text and "large, random: +0.250 [0.125, 0.375]" in text
    assert 'href="analyses/digits.html"' in (site / "index.html").read_text()
    large = (site / "upstreams" / "wave_large.html").read_text()
    assert 'href="../analyses/digits.html"' in large and "0.750" in large
    random = (site / "upstreams" / "spectral_random.html").read_text()
    assert "analyses/digits.html" not in random  # it was not analysed


def test_a_page_goes_with_its_analysis(small: ResultsFolder, tmp_path: Path) -> None:
    folder = _write(small)
    site = build_site(small, tmp_path / "site").parent
    (folder / "analysis.json").unlink()
    build_site(small, tmp_path / "site")
    assert not list((site / "analyses").rglob("*.png")) and not (site / "analyses" / "digits.html").exists()
    assert "analyses/" not in (site / "index.html").read_text()


def test_a_damaged_analysis_is_named(small: ResultsFolder) -> None:
    (_write(small) / "analysis.json").write_text('{"views": [{}], "peaks": []}')
    with pytest.raises(AudiosslError, match=r"analysis.json is damaged or of another version; run `audiossl suite"):
        read_analyses(small)
