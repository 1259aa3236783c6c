"""What wav2vec 2.0, HuBERT, WavLM, data2vec and their kin share: a convolutional stem and a Transformer.

    wav -> [waveform normalisation] -> ConvStem -> [norm] -> projection -> + position convolution -> [norm] -> blocks

Base style: GroupNorm stem, blocks normalised after each part. Large style: LayerNorm stem, blocks normalised before.
Hidden states are L + 1: the input of each block and the encoder's output, with the final norm of the large style.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from audiossl.core.errors import ConfigError
from audiossl.core.types import Features
from audiossl.encoders.frozen_part import STEM
from audiossl.encoders.upstream import Upstream
from audiossl.encoders.waveform.config import WaveformConfig
from audiossl.encoders.waveform.masks import masked_for_training, masks_input
from audiossl.nn.conv_stem import ConvStem, stride_and_receptive_field
from audiossl.nn.masking import valid_frames
from audiossl.nn.position import BatchNormPositionConv, PositionConv, StackedPositionConv
from audiossl.nn.running_moments import sum_windows
from audiossl.nn.transformer import Block, Chosen, Packed, Padded
from audiossl.nn.varlen import suits

NORMALIZE_EPS = {"layer_norm": 1e-5, "huggingface": 1e-7}


class WaveformEncoder(Upstream):
    """The shared encoder, which a family subclasses with its name and what differs.

    original_mask: what the family's original code takes for a real frame of a padded batch. 'formula': one that the
    stem's length formula counts. 'any_sample': one with at least one real sample in its stretch.
    in_transformers: the family's model_type and class there, None for a family that transformers does not have.
    layout: 'packed' (no padding is computed), 'padded' (masked) or 'auto': packed on a CPU, elsewhere padded
    up to the blocks, which are packed where one call attends within all items. Results are the same.
    """

    Config = WaveformConfig
    block: ClassVar[type[Block]] = Block
    original_mask: ClassVar[Literal["formula", "any_sample"]] = "formula"
    in_transformers: ClassVar[tuple[str, str] | None] = None
    training_only: ClassVar[tuple[str, ...]] = ("mask_embedding",)
    divides_at_stem: ClassVar[bool] = True
    layout: Literal["auto", "packed", "padded"] = "auto"
    config: Any

    def __init__(self, config: WaveformConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or self.Config()
        self.sample_rate_hz = config.sample_rate_hz
        self.stride, self.receptive_field = stride_and_receptive_field(config.conv_kernels, config.conv_strides)
        self.widths = (config.width,) * (config.num_layers + 1)
        stem_width, eps = config.conv_widths[-1], config.norm_eps
        self.stem = ConvStem(
            config.conv_widths, config.conv_kernels, config.conv_strides, config.conv_norm, config.conv_bias
        )
        self.feature_norm = nn.LayerNorm(stem_width, eps) if config.feature_norm else nn.Identity()
        self.project = nn.Linear(stem_width, config.width) if config.projection else nn.Identity()
        if config.mask_embedding:
            self.mask_embedding = nn.Parameter(torch.empty(config.width).uniform_())
        self.position = _position(config)
        self.norm = nn.LayerNorm(config.width, eps)
        self.blocks = nn.ModuleList(self._block() for _ in range(config.num_layers))

    def _block(self) -> Block:
        config = self.config
        return self.block(
            config.width,
            config.num_heads,
            config.ffn_width,
            pre_norm=config.pre_norm,
            eps=config.norm_eps,
            dropout=config.dropout,
            attention_dropout=config.attention_dropout,
            activation_dropout=config.activation_dropout,
            adapter_width=config.adapter_width,
        )

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return self.norm.weight.dtype

    def forward(self, wavs: Tensor, lengths: Tensor | None = None, *, up_to_layer: int | None = None) -> Features:
        """As `Upstream.forward`, but not `exact` in the legacy modes."""
        features = super().forward(wavs, lengths, up_to_layer=up_to_layer)
        return Features(features.layers, features.lengths, exact=self.config.padding == "exact")

    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> Sequence[Tensor]:
        wavs = self.normalized(wavs, lengths)
        if self.config.padding != "exact":
            return self._encode_as_others(wavs, lengths, last)
        frames, size = self.num_frames(lengths), self.num_frames(wavs.shape[1])
        if self._is_packed(wavs.device):
            return self._encode_packed(self._stem_rows(wavs, lengths), frames, size, last)
        even = bool((lengths == wavs.shape[1]).all())
        return self._encode_padded(self.stem(wavs, None if even else lengths), frames, last)

    def encode_even(self, wavs: Tensor, last: int, statistics: Sequence[Tensor] = ()) -> list[Tensor]:
        moments = None
        if statistics:
            offset, scale, *own = statistics
            wavs, moments = ((wavs - offset) * scale).to(self.dtype), (own[0], own[1]) if own else None
        else:
            wavs = self.normalized(wavs, torch.full((wavs.shape[0],), wavs.shape[1], device=wavs.device))
        if wavs.device.type == "cpu" and not torch.compiler.is_compiling():
            x = torch.stack(self.stem.rows(list(wavs), moments))
        else:  # a graph is better off with plain convolutions
            x = self.stem(wavs, None, moments)
        x = self.embed(x)
        x = x + self.position(x)
        return self._contextualize(x, Padded(x.shape[1]), last)

    def statistics(self, blocks: Iterable[Tensor]) -> tuple[Tensor, ...]:
        """Offset and scale () of the waveform, and with a GroupNorm mean and variance (C,) of the first convolution."""
        stem, kind = self.stem, self.config.normalize
        sums = sum_windows(blocks, stem.kernels[0], stem.strides[0])
        offset, variance = sums.of_samples()
        if kind == "none":
            offset, scale = torch.zeros_like(offset), torch.ones_like(offset)
        else:
            scale = torch.rsqrt(variance + NORMALIZE_EPS[kind])
        found = [offset, scale]
        if stem.norm == "group":
            found += sums.of_convolution(cast(nn.Conv1d, stem.convs[0]), offset, scale)
        return tuple(value.float().to(self.norm.weight.device) for value in found)

    def normalized(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        """Each item at zero mean and unit variance over its own samples, where the model was trained so."""
        kind = self.config.normalize
        if kind == "none":
            return wavs.to(self.dtype)
        inside = valid_frames(lengths, wavs.shape[1])
        count = lengths[:, None]
        centred = torch.where(inside, wavs - wavs.sum(1, keepdim=True) / count, 0.0)
        variance = centred.square().sum(1, keepdim=True) / count
        return (centred * torch.rsqrt(variance + NORMALIZE_EPS[kind])).to(self.dtype)

    def _encode_packed(self, stems: Sequence[Tensor], frames: Tensor, size: int, last: int) -> list[Tensor]:
        """Stem outputs (T_i, C) one by one, then the real frames of all together, without padding -> (B, size, D)."""
        layout = Packed.of(frames)
        x = self.embed(torch.cat(list(stems)))
        if self.training:
            x = masked_for_training(self.config, self._filler, layout.spread(x, layout.longest), frames)
            x = torch.cat([row[:n] for row, n in zip(x, layout.lengths, strict=True)])
        x = torch.cat([part + self.position(part[None])[0] for part in x.split(layout.lengths)])
        return [layout.spread(state, size) for state in self._contextualize(x, layout, last)]

    def _encode_padded(self, x: Tensor, frames: Tensor, last: int) -> list[Tensor]:
        """Stem outputs (B, T, C) of all items at once, masked wherever a layer looks across frames."""
        x = self.embed(x)
        valid = None if bool((frames == x.shape[1]).all()) else valid_frames(frames, x.shape[1])
        if self.training:
            x = masked_for_training(self.config, self._filler, x, frames)
        if valid is not None:
            x = torch.where(valid[..., None], x, x.new_zeros(()))
        x = x + self.position(x, valid)
        if valid is not None and self._packs_blocks(x):
            return self._only(x, valid, last)
        return self._contextualize(x, Padded(x.shape[1], valid), last)

    @property
    def _filler(self) -> Tensor | None:
        """What masked frames become, None for zeros."""
        return self.mask_embedding if self.config.mask_embedding else None

    @property
    def masks_input(self) -> bool:
        """Whether training masks the input of the Transformer."""
        return masks_input(self.config)

    def begin(self, wavs: Tensor, lengths: Tensor, point: int) -> list[Tensor]:
        """As `Divisible.begin`."""
        if point == STEM:
            return [self.local_features(wavs, lengths)]
        states = list(self.encode(wavs, lengths, point))
        return [*states, states[-1]]

    def go_on(self, carried: Tensor, frames: Tensor, point: int, last: int) -> list[Tensor]:
        """Hidden states `point` to `last`, each (B, T, D).

        carried, frames, point, last: as for `Divisible.go_on`.
        """
        x, size = carried.to(self.dtype), carried.shape[1]
        packed = self._is_packed(x.device)
        if point == STEM and packed:
            rows = [row[:n] for row, n in zip(x, frames.tolist(), strict=True)]
            return self._encode_packed(rows, frames, size, last)
        if point == STEM:
            return self._encode_padded(x, frames, last)
        valid = valid_frames(frames, size)
        if not packed and (bool(valid.all()) or not self._packs_blocks(x)):
            return [x, *self._above(x, Padded(size, None if bool(valid.all()) else valid), point, last)]
        chosen = Chosen(valid, packed=True)
        return [x, *map(chosen.put_back, self._above(chosen.take(x), chosen.layout, point, last))]

    def _encode_as_others(self, wavs: Tensor, lengths: Tensor, last: int) -> list[Tensor]:
        """As the original code or transformers treat a padded batch: GroupNorm statistics include the padding."""
        x = self.embed(self.stem(wavs))
        valid = self._valid_as_others(wavs.shape[1], lengths, x.shape[1])
        if valid is not None:
            x = torch.where(valid[..., None], x, x.new_zeros(()))
        x = x + self.position(x)
        return self._contextualize(x, Padded(x.shape[1], valid), last)

    def _valid_as_others(self, samples: int, lengths: Tensor, frames: int) -> Tensor | None:
        if self.config.padding == "legacy_hf_unmasked":
            return None
        if self.config.padding == "legacy" and self.original_mask == "any_sample":
            # The sample mask is cut into as many equal stretches as there are frames, a rest dropped.
            inside = valid_frames(lengths, samples)[:, : samples - samples % frames]
            real: Tensor = inside.unflatten(1, (frames, -1)).any(-1)
            return real
        return valid_frames(self.num_frames(lengths), frames)

    @property
    def num_features(self) -> int:
        """C, the channels of the stem's output."""
        return int(self.config.conv_widths[-1])

    def local_features(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        """What the stem gives, before any norm: (B, S) -> (B, T, C), zero beyond each item."""
        wavs = self.normalized(wavs, lengths)
        if self._is_packed(wavs.device):
            stems = self._stem_rows(wavs, lengths)
            return Packed([len(frames) for frames in stems]).spread(torch.cat(stems), self.num_frames(wavs.shape[1]))
        even = bool((lengths == wavs.shape[1]).all())
        x: Tensor = self.stem(wavs, None if even else lengths)
        valid = valid_frames(self.num_frames(lengths), x.shape[1])
        return x if even else torch.where(valid[..., None], x, x.new_zeros(()))

    def _stem_rows(self, wavs: Tensor, lengths: Tensor) -> list[Tensor]:
        rows: list[Tensor] = self.stem.rows([wav[:n] for wav, n in zip(wavs, lengths.tolist(), strict=True)])
        return rows

    def embed(self, x: Tensor) -> Tensor:
        """Stem output (..., C) -> Transformer input (..., D): norm, projection and dropout."""
        x = self.project(self.feature_norm(x))
        dropped: Tensor = F.dropout(x, self.config.feature_dropout, self.training)
        return dropped

    def contextualize(
        self,
        x: Tensor,
        frames: Tensor,
        last: int,
        *,
        kept: Tensor | None = None,
        ffn_outputs: list[Tensor] | None = None,
    ) -> list[Tensor]:
        """Position codes and blocks: hidden states 0 to `last`, each (B, T, D).

        x: (B, T, D) as `embed` gives them.
        frames: (B,) real frames.
        last: the last state to compute.
        kept: (B, T) bool, the only frames that go through the blocks.
        ffn_outputs: where to append each block's feed-forward output, before it is added to its input.
        Raises ConfigError for `kept` where attention has biases by distance, which would count what is left out.
        """
        valid = valid_frames(frames, x.shape[1])
        x = self._with_positions(x, frames, valid)
        if kept is not None and self.by_distance(1) is not None:
            raise ConfigError(f"{self.display_name} has attention biases by distance and cannot leave frames out.")
        return self._only(x, valid if kept is None else valid & kept, last, ffn_outputs)

    def _with_positions(self, x: Tensor, frames: Tensor, valid: Tensor) -> Tensor:
        """x (B, T, D) plus its position codes, each item by itself."""
        if not self._is_packed(x.device):
            x = torch.where(valid[..., None], x, x.new_zeros(()))
            coded: Tensor = x + self.position(x, valid)
            return coded
        made = [row[:n] + self.position(row[None, :n])[0] for row, n in zip(x, frames.tolist(), strict=True)]
        return Packed(frames.tolist()).spread(torch.cat(made), x.shape[1])

    def _is_packed(self, device: torch.device) -> bool:
        return device.type == "cpu" if self.layout == "auto" else self.layout == "packed"

    def _packs_blocks(self, x: Tensor) -> bool:
        """Whether blocks get the real frames of x (B, T, D) alone."""
        if self.layout != "auto" or x.device.type == "cpu":
            return self._is_packed(x.device)
        return suits(x, self.config.num_heads) and self.by_distance(1) is None

    def _only(self, x: Tensor, kept: Tensor, last: int, ffn_outputs: list[Tensor] | None = None) -> list[Tensor]:
        """Hidden states 0 to `last` of the frames `kept` (B, T) of x (B, T, D), which alone are computed."""
        chosen = Chosen(kept, packed=self._packs_blocks(x))
        inner: list[Tensor] | None = None if ffn_outputs is None else []
        states = self._contextualize(chosen.take(x), chosen.layout, last, inner)
        if ffn_outputs is not None and inner is not None:
            ffn_outputs += map(chosen.put_back, inner)
        return [chosen.put_back(state) for state in states]

    def _contextualize(
        self, x: Tensor, layout: Packed | Padded, last: int, ffn_outputs: list[Tensor] | None = None
    ) -> list[Tensor]:
        """Hidden states 0 to `last` in `layout`."""
        if not self.config.pre_norm:
            x = self.norm(x)
        x = F.dropout(x, self.config.dropout, self.training)
        return [x, *self._above(x, layout, 0, last, ffn_outputs)]

    def _above(
        self, x: Tensor, layout: Packed | Padded, first: int, last: int, ffn_outputs: list[Tensor] | None = None
    ) -> list[Tensor]:
        """Hidden states `first` + 1 to `last` of state `first`, in `layout`."""
        by_distance, layers = self.by_distance(layout.longest), []
        for block in self.blocks[first:last]:
            # A block that is not trained (`finetune=top_k`) is in eval mode, and never dropped.
            if not (block.training and float(torch.rand(())) < self.config.layer_drop):
                x = self._run(block, x, layout, by_distance, ffn_outputs)
            layers.append(x)
        if layers and self.config.pre_norm and self.config.final_norm and last == self.config.num_layers:
            layers[-1] = self.norm(x)
        return layers

    def _run(self, block: nn.Module, x: Tensor, *shared: Any) -> Tensor:
        again = block.training and self.config.gradient_checkpointing and torch.is_grad_enabled()
        made: Tensor = checkpoint(block, x, *shared, use_reentrant=False) if again else block(x, *shared)
        return made

    def by_distance(self, frames: int) -> Tensor | None:
        """Attention biases by distance for items of up to `frames` frames, shared by all blocks, None without any."""
        return None


def _position(config: WaveformConfig) -> nn.Module:
    shape = (config.width, config.position_kernel, config.position_groups)
    if config.position_norm == "batch":
        return BatchNormPositionConv(*shape)
    if config.position_norm == "layer":
        return StackedPositionConv(*shape, config.position_depth)
    return PositionConv(*shape)
