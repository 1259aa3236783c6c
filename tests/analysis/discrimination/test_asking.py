"""Which segments are compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from lhotse import CutSet
from toys.tones import spoken_rows, tone_row

from audiossl.analysis.discrimination.asking import ask
from audiossl.analysis.discrimination.config import DiscriminationOptions
from audiossl.core.errors import LabelError, ManifestError
from audiossl.data.manifests import read_manifest

OPTIONS = DiscriminationOptions()


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Eight recordings of three tones each, two of each of four speakers."""
    return spoken_rows(tmp_path)


def test_pairs_and_cells_of_all_segments(rows: Path) -> None:
    found = ask([rows], OPTIONS)
    assert (len(found.segments), found.clusters.num, found.clusters.kind) == (24, 4, "speaker")
    # 8 segments of each tone: 28 pairs of one, 4 of which by one speaker.
    assert (int(found.pairs["ap"].same.sum()), len(found.pairs["ap"].same)) == (84, 276)
    assert (int(found.pairs["ap_across"].same.sum()), len(found.pairs["ap_across"].same)) == (72, 264)
    assert {name: len(cells) for name, cells in found.cells.items()} == {"abx_within": 24, "abx_across": 72}
    assert found.left_out == {}


def test_contexts_are_those_of_the_recording_before_anything_is_left_out(rows: Path, tmp_path: Path) -> None:
    """Between two low tones, which do not count themselves, is a mid or a high one. Elsewhere nothing is alike."""
    options = replace(OPTIONS, context="neighbours", scores="abx", ignore="low")
    made = []
    for name in ("a0", "a1", "b0", "b1"):
        for middle in ("mid", "high"):
            row = tone_row(tmp_path, f"{name}{middle}", ["low", middle, "low"])
            row.supervisions = row.supervisions[1:]
            made.append(row)
    CutSet.from_cuts(made).to_file(tmp_path / "between.jsonl.gz")
    found = ask([tmp_path / "between.jsonl.gz"], options)
    assert {cell.context for cells in found.cells.values() for cell in cells} == {"low low"}
    assert {name: len(cells) for name, cells in found.cells.items()} == {"abx_within": 4, "abx_across": 4}
    with pytest.raises(LabelError, match=r"Nothing of .* can be compared: ABX within speakers needs"):
        ask([rows], options)


def test_what_cannot_be_compared_is_said_and_the_rest_is(rows: Path, tmp_path: Path) -> None:
    one = tmp_path / "one.jsonl.gz"
    CutSet.from_cuts([cut for cut in read_manifest(rows) if cut.supervisions[0].speaker == "a"]).to_file(one)
    found = ask([one], OPTIONS)
    assert set(found.pairs) == {"ap"}
    assert set(found.cells) == {"abx_within"}
    assert "needs pairs of one word" in found.left_out["ap_across"]
    assert "ABX across speakers needs" in found.left_out["abx_across"]
    with pytest.raises(LabelError, match=r"Nothing of .* can be compared: Telling same from different"):
        ask([one], replace(OPTIONS, scores="ap", ignore="low,mid"))


def test_bad_input_is_one_sentence(rows: Path, tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="No segment is left to compare"):
        ask([rows], replace(OPTIONS, shortest_s=1.0))
    with pytest.raises(ManifestError, match="is in the manifests twice"):
        ask([rows, rows], OPTIONS)
    with pytest.raises(
        LabelError, match="Speaker a has label=low and label=mid, and intervals leave out whole speakers"
    ):
        ask([rows], replace(OPTIONS, group="label"))
    cuts = list(read_manifest(rows))
    for said in cuts[0].supervisions:
        said.speaker = None
    CutSet.from_cuts(cuts).to_file(tmp_path / "without.jsonl.gz")
    with pytest.raises(LabelError, match="has no 'speaker', which is needed for telling speakers apart"):
        ask([tmp_path / "without.jsonl.gz"], OPTIONS)


def test_more_segments_than_wanted_are_drawn_and_rare_labels_left_out(rows: Path) -> None:
    found = ask([rows], replace(OPTIONS, most_items=10))
    assert len(found.segments) == 10
    again = ask([rows], replace(OPTIONS, most_items=10))
    assert again.segments == found.segments
    with pytest.raises(LabelError, match="No segment is left"):
        ask([rows], replace(OPTIONS, least_items=9))
