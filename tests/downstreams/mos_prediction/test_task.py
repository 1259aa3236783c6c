"""Opinion scores: losses by hand, listeners, domains, errors, and the contract."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from toys.targets import target_batch, target_cut, target_task, trained

from audiossl import check_downstream
from audiossl.core.errors import ConfigError, LabelError
from audiossl.core.types import Batch
from audiossl.downstreams.mos_prediction.task import MosPrediction

SMALL = {"lstm_width": 8, "hidden_width": 16, "embedding_width": 4, "dropout": 0.0}


def rated_batch(num_items: int = 12, seed: int = 0) -> Batch:
    """Noise makes tones worse. Anna gives half a point more than the mean, Ben half a point less."""
    batch = target_batch(num_items, seed)
    cuts = []
    for number, cut in enumerate(batch.cuts):
        mos = 1.5 + 3 * (-float(cut.supervisions[0].custom["noise_db"]) - 30) / 30
        ratings = "" if number % 4 == 3 else f"anna={mos + 0.5:.3f}|ben={mos - 0.5:.3f}"
        columns = {"mos": f"{mos:.3f}", "ratings": ratings, "domain": ("main", "ood", "main")[number % 3]}
        cuts.append(target_cut(number, cut.duration, system=f"x{number % 4}", **columns))
    return Batch(batch.wavs, batch.lengths, tuple(cuts))


def toy_task(batch: Batch, **options: Any) -> MosPrediction:
    made = target_task("mos_prediction", batch, **{**SMALL, **options})
    assert isinstance(made, MosPrediction)
    return made


@pytest.mark.parametrize("level", ["frame", "utterance"])
def test_it_keeps_the_contract_without_pairs(level: str) -> None:
    batch = rated_batch(6)
    task = toy_task(batch, level=level, contrastive_weight=0.0)
    assert task.commutes_with_mean == (level == "utterance")
    check_downstream(task, batch)


@pytest.mark.parametrize("level", ["frame", "utterance"])
def test_the_loss_is_that_of_a_computation_by_hand(level: str) -> None:
    batch = rated_batch(5)
    task = toy_task(batch, level=level)
    sequence, lengths = task.sequence(batch)
    clipped, means, targets = [], [], []
    for place, cut in enumerate(batch.cuts):
        custom = cut.supervisions[0].custom
        domain = ["main", "ood"].index(custom["domain"])
        given = [(domain, float(custom["mos"]))]
        for part in filter(None, custom["ratings"].split("|")):
            name, score = part.split("=")
            given.append((2 + ["anna", "ben"].index(name), float(score)))
        for listener, score in given:
            conditions = torch.cat([task.conditions.domains.weight[domain], task.conditions.listeners.weight[listener]])
            size = int(lengths[place])
            x = sequence[place : place + 1, :size]
            if level == "frame":
                scores = task.scorer(x, lengths[place : place + 1], conditions[None])[0].detach()
            else:
                scores = task.scorer(task.pooled(x, lengths[place : place + 1]), conditions[None]).detach()
            target = (score - 3) / 2
            clipped.append(float(torch.stack([(s - target) ** 2 * ((s - target).abs() > 0.25) for s in scores]).mean()))
            means.append(float(scores.mean()))
            targets.append(target)
    pairs = [
        max(0.0, abs((p - q) - (s - t)) - 0.1) / 2
        for p, s in zip(means, targets, strict=True)
        for q, t in zip(means, targets, strict=True)
    ]
    loss = task.loss(batch)
    assert float(loss.weight) == len(targets) == 5 + 2 * 4
    expected = sum(clipped) / len(clipped) + 0.5 * sum(pairs) / len(pairs)
    assert float(loss.total.detach()) == pytest.approx(expected, rel=1e-4)
    assert float(loss.logs["contrastive"]) == pytest.approx(sum(pairs) / len(pairs), rel=1e-4)


def test_it_learns_the_mean_and_who_is_strict() -> None:
    batch, other = rated_batch(24), rated_batch(24, seed=1)
    task = trained(toy_task(batch, level="utterance", tau=0.0), batch, 250)
    found = task.score(task.predict(other))
    assert found["spearman"].value > 0.8
    assert "system_spearman" in found
    strict, mild = (
        MosPrediction(task.upstream, task.interface, type(task.config)(**{**vars(task.config), "listener": name}))
        for name in ("ben", "anna")
    )
    for each in (strict, mild):
        each.load_trainable_state(task.trainable_state())
        each.eval()
    means = [sum(row["predicted"]["mos"] for row in each.predict(other)) / 24 for each in (strict, task, mild)]
    assert means[0] + 0.2 < means[1] < means[2] - 0.2


def test_rows_without_ratings_or_domain_train_by_their_mean() -> None:
    batch = target_batch(6)
    cuts = tuple(target_cut(n, mos=str(1 + n % 5)) for n in range(6))
    task = toy_task(Batch(batch.wavs, batch.lengths, cuts))
    assert (task.config.listeners, task.config.domains) == ([], [""])
    assert float(task.loss(Batch(batch.wavs, batch.lengths, cuts)).weight) == 6
    nothing = task.loss(Batch(batch.wavs, batch.lengths, tuple(target_cut(n) for n in range(6))))
    assert (float(nothing.total), float(nothing.weight)) == (0, 0)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"mos": "6"}, r"'item-0' of test has the score 6, which is outside of 1 to 5"),
        ({"mos": "3", "ratings": "anna=0"}, r"the score 0, which is outside of 1 to 5"),
        ({"mos": "3", "ratings": "4|5"}, r"has '4' in the field 'ratings'; write who gave what"),
        ({"mos": "3", "ratings": "anna=good"}, r"in the field 'ratings' 'good', which is no finite number"),
        ({"mos": "3", "domain": "asr"}, r"is of the domain 'asr', of which no training row is"),
        ({"mos": "fine"}, r"field 'mos' 'fine', which is no finite number"),
    ],
)
def test_rows_that_cannot_be_used(columns: dict[str, str], message: str) -> None:
    with pytest.raises(LabelError, match=message):
        toy_task(rated_batch(6)).check_cuts([target_cut(0, **columns)], "test")


def test_a_listener_whom_nobody_knows() -> None:
    batch = rated_batch(6)
    with pytest.raises(ConfigError, match=r"listener='bea' has rated no training row. .*ben.* mean listener"):
        toy_task(batch, listener="bea")
    task = toy_task(batch)
    cuts = [target_cut(0, mos="3", ratings="bea=3", domain="main")]
    task.check_cuts(cuts, "test")  # in whose place the mean listener is predicted
    one = Batch(batch.wavs[:1], batch.lengths[:1], tuple(cuts))
    assert task.predict(one)[0]["target"] == {"mos": 3.0}
    with pytest.raises(LabelError, match="was rated by 'bea', who has rated no training row"):
        task.loss(one)


def test_settings_that_make_no_scale() -> None:
    with pytest.raises(ConfigError, match=r"lowest=5 must be below task.highest=5"):
        toy_task(rated_batch(6), lowest=5.0)
    with pytest.raises(ConfigError, match="the one column of the mean score"):
        toy_task(rated_batch(6), label_fields=["mos", "domain"])
