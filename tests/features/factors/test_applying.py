"""Rows as factors: each by its id, of the encoder that they are of and of no other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from audiossl.core.errors import CheckpointError
from audiossl.data.manifests import read_manifest
from audiossl.encoders.loading import load_upstream
from audiossl.features.factors.applying import apply_factors, write_factors
from audiossl.features.factors.fitted import Factors


def test_rows_have_their_factors(factors: Factors, corpus: Path, tmp_path: Path) -> None:
    cuts, upstream = read_manifest(corpus / "dev.jsonl.gz"), load_upstream("toy_frames")
    found = {cut.id: vector for cut, vector in apply_factors(factors, cuts)}
    assert len(found) == 9 and all(vector.shape == (3,) for vector in found.values())
    assert write_factors(factors, cuts, tmp_path / "dev.npz", upstream=upstream) == 9
    written = np.load(tmp_path / "dev.npz")
    assert set(written) == set(found)
    for name, vector in found.items():
        torch.testing.assert_close(torch.from_numpy(written[name]), vector)
    with pytest.raises(CheckpointError, match=r"These factors are of layer 1 .* with `audiossl factors fit`"):
        next(apply_factors(factors, cuts, upstream=load_upstream("mfcc")))
