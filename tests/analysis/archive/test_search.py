"""Search finds the pitch that is asked for, and novelty tells a sound that an archive has not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toys.archive import indexed, write_archive, write_tone

from audiossl.analysis.archive.index import ArchiveIndex
from audiossl.analysis.archive.search import novelty_of, reference_distances, search_index
from audiossl.core.errors import AudioError, ConfigError


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> ArchiveIndex:
    folder = tmp_path_factory.mktemp("archive")
    return indexed(write_archive(folder / "sound"), folder / "index")


def test_a_query_finds_recordings_of_its_pitch(index: ArchiveIndex, tmp_path: Path) -> None:
    query = write_tone(tmp_path / "query.wav", 1501, 0.5, seed=9)
    found = search_index(index, query, count=6)
    assert {Path(match.file).name.split("_")[0] for match in found} == {"1500"}
    assert [match.score for match in found] == sorted((match.score for match in found), reverse=True)
    # A part of a longer file is its own query.
    longer = write_tone(tmp_path / "long.wav", 3501, 2.0, seed=9)
    assert "3500" in search_index(index, longer, count=1, start_s=1.0, end_s=1.4)[0].file


def test_a_query_that_no_window_holds_is_refused(index: ArchiveIndex, tmp_path: Path) -> None:
    query = write_tone(tmp_path / "query.wav", 1500, 0.8)
    with pytest.raises(AudioError, match=r"query.wav lasts 0.800 s and the windows of .* 0.5 s.*--start-s and --end-s"):
        search_index(index, query)
    with pytest.raises(ConfigError, match="no part of"):
        search_index(index, query, start_s=0.9)
    with pytest.raises(ConfigError, match="--num 0"):
        search_index(index, query, count=0, end_s=0.4)


def test_what_an_archive_has_nothing_like_is_novel(index: ArchiveIndex, tmp_path: Path) -> None:
    write_tone(tmp_path / "known.wav", 1501, 0.5, seed=9)
    write_tone(tmp_path / "new.wav", 6500, 0.5, seed=9)
    found = {each.id: each for each in novelty_of(index, [str(tmp_path)], neighbours=3)}
    assert found["new"].distance > 2 * found["known"].distance
    assert found["new"].share_farther == 0
    assert found["known"].share_farther > 0
    with pytest.raises(ConfigError, match="--neighbours 36: .* has 36 window"):
        novelty_of(index, [str(tmp_path)], neighbours=36)


def test_the_scale_leaves_out_windows_of_the_same_recording() -> None:
    vectors = np.eye(4)[[0, 0, 1, 1]]
    assert reference_distances(vectors, ["a", "a", "b", "b"], 1).tolist() == [1, 1, 1, 1]
    assert reference_distances(vectors, ["a", "b", "a", "b"], 1).tolist() == [0, 0, 0, 0]
    assert reference_distances(vectors, ["a"] * 4, 1).tolist() == [0, 0, 0, 0]
    assert reference_distances(vectors, ["a"] * 4, 3) == pytest.approx(2 / 3)
