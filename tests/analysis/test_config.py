"""Settings of probes: what is asked of which layers where nobody says."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
from toys.core import ROOT
from toys.probes import SPLITS

from audiossl.analysis.config import ProbeOptions
from audiossl.analysis.probes import PROBES, run_probes
from audiossl.core.errors import ConfigError
from audiossl.encoders.layers import parse_layers


def test_by_default_four_probes_are_asked_of_every_layer() -> None:
    options = ProbeOptions()
    assert options.probes.split(",") == list(PROBES)[:4]
    assert parse_layers(options.layers, 13) == list(range(13))
    found = run_probes(SPLITS, ["linear"], metric=options.metric, seed=options.seed)
    assert {options.metric} <= found[0].dev.keys()


def test_settings_stay_as_they_are() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ProbeOptions().seed = 1  # type: ignore[misc]


@pytest.mark.parametrize("module", ["audiossl.analysis.config", "audiossl.encoders.config"])
def test_they_are_read_without_torch(module: str) -> None:
    program = f"import sys, {module}; print(sorted({{'torch', 'sklearn'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout == "[]\n", done.stderr


def test_shots_are_numbers() -> None:
    assert ProbeOptions(shots="10,1,5").num_shots == [1, 5, 10]
    with pytest.raises(ConfigError, match=r"--shots '1,x': write whole numbers"):
        ProbeOptions(shots="1,x")
