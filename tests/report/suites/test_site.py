"""A site is whole without a network or a script, and holds nothing but text of what others wrote."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from toys.reports import Page
from toys.suite_results import EVIL, KINDS, make_results

from audiossl.core.errors import AudiosslError, OutputError
from audiossl.experiments.suites.results import ResultsFolder
from audiossl.report.suites.site import build_site


@pytest.fixture(scope="module")
def site(made: ResultsFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_site(made, tmp_path_factory.mktemp("site")).parent


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, Page]:
    return {path.relative_to(site).as_posix(): Page(path.read_text("utf-8")) for path in site.rglob("*.html")}


def test_every_task_and_encoder_has_a_page(site: Path) -> None:
    assert len(list((site / "tasks").iterdir())) == len(KINDS)
    assert len(list((site / "upstreams").iterdir())) == 5
    assert {path.name for path in site.iterdir()} == {"index.html", "style.css", "site.js", "tasks", "upstreams"}


def test_every_address_leads_into_the_site(site: Path, pages: dict[str, Page]) -> None:
    for name, page in pages.items():
        for address in page.addresses:
            parts = urlsplit(address)
            if parts.scheme == "data":
                continue
            assert not parts.scheme and not parts.netloc, address
            target = (site / name).parent / unquote(parts.path) if parts.path else site / name
            assert target.is_file(), (name, address)
            # In charts, an address is an id too.
            found = target.resolve().relative_to(site.resolve()).as_posix()
            assert not parts.fragment or parts.fragment in pages[found].ids, (name, address)


def test_no_id_is_there_twice(pages: dict[str, Page]) -> None:
    for page in pages.values():
        assert len(page.ids) == len(set(page.ids))


def test_names_are_text(site: Path, pages: dict[str, Page]) -> None:
    for name, page in pages.items():
        assert page.tags["script"] == page.tags["h1"] == 1, name  # ours
    digits = (site / "tasks" / "digits_keywords.html").read_text("utf-8")
    assert EVIL not in digits and "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;" in digits


def test_without_a_script_everything_is_there(site: Path) -> None:
    page = (site / "index.html").read_text("utf-8")
    assert page.count('<figure data-view="') == 2 + len(KINDS)
    assert page.count('class="controls" hidden') == 1
    assert "hidden" not in page.split("<tbody>")[1].split("</tbody>")[0]
    assert 'href="#main"' in page and 'id="main"' in page


def test_hidden_characters_are_shown(tmp_path: Path) -> None:
    own = make_results(tmp_path / "own", ["wave_large", "spectral"], ["digits/keywords", "voices/verification"])
    for path in own.cells_path.glob("*/*/spectral/*.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), "upstream": "evil\u202ename\x1b<b>"}))
    first = build_site(own, tmp_path / "out")
    text = first.read_text("utf-8")
    assert "\u202e" not in text.split("<svg")[0] and "evil\\u202ename\\x1b&lt;b&gt;" in text


def test_pages_of_what_is_gone_go_and_what_is_not_ours_stays(tmp_path: Path) -> None:
    out = tmp_path / "out"
    own = make_results(tmp_path / "own", ["spectral"], ["digits/keywords", "reading/words"], broken="hf:broken")
    build_site(own, out)
    assert (out / "upstreams" / "hf_broken.html").is_file()
    (out / "upstreams" / "mine.html").write_text("my notes")
    for path in own.cells_path.glob("*/*/hf_broken/*.json"):
        path.unlink()
    build_site(own, out)
    assert not (out / "upstreams" / "hf_broken.html").exists()
    assert (out / "upstreams" / "mine.html").read_text() == "my notes"


def test_a_page_of_somebody_else_is_not_replaced(made: ResultsFolder, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("my home page")
    with pytest.raises(OutputError, match="no result of this command"):
        build_site(made, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="no folder"):
        build_site(made, tmp_path / "file")
    with pytest.raises(AudiosslError, match="holds no results"):
        build_site(tmp_path / "nothing", tmp_path / "out")
