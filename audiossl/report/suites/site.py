"""The site of a suite: a first page, a page for each task and each encoder. Files alone: no server and no network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from audiossl.core.files import atomic_write
from audiossl.core.outputs import check_out
from audiossl.core.untrusted import printable
from audiossl.experiments.suites.results import ResultsFolder
from audiossl.report.suites.index_page import index_facts
from audiossl.report.suites.layers_page import Analysis, analysis_facts, of_encoder, read_analyses
from audiossl.report.suites.parts import SitePlaces
from audiossl.report.suites.reading import SuiteResults, read_results
from audiossl.report.suites.standings import Standings, standings
from audiossl.report.suites.task_page import task_facts
from audiossl.report.suites.upstream_page import upstream_facts

_HERE = Path(__file__).parent
_BEGINNING = b'<!doctype html>\n<html lang="en">\n<head>\n'  # of a page of ours


def build_site(results: ResultsFolder | Path | str, out: Path) -> Path:
    """Write the site about a results folder to `out`. Returns the path of its first page.

    results: the folder.
    out: where the pages are written, in the place of those that were there.
    Raises AudiosslError for a folder without results, OutputError for pages that cannot be written.
    """
    first = Path(out) / "index.html"
    check_out(Path(out), "folder")
    check_out(first, "file", begins=_BEGINNING)
    found = read_results(results)
    made, analyses = standings(found), read_analyses(found.folder)
    places = SitePlaces(found, made, [each.name for each in analyses])
    pages = dict(_pages(found, made, places, analyses))
    assets = {
        "style.css": (_HERE.parent / "style.css").read_text("utf-8") + (_HERE / "site.css").read_text("utf-8"),
        "site.js": (_HERE / "site.js").read_text("utf-8"),
    }
    pictures = {
        f"{unquote(places.pictures(each.name))}/{picture.name}": picture.read_bytes()
        for each in analyses
        for picture in each.pictures
    }
    texts = {name: text.encode("utf-8") for name, text in [*assets.items(), *pages.items()]}
    # The first page comes last: where it is new, the others are there.
    for name, content in [*pictures.items(), *texts.items()]:
        path = Path(out) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            temporary.write_bytes(content)
    _remove_others(Path(out), {*pages, *pictures})
    return first


def _pages(
    results: SuiteResults, made: Standings, places: SitePlaces, analyses: Sequence[Analysis]
) -> Iterator[tuple[str, str]]:
    """(path, text) of each page."""
    loader = FileSystemLoader([_HERE, _HERE.parent])
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, finalize=_finalized
    )
    environment.globals["created"] = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")

    def page(template: str, root: str, facts: dict[str, Any]) -> str:
        return environment.get_template(template).render(facts, root=root)

    for name, task in made.tasks.items():
        if task.figures:
            yield f"tasks/{places.tasks[name]}", page("task.html", "../", task_facts(results, made, places, name))
    for name in results.upstreams:
        facts = {**upstream_facts(results, made, places, name), "analyses": of_encoder(analyses, places, name)}
        yield f"upstreams/{places.upstreams[name]}", page("upstream.html", "../", facts)
    for each in analyses:
        yield f"analyses/{places.analyses[each.name]}", page("layers.html", "../", analysis_facts(each, places))
    named = [{"name": each.name, "href": places.analysis(each.name)} for each in analyses]
    yield "index.html", page("index.html", "", {**index_facts(results, made, places), "analyses": named})


def _finalized(value: Any) -> Any:
    """Text as a page prints it: what is hidden in an id shows. Markup of ours stays."""
    return printable(value) if type(value) is str and "\n" not in value else value


def _remove_others(out: Path, pages: set[str]) -> None:
    """Pages of ours about what is no longer in the results, and the pictures of such pages."""
    for folder in ("tasks", "upstreams", "analyses"):
        for path in (out / folder).glob("*.html"):
            if f"{folder}/{path.name}" not in pages and path.read_bytes().startswith(_BEGINNING):
                for picture in path.with_suffix("").glob("*.png"):
                    picture.unlink()
                path.unlink()
