"""Clusters of tones are their pitches, by either method."""

from __future__ import annotations

from pathlib import Path

import pytest
from toys.archive import indexed, write_archive, write_tone

from audiossl.analysis.archive.clustering import cluster_index
from audiossl.analysis.archive.config import ClusterOptions
from audiossl.analysis.archive.index import ArchiveIndex
from audiossl.core.errors import ConfigError


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> ArchiveIndex:
    folder = tmp_path_factory.mktemp("archive")
    return indexed(write_archive(folder / "sound"), folder / "index")


@pytest.mark.parametrize("options", [ClusterOptions(), ClusterOptions("agglomerative", num_clusters=3)])
def test_clusters_are_pitches(index: ArchiveIndex, options: ClusterOptions) -> None:
    found = cluster_index(index, options)
    of_pitch: dict[str, set[int]] = {}
    for window, number in zip(index.windows, found.of, strict=True):
        of_pitch.setdefault(Path(window.file).name.split("_")[0], set()).add(int(number))
    assert all(len(numbers - {0}) >= 1 for numbers in of_pitch.values())
    assert not set.intersection(*({*numbers} - {0} for numbers in of_pitch.values()))
    assert sum(len(cluster.members) for cluster in found.clusters) == len(index.windows)
    sizes = [len(cluster.members) for cluster in found.clusters if cluster.number]
    assert sizes == sorted(sizes, reverse=True)
    assert [int(each) for each in cluster_index(index, options).of] == found.of.tolist()


def test_too_few_windows_are_refused(tmp_path: Path) -> None:
    write_tone(tmp_path / "sound" / "one.wav", 500, 0.5)
    with pytest.raises(ConfigError, match=r"has 1 window.s., too few for clusters"):
        cluster_index(indexed(tmp_path / "sound", tmp_path / "index"), ClusterOptions())
