"""The site of a suite: all pages, links that lead somewhere, nothing of the data as markup, nothing left of before."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from toys.suite_results import EVIL

from audiossl.core.errors import AudiosslError, OutputError
from audiossl.experiments.suites.results import ResultsFolder
from audiossl.report.suites.site import build_site


@pytest.fixture(scope="module")
def site(made: ResultsFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_site(made, tmp_path_factory.mktemp("site") / "out").parent


class Links(HTMLParser):
    """Where the links of a page lead, and what it has of scripts and headings."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.tags: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("href", "src") and value and not value.startswith("data:"):
                self.targets.append(value)


def test_there_is_a_page_for_each_task_and_each_encoder_and_every_link_leads_to_one(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len([page for page in pages if page.parent.name == "tasks"]) == 5
    assert len([page for page in pages if page.parent.name == "upstreams"]) == 5
    for page in pages:
        links = Links(page)
        assert links.tags.count("h1") == 1
        for target in links.targets:
            assert not re.match(r"https?:|//", target), f"{page}: {target} needs a network"
            path = target.partition("#")[0]
            assert not path or (page.parent / path).is_file(), f"{page}: {target}"


def test_labels_are_text(site: Path) -> None:
    pages = [page.read_text(encoding="utf-8") for page in site.rglob("*.html")]
    assert not any(EVIL in page for page in pages)
    assert any("&lt;script&gt;alert" in page for page in pages)


def test_the_table_is_there_without_a_script(site: Path) -> None:
    page = (site / "index.html").read_text(encoding="utf-8")
    assert "wave_large" in page
    assert re.search(r"<table[^>]*>.*wave_large.*</table>", page, re.DOTALL)
    assert "hf:broken" in page  # which could not be computed


def test_pages_of_before_are_removed_and_other_files_are_not_touched(made: ResultsFolder, tmp_path: Path) -> None:
    out = tmp_path / "site"
    build_site(made, out)
    old = out / "tasks" / "old.html"
    old.write_text(next((out / "tasks").glob("*.html")).read_text(encoding="utf-8"), encoding="utf-8")
    notes = out / "notes.txt"
    notes.write_text("mine")
    build_site(made, out)
    assert not old.exists()
    assert notes.read_text() == "mine"


def test_a_folder_without_results_or_a_file_in_the_way_is_one_sentence(made: ResultsFolder, tmp_path: Path) -> None:
    with pytest.raises(AudiosslError, match="holds no results"):
        build_site(tmp_path, tmp_path / "site")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        build_site(made, tmp_path / "file")
