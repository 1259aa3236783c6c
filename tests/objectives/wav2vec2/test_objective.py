"""wav2vec 2.0's loss: equal to that of transformers, part by part, and what it makes of settings and short sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from audiossl import Batch, check_objective, load_upstream
from audiossl.core.types import Position
from audiossl.encoders.testing import noise, pad
from audiossl.encoders.waveform.to_transformers import write_folder
from audiossl.objectives.wav2vec2 import objective
from audiossl.objectives.wav2vec2.objective import ContrastiveConfig, Wav2Vec2Objective
from audiossl.training import masked as masking

STEM = {"conv_widths": (16,) * 7, "position_kernel": 16, "position_groups": 2}
TINY = {**STEM, "width": 16, "num_layers": 2, "num_heads": 2, "ffn_width": 32}
LARGE_STYLE = {"conv_norm": "layer", "conv_bias": True, "pre_norm": True, "normalize": "layer_norm"}
DROPOUTS = ("dropout", "attention_dropout", "activation_dropout", "feature_dropout", "layer_drop")
UNDROPPED = dict.fromkeys(DROPOUTS, 0.0)
SMALL = {"code_width": 8, "projection_width": 8, "distractors": 7, "target_dropout": 0.0}


def pretraining(
    seconds: tuple[float, ...] = (1.2, 1.2), style: dict[str, Any] | None = None, **settings: Any
) -> tuple[Wav2Vec2Objective, Batch]:
    torch.manual_seed(0)
    options: dict[str, Any] = {**TINY, **UNDROPPED, **(style or {})}
    encoder = load_upstream("wav2vec2", weights="random", **options)
    wavs, lengths = pad(noise(encoder, seconds))
    task = Wav2Vec2Objective(encoder, ContrastiveConfig(**{**SMALL, **settings}))
    return task, Batch(wavs, lengths, (), Position(0, 3))


def same_in_transformers(task: Wav2Vec2Objective, folder: Path) -> Any:
    """The same weights in transformers, without dropout. Its diversity has a weight, its features have no penalty."""
    transformers = pytest.importorskip("transformers")
    config = task.config
    write_folder(task.upstream, folder)
    dropouts = ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout", "layerdrop")
    model = transformers.Wav2Vec2ForPreTraining.from_pretrained(
        folder,
        num_codevectors_per_group=config.codes,
        codevector_dim=config.code_width,
        proj_codevector_dim=config.projection_width,
        feat_quantizer_dropout=0.0,
        **dict.fromkeys(dropouts, 0.0),
    )
    with torch.no_grad():
        model.quantizer.codevectors.copy_(task.quantizer.entries.flatten(0, 1)[None])
    model.quantizer.weight_proj.load_state_dict(task.quantizer.logits.state_dict())
    model.project_q.load_state_dict(task.project_targets.state_dict())
    model.project_hid.load_state_dict(task.project_states.state_dict())
    model.quantizer.temperature = task.temperature
    return model


def their_loss(task: Wav2Vec2Objective, batch: Batch, model: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Their output for the masks, distractors and noise that the task draws."""
    masks: list[Tensor] = []
    distractors: list[Tensor] = []
    noises: list[Tensor] = []

    def seen(module: Any, name: str, found: list[Any]) -> None:
        original = getattr(module, name)

        def noted(*arguments: Any, **options: Any) -> Any:
            found.append(original(*arguments, **options))
            return found[-1]

        monkeypatch.setattr(module, name, noted)

    seen(masking, "draw_span_masks", masks)
    seen(objective, "draw_distractors", distractors)
    seen(objective, "gumbel_noise", noises)
    task.loss(batch)
    (mask,), (chosen,) = masks, distractors
    items, size = mask.shape
    negatives = torch.zeros(items, size, chosen.shape[-1], dtype=torch.long)
    for item, where in enumerate(row.nonzero()[:, 0] for row in mask):
        negatives[item, where] = where[chosen[item, : len(where)]] + item * size
    if noises:  # of all frames, of which only the masked ones count
        every = torch.zeros(items, size, task.config.groups, task.config.codes)
        every[mask] = noises[0]
        monkeypatch.setattr(Tensor, "exponential_", lambda self: torch.exp(-every).view(self.shape))
    wavs = task.upstream.normalized(batch.wavs, batch.lengths)  # type: ignore[operator]
    return model(wavs, mask_time_indices=mask, sampled_negative_indices=negatives)


@pytest.mark.parametrize("style", [{}, LARGE_STYLE], ids=["base", "large"])
def test_the_loss_its_parts_and_its_gradient_are_those_of_transformers(
    style: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, batch = pretraining(style=style, codes=200, feature_penalty=0.0, front_end_gradient=1.0)
    task.train().begin_step(100_000)
    ours = task.loss(batch)
    ours.total.backward()
    model = same_in_transformers(task, tmp_path).train()
    theirs = their_loss(task, batch, model, monkeypatch)
    count = float(ours.weight)
    (theirs.loss / count).backward()
    assert float(ours.total.detach()) == pytest.approx(float(theirs.loss.detach()) / count, rel=1e-5)
    assert float(ours.logs["contrast"]) == pytest.approx(float(theirs.contrastive_loss.detach()) / count, rel=1e-5)
    assert float(ours.logs["diversity"]) == pytest.approx(float(theirs.diversity_loss.detach()) / count, rel=1e-5)
    assert float(ours.logs["perplexity"]) == pytest.approx(float(theirs.codevector_perplexity.detach()) / 2, rel=1e-5)
    encoder: Any = task.upstream
    pairs: list[tuple[Any, Tensor]] = [
        (task.quantizer.logits.weight.grad, model.quantizer.weight_proj.weight.grad),
        (cast(Tensor, task.quantizer.entries.grad).flatten(0, 1), model.quantizer.codevectors.grad[0]),
        (task.project_states.weight.grad, model.project_hid.weight.grad),
        (
            encoder.blocks[0].up.weight.grad,
            model.wav2vec2.encoder.layers[0].feed_forward.intermediate_dense.weight.grad,
        ),
        (
            encoder.stem.convs[1].weight.grad,
            model.wav2vec2.feature_extractor.conv_layers[1].conv.weight.grad,
        ),
    ]
    for mine, other in pairs:
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-3 * float(other.abs().max()))


def test_distractors_like_the_target_are_left_out_as_in_transformers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without noise, since theirs rounds so that equal codes are not always seen to be equal."""
    task, batch = pretraining(codes=3)
    task.eval()
    with torch.no_grad():
        ours = task.loss(batch)
        theirs = their_loss(task, batch, same_in_transformers(task, tmp_path).eval(), monkeypatch)
    assert float(ours.logs["contrast"]) == pytest.approx(
        float(theirs.contrastive_loss.detach()) / float(ours.weight), rel=1e-5
    )


def test_contract_on_waveforms() -> None:
    task, _ = pretraining(codes=8, diversity="item")
    report = check_objective(task)
    assert report.batch_error < 1e-5
    assert not report.without_gradient


def test_diversity_is_of_the_batch_as_published() -> None:
    assert not pretraining()[0].item_wise
    assert pretraining(diversity="item")[0].item_wise
    assert pretraining(diversity_weight=0.0)[0].item_wise


def test_the_total_is_the_weighted_sum_of_its_parts_over_masked_frames() -> None:
    task, batch = pretraining((1.2, 0.7), diversity_weight=0.3, feature_penalty=2.0)
    task.eval()
    with torch.no_grad():
        loss = task.loss(batch)
        local = task.encoder.local_features(batch.wavs, batch.lengths)
    logs = {name: float(value) for name, value in loss.logs.items()}
    expected = logs["contrast"] + 0.3 * logs["diversity"] + 2.0 * logs["feature_penalty"]
    assert float(loss.total) == pytest.approx(expected, rel=1e-6)
    means = [
        float(x[:n].square().mean())
        for x, n in zip(local, task.upstream.num_frames(batch.lengths).tolist(), strict=True)
    ]
    assert min(means) < logs["feature_penalty"] < max(means)
    assert 0 <= logs["masked_accuracy"] <= 1
    assert 1 <= logs["perplexity"] <= 320


def test_the_temperature_falls_as_published_and_follows_from_the_step() -> None:
    task, _ = pretraining()
    found = []
    for step in (0, 100_000, 400_000):
        task.begin_step(step)
        found.append(task.temperature)
    assert found == pytest.approx([2.0, 2.0 * 0.999995**100_000, 0.5])


def test_the_front_end_learns_more_slowly() -> None:
    gradients = []
    for factor in (1.0, 0.1):
        task, batch = pretraining(front_end_gradient=factor)
        task.eval().loss(batch).total.backward()
        encoder: Any = task.upstream
        gradients.append(encoder.stem.convs[0].weight.grad)
    torch.testing.assert_close(gradients[1], 0.1 * gradients[0], rtol=1e-3, atol=1e-9)


def test_sound_without_a_masked_frame_counts_nothing() -> None:
    task, batch = pretraining((0.1,))
    loss = task.train().loss(batch)
    assert float(loss.weight) == 0
    assert bool(loss.total.isfinite())


def test_a_few_steps_lower_the_loss_and_raise_the_accuracy() -> None:
    task, batch = pretraining((1.5, 1.2, 1.0), codes=16)
    optimizer = torch.optim.Adam(task.parameters(), lr=1e-2)
    losses = []
    for step in range(25):
        task.begin_step(step)
        loss = task.loss(batch)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        losses.append(loss)
    assert float(losses[-1].total.detach()) < 0.8 * float(losses[0].total.detach())
    assert float(losses[-1].logs["masked_accuracy"]) > 2 * float(losses[0].logs["masked_accuracy"])


def test_published_heads_are_taken_each_where_it_fits() -> None:
    task, _ = pretraining()
    config = task.config
    heads = {
        "quantizer.vars": torch.randn(1, config.groups * config.codes, config.code_width // config.groups),
        "quantizer.weight_proj.bias": torch.randn(config.groups * config.codes),
        "project_q.weight": torch.randn(8, 8),
        "final_proj.weight": torch.randn(9, 16),  # of another width
        "label_embs_concat": torch.randn(4, 8),
    }
    assert sorted(task.take_heads(heads)) == ["project_targets.weight", "quantizer.entries", "quantizer.logits.bias"]
    torch.testing.assert_close(task.quantizer.entries.detach().flatten(0, 1)[None], heads["quantizer.vars"])
    torch.testing.assert_close(task.project_targets.weight.detach(), heads["project_q.weight"])
    assert task.take_heads({}) == []
