"""HuBERT's logits and loss are those of torchaudio, and what it makes of labels and settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lhotse import MonoCut
from toys.pretraining import DROPOUTS, TINY_WAVES, surroundings

from audiossl import Batch, check_objective, load_upstream
from audiossl.core.errors import ConfigError, LabelError
from audiossl.core.types import Position
from audiossl.data.unit_files import UnitFacts, UnitRow, write_unit_rows
from audiossl.encoders.testing import noise, pad
from audiossl.encoders.waveform.heads import heads_of
from audiossl.objectives.hubert.objective import HubertObjective, UnitPredictionConfig

UNITS, RATE = 11, 16000


def labels_file(folder: Path, lengths: list[int], seed: int = 0, num_units: int = UNITS) -> str:
    """Random units of rows item0, item1, ..., as of an encoder with 50 frames a second."""
    draw = np.random.default_rng(seed)
    facts = UnitFacts(50.0, num_units)
    rows = [
        UnitRow(f"item{n}", draw.integers(0, num_units, (s - 400) // 320 + 1), facts) for n, s in enumerate(lengths)
    ]
    write_unit_rows(folder / f"{seed}.units", rows)
    return str(folder / f"{seed}.units")


def pretraining(
    folder: Path, seconds: tuple[float, ...] = (1.2, 0.9), upstream: Any = None, sets: int = 1, **settings: Any
) -> tuple[HubertObjective, Batch]:
    torch.manual_seed(0)
    encoder = upstream or load_upstream("hubert", weights="random", **TINY_WAVES)
    wavs, lengths = pad(noise(encoder, seconds))
    cuts = tuple(MonoCut(id=f"item{n}", start=0, duration=s / RATE, channel=0) for n, s in enumerate(lengths.tolist()))
    files = [labels_file(folder, lengths.tolist(), seed, UNITS + 2 * seed) for seed in range(sets)]
    task = HubertObjective(encoder, UnitPredictionConfig(labels=files, **{"projection_width": 8, **settings}))
    return task, Batch(wavs, lengths, cuts, Position(0, 3))


def theirs(**options: Any) -> Any:
    models = pytest.importorskip("torchaudio.models")
    torch.manual_seed(1)
    stem = [(16, kernel, stride) for kernel, stride in zip((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2), strict=True)]
    dropouts = ("projection_dropout", "attention_dropout", "ff_interm_dropout", "dropout", "layer_drop")
    masks = {"mask_prob": 0.8, "mask_selection": "static", "mask_other": 0.0, "mask_length": 10, "mask_min_space": 1}
    channels = {"mask_channel_prob": 0.0, "mask_channel_selection": "static", "mask_channel_other": 0.0}
    channels |= {"mask_channel_length": 10, "no_mask_channel_overlap": False, "mask_channel_min_space": 1}
    model = models.hubert_pretrain_model(
        extractor_mode="group_norm",
        extractor_conv_layer_config=stem,
        extractor_conv_bias=False,
        encoder_embed_dim=16,
        encoder_pos_conv_kernel=16,
        encoder_pos_conv_groups=2,
        encoder_num_layers=2,
        encoder_num_heads=2,
        encoder_ff_interm_features=32,
        encoder_layer_norm_first=False,
        **{f"encoder_{name}": 0.0 for name in dropouts},
        **masks,
        **channels,
        no_mask_overlap=False,
        skip_masked=False,
        skip_nomask=False,
        num_classes=UNITS,
        final_dim=8,
        feature_grad_mult=0.1,
    )
    torch.nn.init.uniform_(model.logit_generator.label_embeddings)
    return model


def test_logits_loss_and_gradients_are_those_of_torchaudio(tmp_path: Path) -> None:
    """Of items of one length: without lengths, their group norm and penalty see no padding."""
    model = theirs()
    torch.save(model.state_dict(), tmp_path / "theirs.pt")
    undropped: dict[str, Any] = dict.fromkeys(DROPOUTS, 0.0)
    encoder: Any = load_upstream(f"torchaudio:{tmp_path / 'theirs.pt'}", num_heads=2, **undropped)
    task, batch = pretraining(tmp_path, (1.2, 1.2), upstream=encoder, unmasked_weight=0.5)
    assert len(task.take_heads(heads_of(model.state_dict()))) == 3
    task.train()
    ours = task.loss(batch)
    ours.total.backward()
    # Their model with our masks and labels.
    masks = task.masks(batch)
    labels = task.sets[0].of(batch, encoder).values

    class Ours(torch.nn.Module):
        def forward(self, x: torch.Tensor, padding: Any) -> Any:
            return torch.where(masks[..., None], embedding, x), masks

    embedding = model.mask_generator.mask_embedding
    model.mask_generator = Ours()
    masked, unmasked, penalty = model.train()(batch.wavs, labels)
    first = [
        F.cross_entropy(each, torch.zeros(len(each), dtype=torch.long), reduction="sum") for each in (masked, unmasked)
    ]
    total = (first[0] + 0.5 * first[1]) / masks.numel() + 10 * penalty
    total.backward()
    assert float(ours.total.detach()) == pytest.approx(float(total.detach()), rel=1e-5)
    assert float(ours.weight) == masks.numel()
    right = (masked[:, 0] >= masked[:, 1:].max(-1).values).float().mean()
    assert float(ours.logs["masked_accuracy"]) == pytest.approx(float(right))
    pairs = [
        (task.codewords[0].grad, model.logit_generator.label_embeddings.grad),
        (task.get_parameter("projections.0.weight").grad, model.logit_generator.final_proj.weight.grad),
        (
            encoder.blocks[0].up.weight.grad,
            model.wav2vec2.encoder.transformer.layers[0].feed_forward.intermediate_dense.weight.grad,
        ),
        (
            encoder.stem.convs[0].weight.grad,
            model.wav2vec2.feature_extractor.conv_layers[0].conv.weight.grad,
        ),
    ]
    for mine, other in pairs:
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))


def test_contract_with_clusters_of_cepstra() -> None:
    torch.manual_seed(0)
    encoder = load_upstream("hubert", weights="random", **TINY_WAVES)
    task = HubertObjective(encoder, UnitPredictionConfig(clusters=6, projection_width=8))
    assert task.needs_fit
    report = check_objective(task, steps=10)
    assert report.batch_error < 1e-5
    assert not report.without_gradient


def test_the_loss_of_a_batch_is_that_of_its_items_also_with_labels_that_end_first(tmp_path: Path) -> None:
    task, batch = pretraining(tmp_path, (1.2, 0.9, 0.7), sets=2, unmasked_weight=0.3)
    task.eval()
    with torch.no_grad():
        together = task.loss(batch)
        alone = [
            task.loss(Batch(batch.wavs[n : n + 1, : int(s)], batch.lengths[n : n + 1], batch.cuts[n : n + 1]))
            for n, s in enumerate(batch.lengths)
        ]
    weights = torch.stack([each.weight for each in alone])
    mean = (torch.stack([each.total for each in alone]) * weights).sum() / weights.sum()
    torch.testing.assert_close(together.total, mean)
    assert float(together.weight) == float(weights.sum())


def test_the_loss_of_several_sets_is_their_sum(tmp_path: Path) -> None:
    task, batch = pretraining(tmp_path, sets=2, feature_penalty=0.0)
    task.eval()
    assert [each.num_labels for each in task.sets] == [11, 13]
    with torch.no_grad():
        both = float(task.loss(batch).total)
        projections, codewords, sets = task.projections, task.codewords, task.label_sets
        each = []
        for n in range(2):
            task.projections, task.codewords, task.label_sets = (
                projections[n : n + 1],
                codewords[n : n + 1],
                sets[n : n + 1],
            )  # type: ignore[assignment]
            each.append(float(task.loss(batch).total))
    assert both == pytest.approx(sum(each), rel=1e-5)


def test_a_few_steps_raise_the_accuracy_above_the_majority(tmp_path: Path) -> None:
    task, batch = pretraining(tmp_path, (1.5, 1.2, 1.0), feature_penalty=0.0)
    task.eval()  # the same masks in each step
    optimizer = torch.optim.Adam(task.parameters(), lr=1e-2)
    for _ in range(60):
        loss = task.loss(batch)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
    logs = {name: float(value) for name, value in loss.logs.items()}
    assert logs["masked_accuracy"] > 2 * logs["majority"]
    assert 0 < logs["target_entropy"] <= np.log(UNITS)
    assert 1 <= logs["perplexity"] <= UNITS
    assert logs["usage"] == 1


def test_one_utterance_and_sound_below_a_span(tmp_path: Path) -> None:
    task, batch = pretraining(tmp_path, (0.1,))
    loss = task.train().loss(batch)
    assert float(loss.weight) == 0
    assert bool(loss.total.isfinite())
    loss.total.backward()
    assert task.shortest_s == pytest.approx((400 + 9 * 320) / RATE)


def test_rows_without_labels_are_named_before_the_first_step(tmp_path: Path, row: Callable[..., MonoCut]) -> None:
    task, _ = pretraining(tmp_path, (1.2,))
    good = row("item0", round(1.2 * RATE))
    task.prepare(surroundings(good))
    with pytest.raises(LabelError, match="Row other has no labels in"):
        task.prepare(surroundings(good, row("other", RATE)))
    with pytest.raises(LabelError, match="labels of row item0 in .* but its sound is of 0.00 s to 2.00 s"):
        task.prepare(surroundings(row("item0", 2 * RATE)))


def test_published_heads_are_taken_where_they_fit(tmp_path: Path) -> None:
    task, _ = pretraining(tmp_path, sets=2)
    heads = {"final_proj.weight": torch.randn(16, 16), "final_proj.bias": torch.randn(16)}
    heads["label_embs_concat"] = torch.randn(24, 8)
    taken = task.take_heads(heads)
    assert len(taken) == 6
    torch.testing.assert_close(task.codewords[1].detach(), heads["label_embs_concat"][11:])
    torch.testing.assert_close(task.get_parameter("projections.1.bias").detach(), heads["final_proj.bias"][8:])
    assert task.take_heads({**heads, "label_embs_concat": torch.randn(25, 8)}) == ()
    with_symbols = torch.randn(32, 8)  # four of fairseq's before the units of each set
    assert len(task.take_heads({**heads, "label_embs_concat": with_symbols})) == 6
    torch.testing.assert_close(task.codewords[0].detach(), with_symbols[4:15])
    torch.testing.assert_close(task.codewords[1].detach(), with_symbols[19:])
    assert task.take_heads({}) == ()


def test_nothing_to_learn_is_an_error() -> None:
    with pytest.raises(ConfigError, match="both 0, so that nothing is left to learn"):
        UnitPredictionConfig(masked_weight=0.0)
