"""The contract of an objective: what it predicts and scores, what is random in it, what it asks of an encoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import nn
from toys.core import ToyConfig, ToyUpstream
from toys.pretraining import TINY_WAVES
from toys.words import tone_batch

from audiossl import OBJECTIVES, load_objective, load_upstream
from audiossl.core.errors import ConfigError, UnknownNameError
from audiossl.core.types import Batch, Loss, Position
from audiossl.encoders.upstream import Upstream
from audiossl.nn.ema import EmaTeacher
from audiossl.training.objective import Objective
from audiossl.training.task import Monitor


class Flat(Objective):
    """The energy of the last layer, weighted by frames, times a setting."""

    @dataclass(frozen=True)
    class Config:
        scale: float = 1.0

    def __init__(self, upstream: Upstream, config: Config) -> None:
        super().__init__(upstream)
        self.config = config

    def loss(self, batch: Batch) -> Loss:
        last = self.upstream(batch.wavs, batch.lengths).layers[-1]
        return Loss(self.config.scale * last.square().mean(), torch.tensor(float(last.shape[0] * last.shape[1])))


class Choosy(Flat):
    """Asks for two things that no encoder has."""

    needs = ("codebook", "quantize")


@pytest.fixture
def names() -> Iterator[tuple[str, str]]:
    OBJECTIVES.register("flat", options={"scale": 2.0})(Flat)
    OBJECTIVES.register("choosy")(Choosy)
    yield "flat", "choosy"
    for name in ("flat", "choosy"):
        del OBJECTIVES._decorated[name]


def encoder() -> ToyUpstream:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ToyUpstream(ToyConfig())


def flat() -> Flat:
    return Flat(encoder(), Flat.Config())


def test_all_of_the_encoder_trains() -> None:
    upstream = encoder().requires_grad_(False)
    task = Flat(upstream, Flat.Config())
    assert all(parameter.requires_grad for parameter in upstream.parameters())
    assert {id(p) for group in task.parameter_groups() for p in group.parameters} == {
        id(p) for p in upstream.parameters()
    }
    assert (task.monitor, task.item_wise, task.needs) == (Monitor("loss", "min"), True, ())


def test_each_item_has_its_share_of_the_weight_of_its_batch() -> None:
    task, batch = flat(), tone_batch(4)
    with torch.no_grad():
        loss = task.loss(batch)
        rows = task.predict(batch)
        assert task.predict(Batch(batch.wavs, batch.lengths)) == []  # rows without names
    assert [row["id"] for row in rows] == [cut.id for cut in batch.cuts]
    assert {row["loss"] for row in rows} == {float(loss.total)}
    assert sum(row["weight"] for row in rows) == pytest.approx(float(loss.weight))


def test_blocks_are_what_processes_share_unless_some_are_dropped() -> None:
    """Averaged copies have blocks too. A block that one process skips and another needs would never be gathered."""
    made, dropping = (load_upstream("hubert", weights="random", **{**TINY_WAVES, "layer_drop": p}) for p in (0.0, 0.1))
    task = Flat(made, Flat.Config())
    task.teacher = EmaTeacher(made)
    assert task.sharded_modules() == [*made.blocks, *task.teacher.model.blocks]  # type: ignore[operator, misc]
    assert not task.may_skip_parameters
    assert Flat(encoder(), Flat.Config()).sharded_modules() == []
    task = Flat(dropping, Flat.Config())
    assert task.may_skip_parameters
    with pytest.raises(ConfigError, match="layer drop skips others in each; set upstream_options.layer_drop=0, or tr"):
        task.sharded_modules()


def test_the_score_is_the_mean_by_weight() -> None:
    task = flat()
    rows = [{"id": "a", "loss": 1.0, "weight": 3.0}, {"id": "b", "loss": 5.0, "weight": 1.0}]
    assert task.score(rows)["loss"].value == 2.0
    assert task.score([{"id": "a", "loss": 5.0, "weight": 0.0}])["loss"].value == 0.0
    batches = [tone_batch(4, seed=1), tone_batch(3, seed=2)]
    with torch.no_grad():
        losses = [task.loss(batch) for batch in batches]
        found = task.score([row for batch in batches for row in task.predict(batch)])["loss"].value
    total = sum(float(loss.weight) for loss in losses)
    assert found == pytest.approx(sum(float(loss.total * loss.weight) for loss in losses) / total)


def numbers(draws: list[torch.Generator]) -> list[float]:
    return [float(torch.rand((), generator=draw)) for draw in draws]


def test_what_is_drawn_for_an_item_does_not_depend_on_its_batch() -> None:
    task, batch = flat().train(), tone_batch(4)
    whole = numbers(task.draws(batch, 0, "mask"))
    assert len(set(whole)) == 4
    alone = Batch(batch.wavs[2:3], batch.lengths[2:3], batch.cuts[2:3])
    assert numbers(task.draws(alone, 0, "mask")) == whole[2:3]
    assert numbers(task.draws(batch, 1, "mask")) != whole
    assert numbers(task.draws(batch, 0, "noise")) != whole
    nameless = Batch(batch.wavs, batch.lengths)
    assert len(set(numbers(task.draws(nameless, 0, "mask")))) == 4


def test_training_draws_anew_in_each_epoch_and_validation_never() -> None:
    task, batch = flat(), tone_batch(3)
    at = [replace(batch, position=Position(epoch, place)) for epoch, place in ((0, 0), (0, 5), (1, 0))]
    first, later, next_epoch = (numbers(task.train().draws(each, 0)) for each in at)
    assert first == later != next_epoch
    held_out = [numbers(task.eval().draws(each, 0)) for each in [*at, batch]]
    assert held_out[0] == held_out[1] == held_out[2] == held_out[3] != first
    assert numbers(task.train().draws(batch, 0)) == first  # without a position it is the first epoch


def test_an_objective_by_name_has_the_options_of_its_card_and_those_given(names: tuple[str, str]) -> None:
    made = load_objective("flat", encoder())
    assert isinstance(made, Flat)
    assert made.config == Flat.Config(scale=2.0)
    assert load_objective("flat", encoder(), scale=3).config == Flat.Config(scale=3.0)  # type: ignore[attr-defined]


def test_unknown_names_and_options_are_named_with_the_closest(names: tuple[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"options of objective flat: there is no key 'scael'\. Did you mean scale"):
        load_objective("flat", encoder(), scael=3)
    with pytest.raises(UnknownNameError, match=r"There is no objective named 'falt'\. Did you mean flat"):
        load_objective("falt", encoder())


@pytest.mark.parametrize(("has", "lacks"), [((), "none of them"), (("codebook",), "no quantize")])
def test_an_encoder_that_lacks_what_is_asked_for_is_one_sentence(
    names: tuple[str, str], has: tuple[str, ...], lacks: str
) -> None:
    upstream = encoder()
    upstream.name = "mine"
    for name in has:
        setattr(upstream, name, None)
    with pytest.raises(ConfigError) as found:
        load_objective("choosy", upstream)
    assert str(found.value) == (
        f"Objective 'choosy' needs an encoder with codebook, quantize, and 'mine' has {lacks}; "
        f"choose another encoder or another objective."
    )
    for name in Choosy.needs:
        setattr(upstream, name, None)
    assert isinstance(load_objective("choosy", upstream), Choosy)


def test_what_is_no_objective_is_an_error_of_its_author() -> None:
    def stranger(upstream: Upstream) -> nn.Module:
        return nn.Linear(1, 1)

    OBJECTIVES.register("stranger")(stranger)
    try:
        with pytest.raises(TypeError, match="stranger made a Linear, not an Objective"):
            load_objective("stranger", encoder())
    finally:
        del OBJECTIVES._decorated["stranger"]


def test_options_go_beside_an_encoder_of_any_name(names: tuple[str, str]) -> None:
    """Its own two arguments are by place, so that an option may be called like one of them."""
    options: dict[str, Any] = {"name": "x", "upstream": "y"}
    with pytest.raises(ConfigError, match="there is no key 'name'"):
        load_objective("flat", encoder(), **options)
