"""Croissant: what a folder of manifests holds, as the JSON-LD that catalogues and loaders of data sets read.

Akhtar et al., Croissant: A Metadata Format for ML-Ready Datasets, 2024, https://arxiv.org/abs/2403.19546. The file
follows format 1.0, https://docs.mlcommons.org/croissant/docs/croissant-spec.html. Each manifest is a file with its
checksum and a set of records, whose fields say where in a row they are found. A row may have several supervisions, so
what they say is a list.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from audiossl.core.errors import ConfigError, ManifestError
from audiossl.core.files import file_sha256, is_url, write_json
from audiossl.core.outputs import check_out
from audiossl.core.terminal import progress
from audiossl.data.fields import SUPERVISION_FIELDS, read_field
from audiossl.data.manifests import manifests_beside, read_manifest
from audiossl.data.shards import INDEX

if TYPE_CHECKING:
    from lhotse.cut import Cut

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
# Name, column of the row, place in it, type, what it is.
_OF_ROWS = (
    ("id", "id", "", "sc:Text", "The name of the row."),
    ("audio", "recording", "$.sources[0].source", "sc:Text", "The sound file."),
    ("sample_rate", "recording", "$.sampling_rate", "sc:Integer", "Samples per second of the sound file."),
    ("start", "start", "", "sc:Float", "Where the row begins in the sound file, in seconds."),
    ("duration", "duration", "", "sc:Float", "How long the row is, in seconds."),
)
_TYPES: tuple[tuple[set[type], str], ...] = (
    ({bool}, "sc:Boolean"),
    ({int}, "sc:Integer"),
    ({int, float}, "sc:Float"),
    ({bool, int, float, str}, "sc:Text"),
)
_SPLITS = "splits"
_KINDS = {
    "train": "cr:TrainingSplit",
    "dev": "cr:ValidationSplit",
    "val": "cr:ValidationSplit",
    "validation": "cr:ValidationSplit",
    "test": "cr:TestSplit",
}


class DatasetDescription(NamedTuple):
    """What is to be said of the data beyond their rows. '' for what is not said.

    name, description: '' for the name of the folder, and for what can be counted.
    licence: a URL or a name. '' for those that the rows have in a column `licence` or `license`.
    url: the page of the data.
    citation: of their publication, at best as BibTeX.
    creator: the name of a person.
    published: a date such as 2026-11-27.
    version: of the data, such as 1.0.0.
    """

    name: str = ""
    description: str = ""
    licence: str = ""
    url: str = ""
    citation: str = ""
    creator: str = ""
    published: str = ""
    version: str = ""


class CroissantReport(NamedTuple):
    """What was written.

    path: of the file.
    num_rows: by split.
    fields: the names of the fields, of any split.
    left_out: columns whose values are neither text, numbers nor truth values.
    lacking: properties that Croissant asks for and nobody has said.
    licences: what rows say of theirs.
    """

    path: Path
    num_rows: dict[str, int]
    fields: list[str]
    left_out: list[str]
    lacking: list[str]
    licences: list[str]


class _Survey:
    """What the rows of a manifest have."""

    def __init__(self, path: Path) -> None:
        self.path, self.split = path, path.name.removesuffix(".gz").removesuffix(".jsonl")
        self.num_rows, self.seconds, self.num_without_licence = 0, 0.0, 0
        self.licences: set[str] = set()
        self.parts: set[str] = set()  # of rows as JSON
        self.types: dict[tuple[str, str], set[type]] = {}  # by place in a supervision and name
        for cut in progress(read_manifest(path), "Counting"):
            self._add(cut)

    def _add(self, cut: Cut) -> None:
        self.num_rows, self.seconds = self.num_rows + 1, self.seconds + cut.duration
        self.parts |= cut.to_dict().keys()
        licence = read_field(cut, "licence") or read_field(cut, "license")
        self.licences |= {licence} if licence else set()
        self.num_without_licence += licence is None
        for supervision in cut.supervisions:
            said = {(f"$.{name}", name): getattr(supervision, name) for name in SUPERVISION_FIELDS}
            said |= {(_custom_path(name), name): value for name, value in (supervision.custom or {}).items()}
            for place, value in said.items():
                if value is not None:
                    self.types.setdefault(place, set()).add(type(value))

    def fields(self) -> Iterator[dict[str, Any]]:
        """The fields of the records, as JSON-LD."""
        for name, column, path, kind, what in _OF_ROWS:
            if column in self.parts:
                yield self._field(name, kind, column, path) | {"description": what}
        yield {
            "@type": "cr:Field",
            "@id": f"{quote(self.split)}/split",
            "name": "split",
            "dataType": "sc:Text",
            "source": {
                "fileObject": {"@id": quote(self.path.name)},
                "extract": {"fileProperty": "filename"},
                # A loader may apply it twice: once where splits are joined, once where they are read.
                "transform": {"regex": r"^(.+?)(?:\.jsonl(?:\.gz)?)?$"},
            },
            "references": {"field": {"@id": f"{_SPLITS}/name"}},
        }
        for (path, name), kinds in sorted(self.types.items(), key=lambda item: item[0][::-1]):
            if kind := _type_of(kinds):
                yield self._field(self._free(name), kind, "supervisions", path) | {"repeated": True}

    def left_out(self) -> set[str]:
        """Names of columns that are no field."""
        return {name for (_, name), kinds in self.types.items() if not _type_of(kinds)}

    def _free(self, name: str) -> str:
        """The name of a column, or another one where a field of each row has it."""
        return f"custom.{name}" if name in {"split", *(each[0] for each in _OF_ROWS)} else name

    def _field(self, name: str, kind: str, column: str, path: str) -> dict[str, Any]:
        transform = {"transform": {"jsonPath": path}} if path else {}
        source = {"fileObject": {"@id": quote(self.path.name)}, "extract": {"column": column}, **transform}
        return {
            "@type": "cr:Field",
            "@id": f"{quote(self.split)}/{quote(name, safe='')}",
            "name": name,
            "dataType": kind,
            "source": source,
        }


def write_croissant(folder: str | Path, told: DatasetDescription, out: str | Path | None = None) -> CroissantReport:
    """Describe the manifests of a folder in a Croissant file. Equal manifests give an equal file.

    folder: of the manifests.
    told: what they do not say.
    out: the file. None for `croissant.json` beside them.
    Raises ConfigError for a licence that nobody has said and for a description that is none, ManifestError for
    a folder without manifests and for rows that are none, OutputError where the file cannot be written.
    """
    place = Path(folder)
    target = Path(out) if out else place / "croissant.json"
    _check_told(told)
    if not place.is_dir():
        raise ManifestError(f"There is no folder {place}; name the one that holds the manifests.")
    paths = [place / name for name in manifests_beside(place / "any") if name != INDEX]
    if not paths:
        raise ManifestError(f"{place} has no manifest (.jsonl or .jsonl.gz); make some with `audiossl data`.")
    check_out(target, "file", paths, begins=b'{\n  "@context"')
    found = [_Survey(path) for path in paths]
    for split in {each.split for each in found}:
        if sum(each.split == split for each in found) > 1:
            raise ManifestError(f"{place} has two manifests of {split}, .jsonl and .jsonl.gz; remove one of them.")
    made = _dataset(found, told, target)
    write_json(target, made)
    fields = dict.fromkeys(field["name"] for records in made["recordSet"][1:] for field in records["field"])
    asked = {"url": told.url, "creator": told.creator, "datePublished": told.published}
    return CroissantReport(
        target,
        {each.split: each.num_rows for each in found},
        list(fields),
        sorted(set().union(*(each.left_out() for each in found))),
        [name for name, said in asked.items() if not said],
        _licences_of(found),
    )


def _check_told(told: DatasetDescription) -> None:
    if told.url and not is_url(told.url):
        raise ConfigError(f"The url {told.url!r} is none; write for instance https://example.org/data.")
    try:
        date.fromisoformat(told.published or "2000-01-01")
    except ValueError as error:
        raise ConfigError(f"The date {told.published!r} is none; write for instance 2026-11-27.") from error


def _dataset(found: list[_Survey], told: DatasetDescription, target: Path) -> dict[str, Any]:
    """The whole file."""
    said = {
        "name": told.name or found[0].path.absolute().parent.name,
        "description": told.description or _counted(found),
        "license": _licences(found, told),
        "url": told.url,
        "citeAs": told.citation,
        "creator": {"@type": "Person", "name": told.creator} if told.creator else "",
        "datePublished": told.published,
        "version": told.version,
    }
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        **{name: value for name, value in said.items() if value},
        "distribution": [_file(each.path, target) for each in found],
        "recordSet": [_splits([each.split for each in found]), *map(_records, found)],
    }


def _licences(found: list[_Survey], told: DatasetDescription) -> str | list[str]:
    """What was told, else what all rows say."""
    if told.licence:
        return told.licence
    lacking = sum(each.num_without_licence for each in found)
    if lacking:
        num_rows = sum(each.num_rows for each in found)
        raise ConfigError(
            f"Under which licence are the data? {lacking} of {num_rows} rows do not say it in a column `licence`; give "
            f"it with --licence, for instance https://creativecommons.org/licenses/by/4.0/."
        )
    names = _licences_of(found)
    return names[0] if len(names) == 1 else names


def _licences_of(found: list[_Survey]) -> list[str]:
    return sorted(set().union(*(each.licences for each in found)))


def _counted(found: Iterable[_Survey]) -> str:
    return "Recordings: " + ", ".join(
        f"{each.split} {each.num_rows} rows, {each.seconds / 3600:.2f} hours" for each in found
    )


def _file(path: Path, target: Path) -> Mapping[str, str]:
    beside = os.path.relpath(path.absolute(), target.absolute().parent)
    return {
        "@type": "cr:FileObject",
        "@id": quote(path.name),
        "name": path.name,
        "contentUrl": Path(beside).as_posix(),
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": "application/jsonlines",
        "sha256": file_sha256(path),
    }


def _splits(names: list[str]) -> dict[str, Any]:
    """The set of the splits, by which loaders know what is for training. Those of other names have no URL."""
    types = {f"{_SPLITS}/name": "sc:Text", f"{_SPLITS}/url": "sc:URL"}
    return {
        "@type": "cr:RecordSet",
        "@id": _SPLITS,
        "name": _SPLITS,
        "dataType": "cr:Split",
        "key": {"@id": f"{_SPLITS}/name"},
        "field": [
            {"@type": "cr:Field", "@id": key, "name": key.split("/")[1], "dataType": kind}
            for key, kind in types.items()
        ],
        "data": [{f"{_SPLITS}/name": name, f"{_SPLITS}/url": _KINDS.get(name)} for name in names],
    }


def _records(found: _Survey) -> dict[str, Any]:
    split = quote(found.split)
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": found.split,
        "key": {"@id": f"{split}/id"},
        "field": list(found.fields()),
    }


def _type_of(kinds: set[type]) -> str:
    """The narrowest type that holds all values. '' for none."""
    return next((name for allowed, name in _TYPES if kinds <= allowed), "")


def _custom_path(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"$.custom['{escaped}']"
