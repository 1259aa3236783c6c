"""A head on an encoder: what is frozen, what trains, and which hidden states are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from toys.core import ToyConfig, ToyUpstream
from toys.joined import RATE_HZ, noise
from toys.words import WORDS, tone_batch

from audiossl.core.config import make
from audiossl.core.errors import AudiosslError, TrainingError
from audiossl.core.types import Batch, Features
from audiossl.data.inputs import cuts_of
from audiossl.data.loader import collate
from audiossl.downstreams.utterance_classification.task import UtteranceClassification
from audiossl.encoders.finetuning import FinetuneConfig
from audiossl.training.downstream import Downstream
from audiossl.training.interface import load_interface
from audiossl.training.testing.downstream import check_downstream


def head(interface: str = "weighted_sum", pooling: str = "mean", **options: Any) -> Downstream:
    torch.manual_seed(0)
    upstream = ToyUpstream(ToyConfig())
    settings = {"labels": list(WORDS), "pooling": pooling}
    made = make(UtteranceClassification, settings, upstream, load_interface(interface, (8,) * 3, **options))
    assert isinstance(made, Downstream)
    return made


def test_a_frozen_encoder_stays_in_eval_and_out_of_the_checkpoint() -> None:
    task = head().train()
    assert task.training and not task.upstream.training
    assert task.upstream_is_frozen and not task.may_skip_parameters
    assert not [name for name in task.trainable_state() if name.startswith("upstream.")]
    task.loss(tone_batch(3)).total.backward()
    assert all(parameter.grad is None for parameter in task.upstream.parameters())
    groups = {group.name: group.parameters for group in task.parameter_groups()}
    assert groups["upstream"] == [] and groups[""]


def test_a_trained_encoder_has_a_group_and_a_place_in_the_checkpoint() -> None:
    task = head()
    task.finetune(FinetuneConfig(mode="all", lr=1e-5, freeze_steps=2))
    task.train()
    assert not task.upstream_is_frozen
    groups = {group.name: group for group in task.parameter_groups()}
    assert groups["upstream"].lr == 1e-5 and groups["upstream"].parameters
    inside = {id(parameter) for group in groups.values() for parameter in group.parameters}
    assert inside == {id(parameter) for parameter in task.parameters() if parameter.requires_grad}
    assert "upstream.linears.0.weight" in task.trainable_state()
    for step, trains in ((0, False), (1, False), (2, True), (1, False)):
        task.begin_step(step)
        assert task.upstream.training == trains
        assert task.features(tone_batch(2)).layers[0].requires_grad == trains


def test_the_encoder_stops_where_the_interface_stops_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int | None] = []
    original = ToyUpstream.forward

    def forward(self: ToyUpstream, *arguments: Any, up_to_layer: int | None = None) -> Features:
        asked.append(up_to_layer)
        return original(self, *arguments, up_to_layer=up_to_layer)

    monkeypatch.setattr(ToyUpstream, "forward", forward)
    head("layer", index=1).sequence(tone_batch(2))
    head().sequence(tone_batch(2))
    assert asked == [1, None]


def test_hidden_states_that_a_batch_brings_are_read_in_float32() -> None:
    task, batch = head("layer", index=1), tone_batch(2)
    computed = task.features(batch)
    halves = Features(tuple(layer.half() for layer in computed.layers), computed.lengths)
    brought = Batch(torch.zeros(2, 0), batch.lengths, batch.cuts, features=halves)
    assert task.features(brought) is halves
    sequence, lengths = task.sequence(brought)
    assert sequence.dtype == torch.float32
    torch.testing.assert_close(sequence, computed.layers[1], atol=2e-3, rtol=2e-3)
    assert torch.equal(lengths, computed.lengths)


def standardized(interface: str = "weighted_sum", **options: Any) -> Downstream:
    task = head(interface, **options)
    task.standardize()
    return task


@pytest.mark.parametrize(("options", "unit"), [({}, "recordings"), ({"pooling": "max"}, "frames")], ids=str)
def test_what_is_standardised_is_what_the_head_needs(options: dict[str, Any], unit: str) -> None:
    """Means over time where it averages, frames where it does not: what reaches it has mean 0 and deviation 1."""
    upstream = ToyUpstream(ToyConfig())
    task = make(UtteranceClassification, {"labels": list(WORDS), **options}, upstream, load_interface("last", (8,) * 3))
    task.standardize()
    assert task.interface.standardization is not None and task.interface.standardization.unit == unit
    batch = tone_batch(9)
    with torch.no_grad():
        task.fit([batch])
        sequence, lengths = task.sequence(batch)
    items = [states[:length] for states, length in zip(sequence, lengths, strict=True)]
    seen = torch.cat([item.mean(0, keepdim=True) if unit == "recordings" else item for item in items])
    torch.testing.assert_close(seen.mean(0), torch.zeros(8), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen.std(0, correction=0), torch.ones(8), atol=1e-4, rtol=0)


def test_a_standardised_head_passes_the_contract_and_is_saved_with_its_statistics() -> None:
    batch = tone_batch(6)
    for task in (standardized(), standardized("pca", width=4), standardized("layer", index=1)):
        assert task.needs_fit
        check_downstream(task, batch)
    with torch.no_grad():
        task.fit([batch])
    names = [f"interface.standardization.{name}" for name in ("mean_1", "deviation_1", "fitted")]
    assert [name for name in task.trainable_state() if "standardization" in name] == names


def test_components_are_those_of_standardised_layers() -> None:
    task, batch = standardized("pca", width=6), tone_batch(6)
    with torch.no_grad():
        task.fit([batch])
        components = task.interface(task.features(batch))
    assert not task.needs_fit
    valid = torch.arange(components.shape[1]) < task.features(batch).lengths[:, None]
    # The variances of all components of a standardised layer sum to its width, and no more than that is kept.
    assert 1 < components[valid][:, :2].var(0).sum() <= 8.1


def test_a_training_row_whose_states_are_not_finite_is_named() -> None:
    task, batch = standardized(), tone_batch(3)
    batch.wavs[1, 0] = float("inf")
    with pytest.raises(TrainingError, match="Hidden states of the training row 'item-1' are not finite"):
        task.fit([batch])


def test_what_a_task_cannot_do_is_said() -> None:
    class Plain(UtteranceClassification):
        ensemble = Downstream.ensemble

    upstream = ToyUpstream(ToyConfig())
    task = make(Plain, {"labels": list(WORDS)}, upstream, load_interface("last", upstream.widths))
    with pytest.raises(AudiosslError, match="Plain has no way to unite the predictions of several folds"):
        task.ensemble([])
    task.reads_waveforms = True  # of which none are left where states come chunk by chunk
    assert task.longest_s is None


def long_cut(path: Path, seconds: float) -> Any:
    soundfile.write(path, noise(seconds), RATE_HZ, subtype="FLOAT")
    (cut,) = cuts_of([str(path)])
    return cut


@pytest.mark.parametrize("pooling", ["mean", "statistics"])
def test_a_long_recording_is_predicted_as_the_whole(tmp_path: Path, pooling: str) -> None:
    task = head(pooling=pooling).eval()
    assert task.longest_s == 600
    task.upstream.max_samples = 8000
    assert task.longest_s == 0.5
    cut = long_cut(tmp_path / "a.wav", 3.3)
    found = task.predict_long(cut)
    task.upstream.max_samples = None
    (whole,) = task.predict(collate([cut], RATE_HZ))
    assert found.keys() == whole.keys()
    assert found["predicted"] == whole["predicted"]
    assert found["scores"] == pytest.approx(whole["scores"], abs=1e-5)
