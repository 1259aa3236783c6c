"""What tests of encoders share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile


@pytest.fixture(scope="session")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two recordings of noise, one of whose names is not plain. Tests only read it."""
    folder = tmp_path_factory.mktemp("sounds")
    for name, seconds in (("night", 2.35), ("Käuzchen, fern", 0.8)):
        sound = 0.1 * np.random.default_rng(len(name)).standard_normal(round(16000 * seconds))
        soundfile.write(folder / f"{name}.wav", sound, 16000, subtype="FLOAT")
    return folder
