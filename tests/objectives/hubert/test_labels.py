"""Labels from files, and labels computed of the sound itself, are the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lhotse import MonoCut
from toys.pretraining import TINY_WAVES

from audiossl import Batch, load_upstream
from audiossl.core.errors import CheckpointError, ConfigError, LabelError
from audiossl.data.loader import collate
from audiossl.data.manifests import read_manifest
from audiossl.data.unit_files import write_unit_rows
from audiossl.features.units.applying import apply_units
from audiossl.features.units.config import UnitsOptions
from audiossl.features.units.fitting import fit_units
from audiossl.objectives.hubert.labels import ComputedLabels, StoredLabels, label_set

Row = Callable[..., MonoCut]


def test_files_and_fitted_units_give_the_same_labels(corpus: Path, tmp_path: Path) -> None:
    manifest = corpus / "dev.jsonl.gz"
    units = fit_units("mfcc", [manifest], UnitsOptions(clusters=5, starts=2), upstream_options={"cmvn": False})
    units.save(tmp_path / "units")
    cuts = read_manifest(manifest)
    write_unit_rows(tmp_path / "labels" / "dev.units", apply_units(units, cuts))
    stored, computed = label_set(str(tmp_path / "labels")), label_set(str(tmp_path / "units"))
    assert isinstance(stored, StoredLabels)
    assert isinstance(computed, ComputedLabels)
    assert stored.num_labels == computed.num_labels == 5
    assert not dict(computed.state_dict())  # the folder has the centres
    batch = collate(list(cuts), 16000)
    for name in ("hubert", "mel_transformer"):
        options = TINY_WAVES if name == "hubert" else {}
        encoder = load_upstream(name, weights="random", **options)
        found, other = stored.of(batch, encoder), computed.of(batch, encoder)
        assert torch.equal(found.counts, other.counts)
        assert bool((found.counts >= encoder.num_frames(batch.lengths) - 1).all())
        for item, count in enumerate(found.counts.tolist()):
            assert torch.equal(found.values[item, :count], other.values[item, :count])


def test_clusters_of_cepstra_are_fitted_once_and_saved() -> None:
    labels = ComputedLabels.of_cepstra(4, seed=0)
    draw = torch.Generator().manual_seed(0)
    batch = Batch(torch.randn(3, 8000, generator=draw), torch.tensor([8000, 6000, 399]))
    assert not labels.fitted
    assert list(labels.state_dict()) == ["centres"]  # so that a resumed run has the same labels
    labels.fit([batch])
    assert labels.fitted
    again = ComputedLabels.of_cepstra(4, seed=0)
    again.load_state_dict(labels.state_dict())
    encoder = load_upstream("hubert", weights="random", **TINY_WAVES)
    first, second = labels.of(batch, encoder), again.of(batch, encoder)
    assert torch.equal(first.values, second.values)
    assert first.counts.tolist() == encoder.num_frames(batch.lengths).tolist()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(labels.of(batch, encoder).values, first.values)


def test_what_cannot_be_labelled_is_an_error(corpus: Path, tmp_path: Path, toy_upstream: str) -> None:
    with pytest.raises(LabelError, match="There is no .*none with labels"):
        label_set(str(tmp_path / "none"))
    units = fit_units(toy_upstream, [corpus / "dev.jsonl.gz"], UnitsOptions(layer="1", clusters=4, starts=1))
    cuts = read_manifest(corpus / "dev.jsonl.gz")
    write_unit_rows(tmp_path / "dev.units", apply_units(units, cuts))
    batch = Batch(torch.zeros(1, 8000), torch.tensor([8000]))
    encoder = load_upstream("hubert", weights="random", **TINY_WAVES)
    with pytest.raises(LabelError, match="found by ids of rows, and the batch has no rows"):
        label_set(str(tmp_path / "dev.units")).of(batch, encoder)
    wide = load_upstream("mel_transformer", weights="random", sample_rate_hz=32000)
    with pytest.raises(ConfigError, match="of sound at 16000 Hz and mel_transformer takes 32000 Hz"):
        ComputedLabels.of_cepstra(4, seed=0).of(batch, wide)


def test_units_of_an_encoder_that_has_changed_are_refused(corpus: Path, tmp_path: Path, toy_upstream: str) -> None:
    units = fit_units(toy_upstream, [corpus / "dev.jsonl.gz"], UnitsOptions(layer="1", clusters=4, starts=1))
    units.save(tmp_path)
    card = tmp_path / "units.json"
    card.write_text(card.read_text().replace('"upstream_options": {}', '"upstream_options": {"width": 9}'))
    with pytest.raises(CheckpointError, match="is another encoder or has other weights"):
        label_set(str(tmp_path))
