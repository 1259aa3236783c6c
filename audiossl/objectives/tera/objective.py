"""Pre-training by reconstruction from altered frames (TERA, arXiv:2007.06028, section III).

The input is altered along time (blocks of frames), frequency (a band of channels) and magnitude (noise). The model
sees the altered frames and is trained to give the clean ones. The L1 loss is over what was altered in time and
frequency. Mockingjay is the time axis alone. A contrastive term between two views of an utterance may be added
(`views.py`). No published model of the family has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from audiossl.core.ranges import Count, CountOrZero, NonNegative, Positive, Range, Seed, Share
from audiossl.core.types import Batch, Loss
from audiossl.encoders.upstream import Upstream
from audiossl.nn.draws import keyed_generator
from audiossl.nn.masking import valid_frames
from audiossl.objectives.tera.figures import draw_reconstructions
from audiossl.objectives.tera.views import contrastive_loss, random_view
from audiossl.training.feature_statistics import fit_features
from audiossl.training.objective import Objective


@dataclass(frozen=True)
class AlterationConfig:
    """The published settings of the alteration along time, frequency and magnitude.

    With `contrast`, every item is altered and reconstructed in two views. A smooth curve over the bands shifts each.
    """

    time: Share = 0.15
    """Share of frames that are chosen in blocks, which are zeroed (80 %), replaced (10 %) or left (10 %), by one draw
    an utterance. 0 for none."""
    time_block: Count = 7
    """Frames in such a block."""
    frequency: Share = 0.2
    """Largest share of channels that are zeroed. 0 for none."""
    magnitude: Share = 0.15
    """Probability, a batch, of adding noise N(0, noise_std). 0 for never."""
    noise_std: NonNegative = 0.2
    """Standard deviation of that noise."""
    position_jitter: CountOrZero = 0
    """In training, the first frame of a batch has a position code drawn from 0 to this many frames, so that a model
    trained on short crops has met the positions of long recordings. It fails on them otherwise, and the published
    models were trained on 15 s. 0 for none."""
    max_statistics: Count = 500
    """Batches that are read to estimate a global mean and variance."""
    contrast: NonNegative = 0.0
    """Weight of the contrastive term beside the reconstruction. 0 for none, and no views."""
    shortest_view: Annotated[float, Range(above=0, most=1)] = 0.5
    """Smallest share of the item that a view may be."""
    channel_std: NonNegative = 0.5
    """Spread of the curve that a view is shifted by, in standard deviations of the input where that is normalised."""
    temperature: Positive = 0.1
    """Temperature of the softmax of the contrastive term."""
    longest_view_s: NonNegative = 0.0
    """Most seconds of a view. 0 for as long as the item."""
    apart_s: NonNegative = 0.0
    """Items of at least this many seconds have one view in each half, which share the voice and no words. 0 for both
    views anywhere, which mostly overlap."""
    seed: Seed = 0
    """Seed of all draws."""


_SHOWN_FRAMES = 400  # of a picture: more would be too narrow to see a block of 7


_VIEWS = ("first view", "second view")


class Altered(NamedTuple):
    """Utterances after the alteration.

    inputs: (B, T, F) as the model sees them.
    chosen: bool (B, T, F), where the loss is taken.
    """

    inputs: Tensor
    chosen: Tensor


class EncoderOfFrames(Protocol):
    """What is asked of an encoder: its input features apart from what it makes of them.

    num_features: F of the input features.
    norm_eps: of its layer norms.
    needs_statistics: True while it waits for `set_statistics`.
    """

    num_features: int
    """F, the number of input features."""
    norm_eps: float
    """Of its layer norms, which the head's shares."""

    @property
    def needs_statistics(self) -> bool:
        """True while it waits for `set_statistics`."""

    def local_features(self, wavs: Tensor, lengths: Tensor, *, normalized: bool = True) -> Tensor:
        """wavs (B, S) with lengths (B,) -> input features (B, T, F)."""

    def embed(self, x: Tensor) -> Tensor:
        """Input features (B, T, F) -> what `contextualize` takes (B, T, D)."""

    def contextualize(self, x: Tensor, frames: Tensor, last: int, *, first_position: int = 0) -> list[Tensor]:
        """From embedded frames to hidden states 0 to `last`, each (B, T, D).

        x: (B, T, D).
        frames: (B,), how many of them are real.
        last: the last state that is needed.
        first_position: the number of the first frame's position code.
        """

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Mean and standard deviation (F,) of the training data, by which features are normalised."""


class TeraObjective(Objective):
    """An encoder of frames with a prediction head Linear, GELU, LayerNorm, Linear."""

    Config = AlterationConfig
    needs = (
        *("num_features", "norm_eps", "needs_statistics"),
        *("local_features", "embed", "contextualize", "set_statistics"),
    )

    def __init__(self, upstream: Upstream, config: AlterationConfig | None = None) -> None:
        super().__init__(upstream)
        self.config = config or AlterationConfig()
        width = upstream.widths[-1]
        self.head = nn.Sequential(
            nn.Linear(width, width),
            nn.GELU(),
            nn.LayerNorm(width, self.encoder.norm_eps),
            nn.Linear(width, self.encoder.num_features),
        )

    @property
    def encoder(self) -> EncoderOfFrames:
        """The upstream, as what the objective asks of it."""
        return cast(EncoderOfFrames, self.upstream)

    @property
    def item_wise(self) -> bool:
        """The noise is drawn for a whole batch, as published, and the contrastive term compares its items."""
        return self.config.magnitude == 0 and self.config.contrast == 0

    def loss(self, batch: Batch) -> Loss:
        """Mean absolute error over the chosen points of all items, plus the weighted contrastive term if any.

        The loss is weighted by how many points there are.
        """
        clean, inputs, chosen, frames = self._altered(batch)
        states = self._encode(inputs, frames, self._first_position(batch))
        count = chosen.sum()
        error = (self.head(states) - clean).abs()
        total = torch.where(chosen, error, 0.0).sum() / count.clamp(min=1)
        if not self.config.contrast:
            return Loss(total, count.to(total.dtype))
        inside = valid_frames(frames, states.shape[1])[:, :, None]
        means = torch.where(inside, states.float(), 0.0).sum(1) / frames[:, None]  # (2 B, D)
        names = [cut.id for cut in batch.cuts] or None  # balanced drawing may give a row twice, cut elsewhere
        contrast = contrastive_loss(means, self.config.temperature, names)
        logs = {"reconstruction": total.detach(), "contrast": contrast.detach()}
        return Loss(total + self.config.contrast * contrast, count.to(total.dtype), logs)

    def fit(self, batches: Iterable[Batch]) -> None:
        """Mean and standard deviation of every band over the frames of `max_statistics` batches."""
        fit_features(self.upstream, islice(batches, self.config.max_statistics))

    @torch.no_grad()
    def snapshot(self, batch: Batch, folder: Path) -> dict[str, Path]:
        """Clean input, altered input and reconstruction of the first items, their first `_SHOWN_FRAMES` frames."""
        clean, inputs, _, frames = self._altered(batch)
        made = self._reconstruct(inputs, frames).float()
        panels = [
            tuple(x[item, : min(int(frames[item]), _SHOWN_FRAMES)].cpu().numpy() for x in (clean, inputs, made))
            for item in range(min(3, len(batch)))
        ]
        path = draw_reconstructions(panels, folder / "reconstruction.png", self.upstream.frame_rate_hz)
        return {"Reconstruction of held-out sound": path}

    def _reconstruct(self, inputs: Tensor, frames: Tensor, first_position: int = 0) -> Tensor:
        out: Tensor = self.head(self._encode(inputs, frames, first_position))
        return out

    def _encode(self, inputs: Tensor, frames: Tensor, first_position: int = 0) -> Tensor:
        last = self.upstream.num_layers - 1
        return self.encoder.contextualize(self.encoder.embed(inputs), frames, last, first_position=first_position)[-1]

    def _first_position(self, batch: Batch) -> int:
        if not self.training or self.config.position_jitter == 0:
            return 0
        draw = keyed_generator(self.config.seed, *(batch.position or (0, 0)), "position")
        return int(torch.randint(self.config.position_jitter + 1, (), generator=draw))

    def _altered(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """clean, inputs, chosen (B, T, F) and frames (B,).

        With `contrast` they have 2 B rows: first views, then second ones.
        The draw of an item does not depend on its batch, but for the noise.
        """
        seed = self.config.seed
        clean = self.encoder.local_features(batch.wavs, batch.lengths)
        frames = self.upstream.num_frames(batch.lengths)
        draws = self.draws(batch, seed)
        if self.config.contrast:
            clean, frames = self._views(
                clean, frames, [d for view in _VIEWS for d in self.draws(batch, seed, view, "part")]
            )
            draws = [draw for view in _VIEWS for draw in self.draws(batch, seed, view)]
        inputs, chosen = alter(clean, frames, self.config, draws)
        # Magnitude: the whole batch, or none of it. Validation alters the same sound in the same way each time.
        position = (batch.position or (0, 0)) if self.training else (-1, -1)
        draw = keyed_generator(seed, *position, "magnitude")
        if torch.rand((), generator=draw) < self.config.magnitude:
            noise = torch.randn(inputs.shape, generator=draw).to(inputs)
            inputs = inputs + self.config.noise_std * noise
        return clean, inputs, chosen, frames

    def _views(self, x: Tensor, frames: Tensor, draws: Sequence[torch.Generator]) -> tuple[Tensor, Tensor]:
        """x (B, T, F) of (B,) frames -> one view a draw, (2 B, T', F), and their frames (2 B,)."""
        config, views = self.config, []
        frames_hz = self.upstream.sample_rate_hz / self.upstream.stride
        longest, apart = round(config.longest_view_s * frames_hz), config.apart_s * frames_hz
        for row, (draw, item, count) in enumerate(zip(draws, [*x, *x], frames.tolist() * 2, strict=True)):
            first, end = 0, count
            if 0 < apart <= count:
                first, end = (0, count // 2) if row < len(x) else (count // 2, count)
            views.append(random_view(item[first:end], config.shortest_view, config.channel_std, draw, longest or None))
        lengths = torch.tensor([len(view) for view in views], device=frames.device)
        return nn.utils.rnn.pad_sequence(views, batch_first=True), lengths


def alter(x: Tensor, frames: Tensor, config: AlterationConfig, draws: Sequence[torch.Generator]) -> Altered:
    """Alter utterances along time, then frequency, each by its own draw and its real frames only.

    x: (B, T, F).
    frames: (B,), how many of them are real.
    config: how much is altered.
    draws: a generator on the CPU for each utterance.
    All is drawn on the CPU and moved to the device once: a copy for each item would have the device wait each time.
    """
    counts = frames.tolist()
    drawn = [draw_alteration(count, x.shape[2], config, draw) for count, draw in zip(counts, draws, strict=True)]
    # Padding stays as it is and is not chosen.
    source = torch.arange(x.shape[1]).repeat(len(drawn), 1)
    zeroed, rows = torch.zeros_like(source, dtype=torch.bool), torch.zeros_like(source, dtype=torch.bool)
    for item, (count, one) in enumerate(zip(counts, drawn, strict=True)):
        source[item, :count], zeroed[item, :count], rows[item, :count] = one.source, one.zeroed, one.chosen
    bands = torch.tensor([[*one.band, count] for count, one in zip(counts, drawn, strict=True)])
    source, zeroed, rows, bands = (each.to(x.device) for each in (source, zeroed, rows, bands))
    channels, times = torch.arange(x.shape[2], device=x.device), torch.arange(x.shape[1], device=x.device)
    first, end, count = (bands[:, place, None, None] for place in range(3))
    band = (channels >= first) & (channels < end) & (times[:, None] < count)  # (B, T, F)
    inputs = x.gather(1, source[:, :, None].expand_as(x)).masked_fill(zeroed[:, :, None] | band, 0)
    return Altered(inputs, rows[:, :, None] | band)


class Alteration(NamedTuple):
    """What is done to an utterance of T frames.

    source: (T,), from which frame each is taken.
    zeroed, chosen: bool (T,), frames that are zeroed, and those where the loss is taken.
    band: the first channel that is zeroed, and the one after the last.
    """

    source: Tensor
    zeroed: Tensor
    chosen: Tensor
    band: tuple[int, int]


def draw_alteration(num_frames: int, num_channels: int, config: AlterationConfig, draw: torch.Generator) -> Alteration:
    """The draw of one utterance. With both axes switched off, everything is chosen.

    num_frames: T of the utterance.
    num_channels: F of its frames.
    config: how much is altered.
    draw: what it is drawn by.
    """
    source = torch.arange(num_frames)
    zeroed, chosen = torch.zeros(num_frames, dtype=torch.bool), torch.zeros(num_frames, dtype=torch.bool)
    if config.time == 0 and config.frequency == 0:
        return Alteration(source, zeroed, ~chosen, (0, 0))
    rows = choose_blocks(num_frames, config.time, config.time_block, draw)
    chosen[rows] = True
    dice = float(torch.rand((), generator=draw))
    if dice < 0.8:
        zeroed[rows] = True
    elif dice < 0.9 and len(rows):
        starts = torch.randint(num_frames - config.time_block, (len(rows) // config.time_block,), generator=draw)
        source[rows] = _blocks(starts, config.time_block)
    widest = int(num_channels * config.frequency)
    band = int(torch.randint(widest + 1, (), generator=draw))
    first = int(torch.randint(num_channels - band + 1, (), generator=draw))
    return Alteration(source, zeroed, chosen, (first, first + band))


def choose_blocks(num_frames: int, share: float, block: int, draw: torch.Generator) -> Tensor:
    """Frame numbers of round(T share / block) blocks: starts drawn without replacement from 0 .. T - block - 1.

    Blocks may overlap, as published. There are fewer blocks where there are fewer starts, and none in an utterance of
    one block.

    num_frames: T of the utterance.
    share: of the frames that are chosen.
    block: frames in a block.
    draw: what the starts are drawn by.
    """
    starts = torch.randperm(max(num_frames - block, 0), generator=draw)
    return _blocks(starts[: round(num_frames * share / block)], block)


def _blocks(starts: Tensor, block: int) -> Tensor:
    return (starts[:, None] + torch.arange(block)).flatten()
