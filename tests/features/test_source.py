"""Batches of hidden states, from the store or from the encoder."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile
import torch
from lhotse import CutSet
from toys.cache import assert_fresh, path_of, rewritten, source_in
from toys.core import ToyConfig, ToyUpstream
from toys.joined import RATE_HZ, noise
from toys.short_sighted import short_sighted

from audiossl.data.inputs import cuts_of
from audiossl.data.manifests import read_manifest, write_manifests


def test_a_file_that_changes_while_it_is_read_is_not_kept(tmp_path: Path, cuts: CutSet) -> None:
    source = source_in(tmp_path / "kept")
    assert source.survey(cuts).missing_rows == 6  # its state is taken here
    rewritten(path_of(cuts[3]))
    source.extract(cuts)
    assert len(source.store) == 5
    assert_fresh(source_in(tmp_path / "kept"), cuts)


def test_a_changed_manifest_row(tmp_path: Path, own_corpus: Path, cuts: CutSet) -> None:
    source = source_in(tmp_path / "kept")
    source.extract(cuts)
    ids = [cut.id for cut in cuts]
    rotated = CutSet.from_cuts(cut.with_id(other) for cut, other in zip(cuts, ids[1:] + ids[:1], strict=True))
    shortened = CutSet.from_cuts(cut.truncate(duration=0.2) for cut in cuts)
    for number, changed in enumerate((rotated, shortened)):
        paths = write_manifests({"train": changed}, tmp_path / str(number))
        assert_fresh(source, read_manifest(paths["train"]).to_eager())
    assert len(source.store) + len(source.store._pending) == 12


def test_pooled_is_the_mean_over_the_frames(tmp_path: Path, cuts: CutSet) -> None:
    frames, pooled = source_in(tmp_path / "kept"), source_in(tmp_path / "kept", form="pooled", layers=(0, 2))
    for source in (frames, pooled):
        source.extract(cuts)
    whole, means = frames.batch(list(cuts)).features, pooled.batch(list(cuts)).features
    assert whole is not None
    assert means is not None
    assert means.lengths.tolist() == [1] * 6
    assert [layer.shape for layer in means.layers] == [(6, 1, 8), (6, 0, 8), (6, 1, 8)]
    for number in range(6):
        for layer in (0, 2):
            expected = whole.item(number)[layer].mean(dim=0)
            torch.testing.assert_close(means.layers[layer][number, 0], expected)


def test_states_that_the_type_cannot_hold_are_used_but_not_kept(
    tmp_path: Path, cuts: CutSet, caplog: pytest.LogCaptureFixture
) -> None:
    class Loud(ToyUpstream):
        def encode(self, wavs: torch.Tensor, lengths: torch.Tensor, last: int) -> list[torch.Tensor]:
            return [1e6 * layer for layer in super().encode(wavs, lengths, last)]

    upstream = Loud(ToyConfig()).eval()
    source = source_in(tmp_path / "kept", upstream=upstream, dtype="fp16")
    source.extract(cuts)
    assert len(source.store) == 0
    assert_fresh(source, cuts)
    assert caplog.text.count("beyond what fp16 can hold") == 1


def test_shares_are_disjoint_and_together_everything(tmp_path: Path, cuts: CutSet) -> None:
    counts = []
    for which in range(4):
        source = source_in(tmp_path / "kept")
        counts.append(source.extract(cuts, share=(which, 4)))
        source.store.close()
    assert counts == [2, 2, 1, 1]
    assert source_in(tmp_path / "kept").survey(cuts).missing_rows == 0


@pytest.mark.parametrize("form", ["frames", "pooled", "statistics"])
def test_rows_beyond_what_the_encoder_reads(tmp_path: Path, form: str) -> None:
    for number, seconds in enumerate((0.3, 1.7, 0.9)):
        soundfile.write(tmp_path / f"{number}.wav", noise(seconds, number), RATE_HZ, subtype="FLOAT")
    cuts = cuts_of([str(tmp_path)])
    limited, unlimited = short_sighted(), short_sighted()
    unlimited.max_samples = None
    source = source_in(tmp_path / "kept", upstream=limited, form=form)
    expected = source_in(tmp_path / "whole", upstream=unlimited, form=form).batch(list(cuts)).features
    computed = source.batch(list(cuts)).features  # before anything is stored
    assert source.extract(cuts) == 0
    again = source_in(tmp_path / "again", upstream=limited, form=form)
    assert again.extract(cuts) == 3
    for found in (computed, again.batch(list(cuts)).features):
        assert found is not None
        assert expected is not None
        for layer, whole in zip(found.layers, expected.layers, strict=True):
            torch.testing.assert_close(layer, whole, rtol=1e-4, atol=1e-5)
