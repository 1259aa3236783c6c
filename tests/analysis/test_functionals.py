"""Means and deviations over time, recording by recording."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from toys.probes import write_tones

from audiossl.analysis.functionals import functionals_of
from audiossl.core.errors import LabelError
from audiossl.data.manifests import read_manifest
from audiossl.encoders.loading import load_upstream


def test_functionals_are_those_of_each_recording_alone(tmp_path: Path) -> None:
    manifests = write_tones(tmp_path)
    upstream = load_upstream("tera_mini")
    cuts = read_manifest(manifests / "dev.jsonl.gz")
    found = functionals_of(upstream, cuts, [0, 3], group="speaker")
    assert found.ids == sorted(cut.id for cut in cuts)
    assert found.clusters.num == 3
    for place, name in enumerate(found.ids):
        (cut,) = [cut for cut in cuts if cut.id == name]
        states = upstream(torch.from_numpy(cut.load_audio())).layers[3][0]
        expected = torch.cat([states.mean(0), states.std(0)]).detach().numpy()
        np.testing.assert_allclose(found.layers[3][place], expected, atol=2e-5)
    with pytest.raises(LabelError, match="has nothing in the field 'bird'"):
        functionals_of(upstream, cuts, [0], field="bird")
    with pytest.raises(LabelError, match="nothing in the field 'nope', by which intervals are drawn"):
        functionals_of(upstream, cuts, [0], group="nope")
