"""Which runs are of a recogniser."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiossl.core.errors import ConfigError
from audiossl.downstreams.asr.search.runs import recogniser_of
from audiossl.downstreams.asr.task import Asr
from audiossl.downstreams.slot_filling.task import SlotFilling
from audiossl.experiments.config import read_experiment


@pytest.mark.parametrize("kind", [Asr, SlotFilling])
def test_recognition_and_its_kinds_are(kind: type[Asr]) -> None:
    name = "asr" if kind is Asr else "slot_filling"
    config = read_experiment(None, [f"downstream={name}", "upstream=log_mel", "task.text={case: upper}"])
    found, task = recogniser_of(config, Path("run"))
    assert found is kind
    assert isinstance(task, kind.Config)
    assert (task.text.case, task.text.slots) == ("upper", kind is SlotFilling)


def test_others_are_not() -> None:
    config = read_experiment(None, ["downstream=emotion", "upstream=log_mel"])
    with pytest.raises(ConfigError, match="^run is a run of emotion; give one of asr.$"):
        recogniser_of(config, Path("run"))
