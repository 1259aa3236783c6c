"""The members of a sweep, their names and what is wrong with its values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audiossl import load_run
from audiossl.core.errors import ConfigError
from audiossl.experiments.config import Experiment, default_out
from audiossl.experiments.run import Run
from audiossl.experiments.start import train
from audiossl.experiments.sweeps.members import members_of
from audiossl.experiments.sweeps.record import is_sweep

Make = Callable[..., Any]


WRONG = {
    "sweep.lr=[0.1,-1]": "sweep.lr[1]=-1 must be above 0",
    "sweep.lr=[0.1,nan]": "sweep.lr[1]=nan must be above 0",
    "sweep.lr=[0.1,1e-1]": "sweep.lr has 0.1 twice",
    "sweep.seed=[1,1]": "sweep.seed has 1 twice",
    "sweep.lr=0.1": "'sweep.lr'",
    "sweep.lr=[fast]": "'sweep.lr",
    "sweep.seeds=[1]": "there is no key 'sweep.seeds'. Did you mean sweep.seed",
    "sweep.interface=[3]": r"sweep.interface has 3; write names, or mappings",
    "sweep.interface=[{name: layer, index: 1},{name: layer, index: 1}]": "twice",
    "sweep.interface=[layer,{name: layer}]": "two members would be called 'layer'",
    "sweep.stack=on": "'sweep.stack'",
}


@pytest.mark.parametrize(("override", "message"), WRONG.items(), ids=WRONG.keys())
def test_wrong_values_are_one_sentence(short: Make, override: str, message: str) -> None:
    with pytest.raises(ConfigError) as found:
        members_of(short(override))
    assert message in str(found.value)
    assert "\n" not in str(found.value)


def test_an_empty_axis_is_none(short: Make, tmp_path: Path) -> None:
    run = train(short("sweep.lr=[]", "trainer.steps=1"), tmp_path / "run")
    assert not is_sweep(run)
    assert isinstance(load_run(run), Run)


def test_names_and_folders(short: Make) -> None:
    config: Experiment = short("sweep.lr=[1e-1,1e-5]", "sweep.seed=[0,1]", "interface_options.width=4")
    assert [member.name for member in members_of(config)] == [
        "lr0.1-seed0",
        "lr0.1-seed1",
        "lr1e-05-seed0",
        "lr1e-05-seed1",
    ]
    assert default_out(Path("recipes/fsdd/digits.yaml"), config) == Path(
        "runs/fsdd-digits/toy_frames-weighted_sum-sweep-lr-seed"
    )
    config = short("sweep.interface=[{name: layer, index: -1, width: 5}]", "interface_options.width=4")
    (member,) = members_of(config)
    assert member.name == "layer_index-1_width5"
    assert member.config.interface_options == {"width": 5, "index": -1}
    assert not member.config.sweep.axes
