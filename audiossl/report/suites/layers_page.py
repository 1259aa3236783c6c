"""The pages of layer-wise analyses in a site: figures, and for each view where an encoder shares most with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from audiossl.core.errors import AudiosslError
from audiossl.core.files import read_json
from audiossl.experiments.suites.encoders import parse_encoder
from audiossl.experiments.suites.results import ResultsFolder
from audiossl.report.runs import is_inside
from audiossl.report.suites.parts import SitePlaces


class Analysis(NamedTuple):
    """What `audiossl suite analyse` left in a results folder.

    name: of the analysis.
    folder: where it lies.
    said: its analysis.json.
    """

    name: str
    folder: Path
    said: Mapping[str, Any]

    @property
    def pictures(self) -> list[Path]:
        """Its figures, none of which leads out of the folder."""
        named = [view["figure"] for view in self.said["views"]] + list((self.said.get("grid") or {}).get("figures", []))
        found = [self.folder / "figures" / Path(str(name)).name for name in named]
        return [path for path in found if path.is_file() and is_inside(path, self.folder)]


def read_analyses(results: ResultsFolder) -> list[Analysis]:
    """All analyses of a results folder that are finished, by name. Raises AudiosslError for one that is damaged."""
    found = []
    for path in sorted(results.analyses_path.glob("*/analysis.json")):
        analysis = Analysis(path.parent.name, path.parent, read_json(path))
        try:
            _ = [analysis.pictures, list(_rows(analysis))]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise AudiosslError(
                f"{path} is damaged or of another version; run `audiossl suite analyse` again."
            ) from error
        found.append(analysis)
    return found


def analysis_facts(analysis: Analysis, places: SitePlaces) -> dict[str, Any]:
    """All that the template of an analysis shows, by name.

    analysis: the analysis.
    places: of the other pages.
    """
    said, there = analysis.said, {path.name for path in analysis.pictures}
    rows = list(_rows(analysis))
    sections = [
        {
            "name": view["name"],
            "figure": view["figure"] if view["figure"] in there else "",
            "notes": " ".join(view["notes"]),
            "rows": [row for row in rows if row["view"] == view["name"]],
        }
        for view in said["views"]
    ]
    return {
        "name": analysis.name,
        "href": places.pictures(analysis.name),
        "num_recordings": said["num_recordings"],
        "minutes": said["audio_s"] / 60,
        "upstreams": [
            {"name": label, "href": places.upstream(label)} for label in places.upstreams if _called(analysis, label)
        ],
        "sections": sections,
        "grids": [name for name in (said.get("grid") or {}).get("figures", []) if name in there],
        "command": said.get("command", ""),
    }


def of_encoder(analyses: Sequence[Analysis], places: SitePlaces, label: str) -> list[dict[str, Any]]:
    """Of each analysis that has an encoder: name, address, and where the encoder shares most with what.

    analyses: of the results.
    places: of the pages.
    label: of the encoder.
    """
    found = []
    for analysis in analyses:
        if called := _called(analysis, label):
            own = [row for row in _rows(analysis) if row["encoder"] == called]
            found.append({"name": analysis.name, "href": places.analysis(analysis.name), "rows": own})
    return found


def _called(analysis: Analysis, label: str) -> str:
    """What an analysis calls the encoder of a suite, '' where it has not got it."""
    choice = parse_encoder(label)
    for each in analysis.said["encoders"]:
        if (each["name"], each["options"]) == (choice.name, choice.options):
            return str(each["written"])
    return ""


def _rows(analysis: Analysis) -> Iterator[dict[str, Any]]:
    for peak in analysis.said["peaks"]:
        yield {
            "view": peak["view"],
            "measure": peak["title"],
            "encoder": peak["encoder"],
            "layer": peak["layer"],
            "figure": _number(peak["value"]),
            "interval": _interval(peak),
            "minus": [
                f"{name}: {_number(each['value'], '+')} {_interval(each)}" for name, each in peak["minus"].items()
            ],
        }


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.3f}"


def _interval(ends: Mapping[str, Any]) -> str:
    return "" if ends["low"] is None or ends["high"] is None else f"[{ends['low']:.3f}, {ends['high']:.3f}]"
