"""The page of clusters: every example can be played and seen, and its facts are those of the clusters."""

from __future__ import annotations

import base64
import io
import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
import soundfile
from toys.archive import indexed, write_archive

from audiossl.analysis.archive.clustering import cluster_index
from audiossl.analysis.archive.config import ClusterOptions
from audiossl.core.errors import OutputError
from audiossl.core.pictures import is_picture
from audiossl.report.cluster_page import check_cluster_page, write_cluster_page


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.sounds: list[str] = []
        self.pictures: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "audio":
            self.sounds.append(str(found["src"]))
        if tag == "img":
            self.pictures.append(str(found["src"]))
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_examples_can_be_heard_and_seen(tmp_path: Path) -> None:
    index = indexed(write_archive(tmp_path / "sound"), tmp_path / "index")
    options = ClusterOptions("agglomerative", num_clusters=3, examples=2)
    page = write_cluster_page(index, cluster_index(index, options), options, tmp_path / "page")
    reader = Reader()
    reader.feed(page.read_text(encoding="utf-8"))
    assert reader.open == []
    assert len(reader.sounds) == 6
    assert [name for name in reader.pictures if not name.startswith("data:")] == ["map.png"]
    assert is_picture(tmp_path / "page" / "map.png")
    assert base64.b64decode(reader.pictures[1].split(",")[1]).startswith(b"\x89PNG")
    sound, rate = soundfile.read(io.BytesIO(base64.b64decode(reader.sounds[0].split(",")[1])))
    assert (len(sound), rate) == (8000, 16000)
    facts = json.loads((tmp_path / "page" / "clusters.json").read_text())
    assert len(facts["windows"]) == 36
    assert sum(cluster["num_windows"] for cluster in facts["clusters"]) == 36


def test_a_page_of_somebody_else_stays(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("my page")
    with pytest.raises(OutputError, match="no result of this command"):
        check_cluster_page(tmp_path)
