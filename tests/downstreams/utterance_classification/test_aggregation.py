"""From frames to one vector: sizes, padding, and what is too short."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from toys.words import WORDS, cut_of, tone_batch, toy_task

from audiossl.core.errors import AudioError, ConfigError
from audiossl.downstreams.utterance_classification.aggregation import EcapaHead, chosen_pooling, fewest_frames
from audiossl.nn.ecapa import EcapaTdnn
from audiossl.training.testing.downstream import check_downstream

SIZES = {"channels": 8, "embedding_width": 5}
WIDTHS = {"mean": 6, "statistics": 12, "ecapa": 5}


def test_each_name_has_a_width_and_a_fewest_number_of_frames() -> None:
    made = {name: toy_task(projector_width=6, pooling=name, ecapa=SIZES) for name in WIDTHS}
    assert {name: each.represented_width for name, each in made.items()} == WIDTHS
    assert {name: fewest_frames(each.pooling) for name, each in made.items()} == {
        "mean": 1,
        "statistics": 1,
        "ecapa": 5,
    }
    assert isinstance(made["ecapa"].pooling, EcapaTdnn)
    assert chosen_pooling("factors", EcapaHead()) == "factors"
    with pytest.raises(ConfigError, match="no pooling named 'ekapa'. Did you mean ecapa"):
        chosen_pooling("ekapa", EcapaHead())
    with pytest.raises(ConfigError, match=r"task\.ecapa\.channels=12 must be a multiple of 8"):
        EcapaHead(12)


@pytest.mark.parametrize(
    "options", [{"pooling": "ecapa", "ecapa": {"channels": 8}}, {"hidden": [5]}], ids=["ecapa", "mlp"]
)
def test_back_ends_keep_the_contract_of_a_task(options: dict[str, object]) -> None:
    """Batch normalisation lets an item depend on others in training, so that ECAPA is checked in evaluation."""
    task = toy_task(projector_width=6, **options)
    if "hidden" in options:
        assert task.commutes_with_mean and task.stackable
        check_downstream(task, tone_batch(6))
        return
    assert not (task.commutes_with_mean or task.stackable)
    batch = tone_batch(6)
    task.eval()
    together = task.predict(batch)
    for index, found in enumerate(together):
        length = int(batch.lengths[index])
        place = slice(index, index + 1)
        alone = replace(
            batch, wavs=batch.wavs[place, :length], lengths=batch.lengths[place], cuts=batch.cuts[index : index + 1]
        )
        assert task.predict(alone)[0]["logits"] == pytest.approx(found["logits"], abs=1e-4)
    task.train()
    optimizer = torch.optim.Adam((p for p in task.parameters() if p.requires_grad), lr=1e-2)
    losses = []
    for _ in range(8):
        loss = task.loss(batch).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


def test_what_is_too_short_for_ecapa_is_named() -> None:
    task = toy_task(pooling="ecapa", ecapa={"channels": 8}).eval()
    batch = tone_batch(2)
    lengths = torch.tensor([int(batch.lengths[0]), 700])
    with pytest.raises(AudioError, match="'item-1' lasts .* frames of this encoder, and task.pooling=ecapa needs 5"):
        task.predict(replace(batch, lengths=lengths))
    cut = cut_of(1, WORDS[0])
    task.check_cuts([cut], "train")  # of rows without a recording, nothing is known yet
