"""Each row gets the units of its own frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from audiossl import load_upstream, read_audio, read_manifest
from audiossl.core.errors import CheckpointError
from audiossl.features.units.applying import apply_units
from audiossl.features.units.config import UnitsOptions
from audiossl.features.units.fitting import fit_units


def test_units_are_those_of_each_recording_alone(corpus: Path, toy_upstream: str) -> None:
    manifest = corpus / "dev.jsonl.gz"
    units = fit_units(toy_upstream, [manifest], UnitsOptions(layer="2", clusters=5, starts=1))
    cuts = read_manifest(manifest)
    rows = list(apply_units(units, cuts))
    assert {row.id for row in rows} == {cut.id for cut in cuts}
    upstream, by_id = load_upstream(toy_upstream), {cut.id: cut for cut in cuts}
    for row in rows[:4]:
        wav = torch.from_numpy(read_audio(by_id[row.id].recording.sources[0].source))
        with torch.no_grad():
            states = upstream(wav[None]).layers[2][0]
        np.testing.assert_array_equal(row.units, torch.cdist(states, units.centres).argmin(-1).numpy())
        assert row.facts == units.facts
    with pytest.raises(CheckpointError, match="is another encoder"):
        next(apply_units(units, cuts, upstream=load_upstream(toy_upstream, width=9)))
