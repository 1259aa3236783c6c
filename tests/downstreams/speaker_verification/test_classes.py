"""Classes of training: speakers at several speeds, and what is kept of them where they are others."""

from __future__ import annotations

import pytest
import torch
from toys.voices import SPEAKERS, Config, batch_of, cut_of, toy_task

from audiossl.core.errors import ConfigError
from audiossl.core.types import Batch
from audiossl.data.config import LoaderConfig
from audiossl.data.draws import at_speed, speed_of
from audiossl.downstreams.speaker_verification.classes import SpeakerClasses, carried_rows, speeds_of


def test_a_speaker_at_another_speed_is_another_class() -> None:
    task = toy_task(speeds=[1.0, 0.9, 1.1])
    assert task.criterion.weight.shape[0] == 9
    batch = batch_of(3)
    cuts = [at_speed(cut, speed) for cut, speed in zip(batch.cuts, (1.0, 0.9, 1.1), strict=True)]
    assert [speed_of(cut) for cut in cuts] == [1.0, 0.9, 1.1]
    seen = []
    task.criterion.register_forward_hook(lambda _, inputs, __: seen.append(inputs[1].tolist()))
    task.loss(Batch(batch.wavs, batch.lengths, tuple(cuts)))
    assert seen == [[0, 4, 8]]  # ann as she is, bob slower, cem faster
    assert toy_task()._number_of(at_speed(cut_of(0, "bob"), 0.9)) == 1


def test_speeds_come_from_the_data() -> None:
    config = Config(speeds_as_speakers=True)
    assert speeds_of(config, LoaderConfig(speeds=[0.9, 1.0, 1.1])) == [1.0, 0.9, 1.1]
    assert speeds_of(Config(), LoaderConfig(speeds=[0.9, 1.0, 1.1])) == []
    for speeds in ([], [1.0]):
        with pytest.raises(ConfigError, match=r"set\s+data.speeds=\[0.9,1.0,1.1\]"):
            speeds_of(config, LoaderConfig(speeds=speeds))


@pytest.mark.parametrize("each", [1, 3])
def test_rows_follow_their_speakers(each: int) -> None:
    before, now = SpeakerClasses(SPEAKERS, (1.0, 0.9)), SpeakerClasses(("cem", "dan", "ann"))
    old = torch.arange(6.0 * each)[:, None].expand(-1, 2)
    made = carried_rows(torch.full((3 * each, 2), -1.0), old, now, before).unflatten(0, (3, each))
    rows = old.unflatten(0, (6, each))
    assert torch.equal(made[0], rows[2])
    assert (made[1] == -1).all()
    assert torch.equal(made[2], rows[0])
    other = torch.zeros(3 * each, 5)
    assert carried_rows(other, old, now, before) is other


def test_a_stage_without_speeds_goes_on_with_the_speakers_as_they_are() -> None:
    fast, plain = toy_task(speeds=[1.0, 0.9], loss="sub_center_aam"), toy_task(loss="sub_center_aam")
    torch.nn.init.normal_(fast.criterion.weight)
    taken = plain.take(plain.carried(fast.trainable_state(), fast.config))
    assert "criterion.weight" in taken
    assert torch.equal(plain.criterion.weight, fast.criterion.weight[:9])
