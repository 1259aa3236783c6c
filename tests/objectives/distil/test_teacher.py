"""The frozen teacher: which layers, which sound, which identity."""

from __future__ import annotations

import pytest
import torch

from audiossl import Batch
from audiossl.core.errors import CheckpointError, ConfigError
from audiossl.encoders.testing import noise, pad
from audiossl.objectives.distil.teacher import Teacher, layer_number


def test_a_teacher_is_named() -> None:
    with pytest.raises(ConfigError, match="needs a teacher"):
        Teacher("", {}, [0])
    with pytest.raises(ConfigError, match="teacher has layers 0 to 0 .* and no 3"):
        Teacher("log_mel", {}, [3])
    assert layer_number(-1, 5, "student") == 4


def test_states_of_a_batch_and_another_rate() -> None:
    teacher = Teacher("log_mel", {}, [-1])
    batch = Batch(*pad(noise(teacher.encoder, [0.3, 0.2])))
    states = teacher.states(batch, 16000)
    torch.testing.assert_close(states.layers[0], teacher.encoder(batch.wavs, batch.lengths).layers[0])
    assert states.first.tolist() == [0, 0]
    assert not teacher.is_cached
    with pytest.raises(ConfigError, match="reads sound at 16000 Hz and the student at 8000 Hz"):
        teacher.states(batch, 8000)


def test_another_teacher_is_refused() -> None:
    one, other = Teacher("log_mel", {}, [0]), Teacher("log_mel", {"num_features": 40}, [0])
    one.require_same(one.fingerprint)
    with pytest.raises(CheckpointError, match="not the one that this run was trained with"):
        other.require_same(one.fingerprint)
