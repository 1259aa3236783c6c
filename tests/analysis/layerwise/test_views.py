"""What layers are compared with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lhotse import CutSet
from toys.layerwise import write_speakers

from audiossl.analysis.layerwise.config import AnalyseOptions
from audiossl.analysis.layerwise.views import AskedView, parse_views, read_items
from audiossl.core.errors import ConfigError, LabelError
from audiossl.data.manifests import read_manifest


@pytest.fixture(scope="module")
def cuts(tmp_path_factory: pytest.TempPathFactory) -> CutSet:
    return read_manifest(write_speakers(tmp_path_factory.mktemp("speakers"))).to_eager()


def test_names_are_read() -> None:
    assert parse_views("layers, mel,speakers,calls,phones=p.ctm,words,column:age") == [
        AskedView("layers", "frames"),
        AskedView("mel", "frames"),
        AskedView("speakers", "column", "speaker"),
        AskedView("calls", "segments", ""),
        AskedView("phones", "segments", "p.ctm"),
        AskedView("words", "segments", "words"),
        AskedView("age", "column", "age"),
    ]


@pytest.mark.parametrize("text", ["", "col:age", "column:", "=x", "mel,mel", "phones=a,phones=b"])
def test_what_is_no_view_is_said(text: str) -> None:
    with pytest.raises(ConfigError, match="--with"):
        parse_views(text)


def test_a_column_of_words_is_classes_and_one_of_numbers_a_number(cuts: CutSet) -> None:
    options = AnalyseOptions()
    speakers = read_items(AskedView("speakers", "column", "speaker"), cuts, options)
    assert speakers.classes == ["s0", "s1", "s2", "s3"]
    assert speakers.values.shape == (16, 4)
    assert speakers.labels is not None
    age = read_items(AskedView("age", "column", "age"), cuts, options)
    assert age.labels is None
    assert age.values.shape == (16, 1)
    assert sorted(set(age.values[:, 0])) == [20, 27, 34, 41]


def test_a_column_of_lists_is_an_embedding(cuts: CutSet) -> None:
    rows = CutSet.from_cuts(cut.with_custom("vector", [1.0, len(cut.id) + index]) for index, cut in enumerate(cuts))
    found = read_items(AskedView("vector", "column", "vector"), rows, AnalyseOptions())
    assert found.values.shape == (16, 2)
    bad = CutSet.from_cuts(
        cut.with_custom("vector", [1.0] if index == 3 else [1.0, index]) for index, cut in enumerate(cuts)
    )
    with pytest.raises(LabelError, match="'vector' has 2 number"):
        read_items(AskedView("vector", "column", "vector"), bad, AnalyseOptions())


def test_one_class_missing_columns_and_equal_numbers_are_said(cuts: CutSet) -> None:
    options = AnalyseOptions()
    one = cuts.filter(lambda cut: cut.supervisions[0].speaker == "s1").to_eager()
    with pytest.raises(LabelError, match="one class, 's1'"):
        read_items(AskedView("speakers", "column", "speaker"), one, options)
    with pytest.raises(LabelError, match="one value in all rows"):
        read_items(AskedView("age", "column", "age"), one, options)
    with pytest.raises(LabelError, match="nothing in the column 'accent'"):
        read_items(AskedView("accent", "column", "accent"), cuts, options)


def test_segments_are_read_rare_labels_left_out_and_many_drawn(cuts: CutSet, tmp_path: Path) -> None:
    folder = Path(str(cuts[0].recording.sources[0].source)).parent
    asked = AskedView("phones", "segments", str(folder / "phones.ctm"))
    every = read_items(asked, cuts, AnalyseOptions(ignore=""))
    assert len(every.segments) == 16 * 8
    assert every.classes == ["a", "b", "c"]
    assert np.array_equal(every.values.argmax(1), every.labels)
    drawn = read_items(asked, cuts, AnalyseOptions(most_items=30))
    again = read_items(asked, cuts, AnalyseOptions(most_items=30))
    assert len(drawn.segments) == 30
    assert drawn.segments == again.segments
    two = read_items(asked, cuts, AnalyseOptions(most_classes=2))
    assert len(two.classes) == 2
    assert "are left out" in two.remark
    with pytest.raises(LabelError, match="two are needed"):
        read_items(asked, cuts, AnalyseOptions(most_classes=1))


def test_an_alignment_of_another_rate_is_said(cuts: CutSet, tmp_path: Path) -> None:
    folder = Path(str(cuts[0].recording.sources[0].source)).parent
    lines = (folder / "phones.ctm").read_text().split("\n")
    stretched = [f"{a} {b} {float(c) * 2} 0.2 {e}" for a, b, c, _, e in (line.split() for line in lines if line)]
    (tmp_path / "slow.ctm").write_text("\n".join(stretched) + "\n")
    with pytest.raises(LabelError, match="another rate"):
        read_items(AskedView("phones", "segments", str(tmp_path / "slow.ctm")), cuts, AnalyseOptions())
