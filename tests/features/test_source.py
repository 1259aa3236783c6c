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
from audiossl.features.source import FeatureSource


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


class Rounding(ToyUpstream):
    """States that depend on how many recordings are encoded at once, as those of matrix products do."""

    def encode(self, wavs: torch.Tensor, lengths: torch.Tensor, last: int) -> list[torch.Tensor]:
        return [layer + 1e-3 * len(wavs) for layer in super().encode(wavs, lengths, last)]


def kept_by(source: FeatureSource, cuts: CutSet) -> dict[str, torch.Tensor]:
    """The last layer of each recording as a head gets it, in two batches."""
    found = {}
    rows = list(cuts)
    for part in (rows[::2], rows[1::2]):
        batch = source.batch(part)
        assert batch.features is not None
        found |= {cut.id: batch.features.item(place)[-1].clone() for place, cut in enumerate(part)}
    return found


def assert_same_bits(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("form", ["frames", "pooled"])
def test_what_another_manifest_has_filled_changes_no_bit(tmp_path: Path, cuts: CutSet, form: str) -> None:
    upstream, half = Rounding(ToyConfig()).eval(), CutSet.from_cuts(list(cuts)[1::2])
    found = {}
    for name, first in (("fresh", None), ("half", half), ("never", half)):
        source = source_in(tmp_path / name, upstream=upstream, form=form, device="cpu")
        if first is not None:
            source.extract(first)
        if name != "never":  # rows that are met in training
            source.extract(cuts)
        found[name] = kept_by(source, cuts)
    assert_same_bits(found["half"], found["fresh"])
    assert_same_bits(found["never"], found["fresh"])


def test_a_batch_of_which_part_was_kept_is_encoded_as_a_whole(tmp_path: Path, cuts: CutSet) -> None:
    """As after a kill: a shard ends anywhere in a batch."""
    longer = CutSet.from_cuts(cut.truncate(duration=0.1 * (4 + number)) for number, cut in enumerate(cuts))
    upstream, found = Rounding(ToyConfig()).eval(), {}
    for num_kept in range(7):
        source = source_in(tmp_path / str(num_kept), upstream=upstream, device="cpu", batch_s=2.0)
        source.extract(longer)
        source.store.close()
        if num_kept < 6:  # the shard of those that were finished, and nothing else
            kept = sorted(longer, key=lambda cut: -cut.duration)[:num_kept]
            part = source_in(tmp_path / f"{num_kept}-part", upstream=upstream, device="cpu", batch_s=2.0)
            for cut in kept:
                utterance = source.utterances.of(cut)
                record, place = source.store.read(utterance), source.store._found[utterance][1]
                facts = {"row": cut.id, "num_frames": place.num_frames, "num_samples": place.num_samples}
                part.store.add(record.data.clone(), utterance=utterance, sound=place.sound, **facts)
            part.store.flush()
            assert len(part.store) == num_kept
            part.extract(longer)
            source = part
        found[num_kept] = kept_by(source, longer)
    for num_kept in range(6):
        assert_same_bits(found[num_kept], found[6])


def test_shares_make_the_batches_of_one_process(tmp_path: Path, cuts: CutSet) -> None:
    upstream, found = Rounding(ToyConfig()).eval(), []
    for world in (1, 2):
        for which in range(world):
            source = source_in(tmp_path / str(world), upstream=upstream, device="cpu", batch_s=1.2)
            source.extract(cuts, share=(which, world))
            source.store.close()
        found.append(kept_by(source_in(tmp_path / str(world), upstream=upstream, device="cpu"), cuts))
    assert_same_bits(*found)
