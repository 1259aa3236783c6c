"""Alignments of libri_mini: what a CTM file says, the same in any order, and what cannot be aligned."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lhotse import MonoCut, Recording, SupervisionSegment
from toys.recipes import RECIPES, needs_recordings

from audiossl.core.errors import AudiosslError, LabelError
from audiossl.data.ctm import read_ctm
from audiossl.data.sources import cuts_from_csv

MODULE: dict[str, Any] = runpy.run_path(str(RECIPES / "libri_mini" / "prepare_alignments.py"))
Said, Found = MODULE["Said"], MODULE["Found"]


def row(text: str) -> MonoCut:
    recording = Recording("talk", [], 16000, 32000, 2.0)
    return MonoCut(
        "talk", 0.0, 2.0, 0, supervisions=[SupervisionSegment("talk", "talk", 0.0, 2.0, text=text)], recording=recording
    )


def test_frames_become_seconds_from_the_beginning_to_the_end(tmp_path: Path) -> None:
    parts = [Said(0, 50, "SIL"), Said(50, 100.5, "AH"), Said(100.5, 200, "SIL")]
    (tmp_path / "phones.ctm").write_text("".join(MODULE["ctm_lines"](row("a"), parts)))
    found = read_ctm(tmp_path / "phones.ctm")["talk"]
    # The border of frames 49 and 50 lies between the middles of their windows: 0.49 and 0.5 s, and half of 25.625 ms.
    assert found.starts_s.tolist() == pytest.approx([0.0, 0.5078, 1.0128], abs=1e-4)
    assert found.ends_s.tolist() == pytest.approx([0.5078, 1.0128, 2.0], abs=1e-4)


def test_what_was_left_out_at_the_beginning_makes_all_else_later() -> None:
    found = MODULE["_later"](Found([Said(3, 5, "a")], [Said(0, 3, "SIL"), Said(3, 5, "AH")]), 7, 6)
    assert found == Found([Said(10, 12, "a")], [Said(6, 10, "SIL"), Said(10, 12, "AH")])


def test_words_without_a_pronunciation_are_named() -> None:
    pytest.importorskip("pocketsphinx")
    aligner = MODULE["Aligner"]([MODULE["LEXICON"]])
    aligner.check_words([row("THE GUT AND THE GULLET"), row("LIGATURES")])
    with pytest.raises(LabelError, match="2 of 3 words have no pronunciation: brrk, zzyzx.*--lexicon"):
        aligner.check_words([row("THE ZZYZX BRRK")])


def test_without_the_package_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(AudiosslError, match=r"pip install audiossl-toolkit\[align\]"):
        MODULE["Aligner"]([])


@pytest.fixture
def recordings() -> Iterator[Any]:
    """Three short ones, of which PocketSphinx's search for states fails for some."""
    cuts = cuts_from_csv(Path(os.environ["AUDIOSSL_DATA"]) / "libri_mini" / "manifest.csv")["test"]
    names = ("1688-142285-0004", "1688-142285-0006", "1998-15444-0008")
    return iter([cut for cut in cuts if cut.id.endswith(names)])


@pytest.mark.slow
@needs_recordings
def test_alignments_of_recordings_depend_on_no_other_and_lie_within(recordings: Any) -> None:
    pytest.importorskip("pocketsphinx")
    cuts = list(recordings)
    first, second = (MODULE["Aligner"]([MODULE["LEXICON"]]) for _ in range(2))
    forward = [first(cut) for cut in cuts]
    assert forward == [second(cut) for cut in cuts[::-1]][::-1]
    for cut, found in zip(cuts, forward, strict=True):
        assert [word.label for word in found.words] == cut.supervisions[0].text.lower().split()
        assert {phone.label for phone in found.phones} <= set(MODULE["PHONES"])
        starts = [phone.start for phone in found.phones]
        assert starts == sorted(starts) and starts[0] == 0
        assert found.phones[-1].end * 0.01 == pytest.approx(cut.duration, abs=0.05)
    long = cuts[2].map_supervisions(lambda said: SupervisionSegment(said.id, "r", 0, 1, text="the " * 200))
    with pytest.raises(LabelError, match="cannot be aligned with its sound"):
        first(long)
