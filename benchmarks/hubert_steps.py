"""Steps of HuBERT's pre-training at base size, ours and of torchaudio's model, for `benchmarks.pretraining`.

Both are given the same labels, one of 100 for each frame, and draw their masks within the step. The loss is the
cross-entropy of masked frames plus the penalty of the stem's features, whose gradient is scaled. torchaudio's model is
not asked for the logits of frames that are not masked, which it makes as it comes and which have no weight.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiossl import load_upstream
from audiossl.core.types import Batch
from audiossl.encoders.upstream import Upstream
from audiossl.objectives.hubert.labels import LabelSet, Targets
from audiossl.objectives.hubert.objective import HubertObjective
from audiossl.training.config import TrainerConfig
from benchmarks.gpu_training import Step, stepping

HUBERT = ("torchaudio, HuBERT", "audiossl, HuBERT")
CLASSES = 100
PENALTY = 10.0
STEM = ((512, 10, 5), *((512, 3, 2),) * 4, *((512, 2, 2),) * 2)  # channels, kernel, stride
THEIR_NAMES = {
    "width": "encoder_embed_dim",
    "num_layers": "encoder_num_layers",
    "num_heads": "encoder_num_heads",
    "ffn_width": "encoder_ff_interm_features",
}
# What `torchaudio.models.hubert_pretrain_base` passes on, with no layer skipped and masked frames alone.
BASE: dict[str, Any] = {
    "extractor_mode": "group_norm",
    "extractor_conv_bias": False,
    "encoder_embed_dim": 768,
    "encoder_projection_dropout": 0.1,
    "encoder_pos_conv_kernel": 128,
    "encoder_pos_conv_groups": 16,
    "encoder_num_layers": 12,
    "encoder_num_heads": 12,
    "encoder_attention_dropout": 0.1,
    "encoder_ff_interm_features": 3072,
    "encoder_ff_interm_dropout": 0.0,
    "encoder_dropout": 0.1,
    "encoder_layer_norm_first": False,
    "encoder_layer_drop": 0.0,
    "mask_prob": 0.8,
    "mask_selection": "static",
    "mask_other": 0.0,
    "mask_length": 10,
    "no_mask_overlap": False,
    "mask_min_space": 1,
    "mask_channel_prob": 0.0,
    "mask_channel_selection": "static",
    "mask_channel_other": 0.0,
    "mask_channel_length": 10,
    "no_mask_channel_overlap": False,
    "mask_channel_min_space": 1,
    "skip_masked": False,
    "skip_nomask": True,
    "num_classes": CLASSES,
    "final_dim": 256,
    "feature_grad_mult": 0.1,
}


class GivenLabels(LabelSet):
    """A label for each frame (B, T) of one batch."""

    num_labels = CLASSES

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.register_buffer("values", values)

    def of(self, batch: Batch, encoder: Upstream) -> Targets:
        return Targets(self.get_buffer("values"), encoder.num_frames(batch.lengths))


def labels_of(batch: Batch, options: dict[str, Any]) -> Tensor:
    """Random labels (B, T) of the frames of an encoder with these options."""
    frames = int(load_upstream("hubert", weights="random", **options).num_frames(batch.wavs.shape[1]))
    return torch.randint(CLASSES, (len(batch), frames), generator=torch.Generator().manual_seed(0))


def hubert_step(name: str, options: dict[str, Any], config: TrainerConfig, batch: Batch, device: torch.device) -> Step:
    """One update of a contestant.

    name: one of `HUBERT`.
    options: of our encoder.
    config: of the trainer.
    batch: what is learnt from in every step.
    device: where it runs.
    """
    return _theirs(options, config, batch, device) if name == HUBERT[0] else _ours(options, config, batch)


def _ours(options: dict[str, Any], config: TrainerConfig, batch: Batch) -> Step:
    """By `objective=hubert`."""
    task = HubertObjective(load_upstream("hubert", weights="random", **options))
    task.label_sets = nn.ModuleList([GivenLabels(labels_of(batch, options))])
    return stepping(task.train(), config, [batch])


def _theirs(options: dict[str, Any], config: TrainerConfig, batch: Batch, device: torch.device) -> Step:
    """As one writes it with torchaudio's model."""
    from torchaudio.models import hubert_pretrain_model

    named = {THEIR_NAMES[name]: value for name, value in options.items() if name in THEIR_NAMES}
    widths = options.get("conv_widths", [width for width, _, _ in STEM])
    stem = [(width, kernel, stride) for width, (_, kernel, stride) in zip(widths, STEM, strict=True)]
    model: Any = hubert_pretrain_model(**{**BASE, **named, "extractor_conv_layer_config": stem}).train().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr)
    wavs, lengths, labels = (each.to(device) for each in (batch.wavs, batch.lengths, labels_of(batch, options)))

    def step() -> float:
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16"):
            logits, _, penalty = model(wavs, labels, lengths)
            right = torch.zeros(len(logits), dtype=torch.int64, device=device)  # the true one is put first
            loss = F.cross_entropy(logits.float(), right) + PENALTY * penalty
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.detach())

    return step
