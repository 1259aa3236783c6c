"""TERA (arXiv:2007.06028), Mockingjay (arXiv:1910.12638) and AudioALBERT (arXiv:2005.08575).

All three are a BERT encoder on spectral frames. They differ in what is altered in pre-training and in whether the
blocks share weights. Hidden states: the input representation, then the output of each block (num_layers + 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from audiossl.core.errors import CheckpointError, ConfigError
from audiossl.core.ranges import Count, CountOrZero, Depth, Finite, NonNegative, ShareBelowOne, check_ranges
from audiossl.encoders.upstream import Upstream
from audiossl.nn import filterbank
from audiossl.nn.masking import valid_frames
from audiossl.nn.parallel_adapter import beside
from audiossl.nn.transformer import Chosen, Layout, Padded
from audiossl.nn.varlen import suits


@dataclass(frozen=True)
class TeraConfig:
    """Defaults: the published base model on log mel features.

    With normalize='global', the mean and variance of the training data lie in the checkpoint, and the utterance's own
    mean, which carries speaker and vowel, reaches the model.
    """

    features: Literal["log_mel", "spectrogram", "fbank"] = "log_mel"
    """Input features: log_mel and spectrogram have centred frames, fbank those of Kaldi."""
    num_mels: Count = 80
    """Mel bands of log_mel and fbank."""
    deltas: CountOrZero = 0
    """Orders of differences over time that are appended, 0 for none."""
    level_db: Finite | None = -25.0
    """Level in dB full scale to which the waveform is scaled first, null to leave it as it is."""
    log_eps: NonNegative = 1e-10
    """What log_mel and spectrogram add to power before the logarithm."""
    normalize: Literal["utterance", "global", "none"] = "utterance"
    """Each band to zero mean and unit variance over the utterance (as published) or over the training data, or not."""
    width: Count = 768
    """Channels of a hidden state."""
    num_layers: Depth = 3
    """Transformer blocks."""
    num_heads: Count = 12
    """Attention heads of each block."""
    ffn_width: Count = 3072
    """Hidden units of each block's feed-forward part."""
    dropout: ShareBelowOne = 0.1
    """Share of the numbers dropped after each part of a block, in training."""
    attention_dropout: ShareBelowOne = 0.1
    """Share of the attention weights dropped, in training."""
    norm_eps: NonNegative = 1e-12
    """Added to the variance in all norms."""
    share_layers: bool = False
    """Whether one block is applied `num_layers` times (AudioALBERT)."""
    input_init_std: NonNegative = 0.02
    """Initial spread of the input projection (at the published 0.02 position codes outweigh the input for long)."""
    sample_rate_hz: Count = 16000
    """Sampling rate of the waveform in Hz."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.width % self.num_heads:
            raise ConfigError(f"width={self.width} must be a multiple of num_heads={self.num_heads}.")


class BertBlock(nn.Module):
    """A block of BERT, normalised after each of its parts."""

    parallel_adapter: nn.Module | None

    def __init__(self, config: TeraConfig) -> None:
        super().__init__()
        width = config.width
        self.num_heads, self.attention_dropout = config.num_heads, config.attention_dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width, config.norm_eps)
        self.up = nn.Linear(width, config.ffn_width)
        self.down = nn.Linear(config.ffn_width, width)
        self.ffn_norm = nn.LayerNorm(width, config.norm_eps)
        self.dropout = nn.Dropout(config.dropout)
        self.register_module("parallel_adapter", None)  # fine-tuning may add one

    def forward(self, x: Tensor, layout: Layout, ffn_outputs: list[Tensor] | None = None) -> Tensor:
        """One block.

        x: (..., D) in `layout`.
        layout: how frames of items lie in x.
        ffn_outputs: where to append what the feed-forward part gives before it is added to its input.
        Returns (..., D).
        """
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1))
        attended = layout.attend(qkv, None, self.attention_dropout if self.training else 0.0)
        x = self.attention_norm(x + self.dropout(self.out(attended)))
        change = beside(self.parallel_adapter, self.dropout(self.down(F.gelu(self.up(x)))), x)
        if ffn_outputs is not None:
            ffn_outputs.append(change)
        x = self.ffn_norm(x + change)
        return x


class Tera(Upstream):
    """A BERT encoder on spectral frames.

    layout: 'padded' (masked) or 'auto': real frames alone in the blocks where one call attends within all items.
    """

    Config = TeraConfig
    divides_at_stem = masks_input = False
    layout: Literal["auto", "padded"] = "auto"
    feature_mean: Tensor
    feature_std: Tensor
    positions: Tensor

    def __init__(self, config: TeraConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or TeraConfig()
        self.sample_rate_hz = config.sample_rate_hz
        self.frontend, bands = _frontend(config)
        self.stride, self.receptive_field, self.edge = self.frontend.hop, self.frontend.win, self.frontend.edge
        self.num_features, self.norm_eps = bands * (config.deltas + 1), config.norm_eps
        self.widths = (config.width,) * (config.num_layers + 1)
        if config.normalize == "global":
            # NaN until `set_statistics`: a model that never saw its training data must not run silently.
            self.register_buffer("feature_mean", torch.full((self.num_features,), torch.nan))
            self.register_buffer("feature_std", torch.full((self.num_features,), torch.nan))
        self.project = nn.Linear(self.num_features, config.width)
        self.norm = nn.LayerNorm(config.width, config.norm_eps)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(BertBlock(config) for _ in range(1 if config.share_layers else config.num_layers))
        self.register_buffer("positions", sinusoids(1024, config.width), persistent=False)
        self.apply(_init_weights)
        # At 0.02, position codes of spread 0.7 outweigh 80 standardised bands (0.18) until training has changed that.
        nn.init.normal_(self.project.weight, std=config.input_init_std)

    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> Sequence[Tensor]:
        frames = self.num_frames(lengths)
        return self.contextualize(self.embed(self.local_features(wavs, lengths)), frames, last)

    def local_features(self, wavs: Tensor, lengths: Tensor, *, normalized: bool = True) -> Tensor:
        """Normalised input features (B, T, num_features), float32 (logarithms of power need it)."""
        with torch.autocast(wavs.device.type, enabled=False):
            wavs = wavs.float()
            if self.config.level_db is not None:
                wavs = filterbank.set_level(wavs, lengths, self.config.level_db)
            x = self.frontend(wavs, lengths)
            frames = self.num_frames(lengths)
            if self.config.deltas:
                x = filterbank.add_deltas(x, frames, self.config.deltas)
            return self._normalize(x, frames) if normalized else x

    def embed(self, x: Tensor) -> Tensor:
        """Input features (B, T, num_features) -> (B, T, width), before position codes."""
        projected: Tensor = self.project(x.to(self.project.weight.dtype))
        return projected

    def contextualize(
        self,
        x: Tensor,
        frames: Tensor,
        last: int,
        *,
        first_position: int = 0,
        ffn_outputs: list[Tensor] | None = None,
    ) -> list[Tensor]:
        """Embedded frames (B, T, width) -> hidden states 0 to `last`, each (B, T, width).

        x: as `embed` gives them.
        frames: (B,) real frames.
        last: the last state to compute.
        first_position: the position code of the first frame (not 0 in pre-training on crops).
        ffn_outputs: where to append each block's feed-forward output, before it is added to its input.
        """
        positions = self._positions(first_position + x.shape[1])[first_position:]
        x = self.dropout(self.norm(x + positions.to(self.project.weight.dtype)))
        inside = valid_frames(frames, x.shape[1])
        if self.layout == "padded" or not suits(x, self.config.num_heads):
            return self._states(x, Padded(x.shape[1], inside), last, ffn_outputs)
        chosen, inner = Chosen(inside, packed=True), list[Tensor]()
        states = self._states(chosen.take(x), chosen.layout, last, inner)
        if ffn_outputs is not None:
            ffn_outputs += map(chosen.put_back, inner)
        return [chosen.put_back(state) for state in states]

    def begin(self, wavs: Tensor, lengths: Tensor, point: int) -> list[Tensor]:
        """As `Divisible.begin`."""
        states = list(self.encode(wavs, lengths, point))
        return [*states, states[-1]]

    def go_on(self, carried: Tensor, frames: Tensor, point: int, last: int) -> list[Tensor]:
        """Hidden states `point` to `last`, each (B, T, D).

        carried, frames, point, last: as for `Divisible.go_on`.
        """
        x = carried.to(self.project.weight.dtype)
        inside = valid_frames(frames, x.shape[1])
        if self.layout == "padded" or not suits(x, self.config.num_heads):
            return self._states(x, Padded(x.shape[1], inside), last, None, point)
        chosen = Chosen(inside, packed=True)
        return [chosen.put_back(state) for state in self._states(chosen.take(x), chosen.layout, last, None, point)]

    def _states(
        self, x: Tensor, layout: Layout, last: int, ffn_outputs: list[Tensor] | None, first: int = 0
    ) -> list[Tensor]:
        """Hidden states `first` to `last` of state `first`, in `layout`."""
        states = [x]
        for index in range(first, last):
            x = self.blocks[0 if self.config.share_layers else index](x, layout, ffn_outputs)
            states.append(x)
        return states

    @property
    def needs_statistics(self) -> bool:
        """True while features are to be normalised by training data whose statistics nobody has set."""
        return self.config.normalize == "global" and bool(self.feature_std.isnan().any())

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Mean and standard deviation (num_features,) of the training data, for normalize='global'."""
        self.feature_mean.copy_(mean)
        self.feature_std.copy_(std)

    def _normalize(self, x: Tensor, frames: Tensor) -> Tensor:
        if self.config.normalize == "utterance":
            return filterbank.normalize_utterance(x, frames)
        if self.config.normalize == "global":
            if not torch.compiler.is_compiling() and self.needs_statistics:  # of what is traced, no value is known
                raise CheckpointError(
                    "This TERA normalises by the mean of its training data and has none yet: pre-train it, load a "
                    "checkpoint, or set normalize=utterance."
                )
            return (x - self.feature_mean) / self.feature_std
        return x

    def _positions(self, frames: int) -> Tensor:
        if torch.compiler.is_compiling():  # a graph for any length has no table that grows
            return sinusoids(frames, self.config.width).to(self.positions)
        if self.positions.shape[0] < frames:  # grows with the longest input seen
            self.positions = sinusoids(2 * frames, self.config.width).to(self.positions)
        return self.positions[:frames]


def sinusoids(frames: int, width: int) -> Tensor:
    """Positions (frames, width): sine on even channels and cosine on odd ones, wavelengths 2 pi to 20000 pi."""
    channel = torch.arange(width, dtype=torch.float64)
    rate = 10000.0 ** (-2 * torch.div(channel, 2, rounding_mode="floor") / width)
    angle = torch.arange(frames, dtype=torch.float64)[:, None] * rate
    return torch.where(channel % 2 == 0, angle.sin(), angle.cos()).float()


def _frontend(config: TeraConfig) -> tuple[filterbank.Frontend, int]:
    rate = config.sample_rate_hz
    if config.features == "spectrogram":
        spectrogram = filterbank.CentredSpectrogram(rate, eps=config.log_eps)
        return spectrogram, spectrogram.win // 2 + 1
    if config.features == "fbank":
        return filterbank.KaldiFbank(rate, config.num_mels), config.num_mels
    return filterbank.CentredLogMel(rate, config.num_mels, eps=config.log_eps), config.num_mels


def _init_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
