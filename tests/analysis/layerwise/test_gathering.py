"""One pass: sums are those of the states themselves, an interrupted pass goes on, bad states are said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from toys.layerwise import write_speakers

from audiossl.analysis.layerwise import gathering
from audiossl.analysis.layerwise.config import AnalyseOptions
from audiossl.analysis.layerwise.gathering import Material, gather, mel_at_frames
from audiossl.analysis.layerwise.study import read_material
from audiossl.analysis.layerwise.views import parse_views
from audiossl.core.errors import AudioError, ConfigError
from audiossl.encoders.kept import Identified, load_identified
from audiossl.encoders.loading import load_upstream
from audiossl.features.segment_states import segment_states
from audiossl.features.states import row_states
from audiossl.metrics.moment_sums import PairSums

OPTIONS = AnalyseOptions(moments=40, ignore="")


@pytest.fixture(scope="module")
def encoder() -> Identified:
    found = load_identified("tera_mini", {"weights": "random"})
    found.upstream.eval()
    return found


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    folder = tmp_path_factory.mktemp("speakers")
    manifest = write_speakers(folder)
    return read_material([manifest], parse_views(f"layers,mel,phones={folder / 'phones.ctm'}"), OPTIONS)


def test_a_pass_keeps_the_sums_of_all_frames(encoder: Identified, material: Material, tmp_path: Path) -> None:
    from lhotse import CutSet

    mel = load_upstream("log_mel").eval()
    found = gather(encoder, [0, 2], material, tmp_path, mel=mel)
    cuts = CutSet.from_cuts(material.cuts)
    rows = {cut.id: (cut, states) for cut, states in row_states(encoder.upstream, cuts, [0, 2])}
    frames = {n: np.concatenate([rows[cut.id][1][n].numpy() for cut in material.cuts]) for n in (0, 2)}
    of_mel = [mel_at_frames(mel, cut, encoder.upstream, len(rows[cut.id][1][0])) for cut in material.cuts]
    for view, values in (("layers", frames[0]), ("mel", np.concatenate(of_mel))):
        cells = found.frame_cells(view, 2, np.arange(4) % 3)
        assert [(cell.group, cell.fold) for cell in cells] == [(0, 0), (1, 1), (2, 2), (3, 0)]
        total = cells[0].sums.plus(cells[1].sums).plus(cells[2].sums).plus(cells[3].sums)
        expected = PairSums.of(frames[2], values)
        assert np.allclose(total.covariance, expected.covariance, atol=1e-6)
        assert total.both.fourth == pytest.approx(expected.both.fourth, rel=1e-6)
    items = material.items[0]
    pooled = segment_states(encoder.upstream, cuts, items.segments, [2])
    assert np.allclose(found.vectors(items, 2), pooled.layers[2], atol=1e-5)
    assert len(found.at_moments("2")) == len(found.at_moments("mel")) == len(material.groups_of_moments) == 40
    # Row by row, whatever the order in which rows were encoded.
    last = material.cuts[-1]
    moment_s, number = material.moments[last.id].times_s[0], material.moments[last.id].places[0]
    nearest = np.abs(np.arange(len(rows[last.id][1][2])) * 0.01 - moment_s).argmin()
    assert np.allclose(found.at_moments("2")[number], rows[last.id][1][2][nearest], atol=1e-5)
    assert material.groups_of_moments[number] == material.clusters.of[-1]


def test_an_interrupted_pass_goes_on(
    encoder: Identified, material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = gather(encoder, [1], material._replace(views=[], items=[]), tmp_path)
    before = whole.at_moments("1")
    (tmp_path / "group_002.npz").unlink()
    seen = []
    plain = gathering._Group.add
    monkeypatch.setattr(gathering._Group, "add", lambda self, cut, states: (seen.append(cut), plain(self, cut, states)))
    again = gather(encoder, [1], material._replace(views=[], items=[]), tmp_path)
    assert {cut.supervisions[0].speaker for cut in seen} == {"s2"}
    assert np.array_equal(before, again.at_moments("1"))
    gather(encoder, [0], material._replace(views=[], items=[]), tmp_path)  # of another layer: all anew
    assert len(seen) == 4 + 16
    again.remove()
    assert list(tmp_path.iterdir()) == []


def test_states_that_are_not_finite_and_files_of_others_are_said(
    encoder: Identified, material: Material, tmp_path: Path
) -> None:
    one = gathering._Group(encoder.upstream, [0], material, material.moments, None)
    with pytest.raises(AudioError, match=f"NaN or infinity in row {material.cuts[0].id}"):
        one.add(material.cuts[0], {0: torch.full((5, 192), float("nan"))})
    (tmp_path / "group_000.npz").write_text("somebody's")
    with pytest.raises(ConfigError, match="another program"):
        gather(encoder, [0], material, tmp_path)
