"""An index: the nearest are those of a comparison by hand, and what does not belong to it is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toys.archive import indexed, write_archive

from audiossl.analysis.archive.index import ArchiveIndex, open_index
from audiossl.core.errors import ConfigError, OutputError
from audiossl.encoders.kept import Identified, load_identified


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> ArchiveIndex:
    folder = tmp_path_factory.mktemp("archive")
    return indexed(write_archive(folder / "sound"), folder / "index")


def test_what_is_read_is_what_was_built(index: ArchiveIndex) -> None:
    again = open_index(index.folder)
    assert again.windows == index.windows
    assert again.facts == index.facts
    assert np.array_equal(again.all_vectors(), index.all_vectors())
    assert index.facts.num_windows == len(index.windows) == 9 * 4
    assert np.allclose(np.linalg.norm(index.all_vectors(), axis=1), 1, atol=1e-6)
    assert np.abs(index.all_vectors()).max() < 1


def test_the_nearest_are_those_of_numpy_without_windows_that_share_sound(index: ArchiveIndex) -> None:
    vectors = index.all_vectors()
    found = index.nearest(vectors[5], 8)
    cosines = vectors @ vectors[5]
    taken: list[int] = []
    for place in np.argsort(-cosines, kind="stable"):
        if not any(index.windows[place].overlaps(index.windows[other]) for other in taken):
            taken.append(int(place))
    assert np.allclose([match.score for match in found], cosines[taken[:8]], atol=1e-5)
    assert (found[0].file, found[0].start_s) == (index.windows[5].file, index.windows[5].start_s)
    assert found[0].score == pytest.approx(1, abs=1e-5)


def test_another_encoder_is_refused(index: ArchiveIndex) -> None:
    other = load_identified("tera_mini", {})
    with pytest.raises(ConfigError, match=r"is an index of tera_mini with fingerprint .* cannot be compared"):
        index.check_encoder(other, "tera_mini")
    renamed = replace(index, facts=replace(index.facts, upstream_options={}))
    with pytest.raises(ConfigError, match="cannot be compared"):
        renamed.encoder()
    assert isinstance(index.encoder(), Identified)


def test_damage_and_other_folders_are_told(index: ArchiveIndex, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no index in"):
        open_index(tmp_path)
    (tmp_path / "work.txt").write_text("mine")
    with pytest.raises(OutputError, match="other files and no index"):
        indexed(index.folder.parent / "sound", tmp_path)
    copy = indexed(index.folder.parent / "sound", index.folder.parent / "copy")
    (copy.folder / "windows.csv").write_text("file,start_s,end_s,recording,label\n")
    with pytest.raises(ConfigError, match="damaged index"):
        open_index(copy.folder)
    (copy.folder / "vectors.usearch").write_bytes(b"")
    with pytest.raises(ConfigError, match="damaged index"):
        open_index(copy.folder)


def test_without_the_library_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "usearch.index", None)
    monkeypatch.setitem(__import__("sys").modules, "usearch", None)
    with pytest.raises(ConfigError, match=r"pip install audiossl-toolkit\[search\]"):
        open_index(tmp_path)
