"""The contract of an encoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar, Protocol, overload

import torch
from torch import Tensor, nn

from audiossl.core.errors import AudioError
from audiossl.core.types import Batch, Features
from audiossl.encoders.layers import last_layer


class EncodesBatches(Protocol):
    """What gives the hidden states of a batch, as `Upstream.of_batch` does."""

    def of_batch(self, batch: Batch, *, up_to_layer: int | None = None) -> Features: ...


class Upstream(nn.Module, ABC):
    """An encoder from waveforms to hidden states, layer by layer.

    A subclass sets the facts below in its constructor (nothing is run to find them) and writes `encode`.

    sample_rate_hz: the rate it was trained on.
    widths: D_l of each layer.
    stride: samples from one frame to the next.
    receptive_field: samples that a frame of the front end sees.
    edge: samples that the front end mirrors at each end.
    max_samples: the longest input of an encoder of fixed size. None, as usual, where there is no limit.
    blocks: a ModuleList of the Transformer blocks in their order. Optional, for fine-tuning.
    stem: the convolutional front. Optional, for fine-tuning.
    training_only: parameters that only training mode uses, such as a mask embedding.
    loads_encoder: True for a front end around another upstream that it loads by name. Its Config has the fields
    `weights` and `seed`. `load_upstream` fills them in, and the front end passes them on.
    cpu_only: True for what no GPU can run.
    reads: fields of manifest rows that it reads beside the sound, or instead of it. () for the usual encoders. Rows
    come by `of_batch`.

    An objective may ask for more (its `needs`), and an encoder that has attributes or methods of those names can be
    trained by it. What each of them means, the objective says.
    The contract, checked by `audiossl.check_upstream`: a batch equals its items one by one.
    `num_frames` is exact. Eval is deterministic. Gradients reach every trainable parameter.
    """

    Config: ClassVar[type | None] = None
    training_only: ClassVar[tuple[str, ...]] = ()
    loads_encoder: ClassVar[bool] = False
    cpu_only: ClassVar[bool] = False
    reads: Sequence[str] = ()
    name: str = ""  # the registered name that it was built from
    sample_rate_hz: int = 16000
    widths: tuple[int, ...]
    stride: int
    receptive_field: int
    edge: int = 0
    max_samples: int | None = None
    blocks: nn.ModuleList

    def __init__(self) -> None:
        super().__init__()
        self.register_module("stem", None)  # a class attribute None would hide the module that a subclass sets

    @property
    def display_name(self) -> str:
        """What messages call it: its registered name, or that of its class where it has none."""
        return self.name or type(self).__name__

    @property
    def num_layers(self) -> int:
        return len(self.widths)

    @property
    def reused_parts(self) -> Sequence[nn.Module]:
        """Parts of blocks that the encoder also calls outside of their block, as `module(...)`. None by default.

        Where processes share parameters, such a part is gathered by itself.
        """
        return ()

    @property
    def min_samples(self) -> int:
        """The shortest input that has a frame (mirroring needs one sample more than it mirrors)."""
        return self.edge + 1 if self.edge else self.receptive_field

    @property
    def frame_rate_hz(self) -> float:
        return self.sample_rate_hz / self.stride

    @overload
    def num_frames(self, num_samples: int) -> int: ...
    @overload
    def num_frames(self, num_samples: Tensor) -> Tensor: ...
    def num_frames(self, num_samples: int | Tensor) -> int | Tensor:
        """Frames that an input of `num_samples` gives, exactly: floor((n + 2 edge - receptive_field) / stride) + 1."""
        frames = (num_samples + 2 * self.edge - self.receptive_field) // self.stride + 1
        return frames.clamp(min=0) if isinstance(frames, Tensor) else max(frames, 0)

    @property
    def one_frame(self) -> bool:
        """Whether a recording of any length has one frame, which stands for all of it."""
        return self.num_frames(3600 * self.sample_rate_hz) == 1

    @abstractmethod
    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> Sequence[Tensor]:
        """Hidden states 0 to `last`, each (B, T, D_l) with T = num_frames(S).

        wavs (B, S) float32, zero beyond lengths (B,).
        """

    def encode_even(self, wavs: Tensor, last: int, statistics: Sequence[Tensor] = ()) -> Sequence[Tensor]:
        """As `encode`, for items that all have S samples: what engines compile and export.

        wavs: (B, S) float32.
        last: the last layer that is needed.
        statistics: of the recording that wavs are parts of, as `statistics` gave them. () for whole recordings.
        """
        lengths = torch.full((wavs.shape[0],), wavs.shape[1], dtype=torch.int64, device=wavs.device)
        return self.encode(wavs, lengths, last)

    def statistics(self, blocks: Iterable[Tensor]) -> tuple[Tensor, ...]:
        """What a part of a recording must know of the whole, from one pass over its blocks (S,). () for nothing."""
        return ()

    def forward(self, wavs: Tensor, lengths: Tensor | None = None, *, up_to_layer: int | None = None) -> Features:
        """Hidden states of a batch.

        wavs: (B, S) float32 in [-1, 1] at `sample_rate_hz`.
        lengths: (B,) samples, all S if left out.
        up_to_layer: stop after this layer (0 is the first) and return only layers 0 to it.
        Raises AudioError for an item too short for one frame or beyond `max_samples`, ConfigError for a layer that is
        not there, ValueError for a wrong shape.
        """
        wavs, lengths = self._checked(wavs, lengths)
        last = last_layer(up_to_layer, self.num_layers)
        layers = tuple(self.encode(wavs, lengths, last))
        return Features(layers, self.num_frames(lengths))

    def of_batch(self, batch: Batch, *, up_to_layer: int | None = None) -> Features:
        """As `forward`, of a batch with its manifest rows. What is given rows calls this."""
        features: Features = self(batch.wavs, batch.lengths, up_to_layer=up_to_layer)
        return features

    def _checked(self, wavs: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        if wavs.ndim != 2 or not wavs.is_floating_point():
            raise ValueError(f"wavs must be a float tensor (B, S), not {tuple(wavs.shape)} {wavs.dtype}.")
        batch, samples = wavs.shape
        if lengths is None:
            lengths = torch.full((batch,), samples, dtype=torch.int64, device=wavs.device)
        lengths = lengths.to(wavs.device, torch.int64)
        if lengths.shape != (batch,):
            raise ValueError(f"lengths must be ({batch},), one for each row of wavs, not {tuple(lengths.shape)}.")
        shortest, longest = (int(value) for value in torch.aminmax(lengths)) if batch else (self.min_samples, 0)
        if longest > samples:
            raise ValueError(f"A length of {longest} is beyond the {samples} samples of wavs.")
        if shortest < self.min_samples:
            raise AudioError(
                f"Item {int(lengths.argmin())} has {shortest} samples; this upstream needs at least {self.min_samples} "
                f"({1000 * self.min_samples / self.sample_rate_hz:g} ms at {self.sample_rate_hz} Hz) for one frame."
            )
        if self.max_samples is not None and longest > self.max_samples:
            rate = self.sample_rate_hz
            raise AudioError(
                f"Item {int(lengths.argmax())} lasts {longest / rate:.2f} s; this upstream reads at most "
                f"{self.max_samples / rate:.2f} s: cut it into parts, or encode it chunk by chunk (`encode_long`)."
            )
        inside = torch.arange(samples, device=wavs.device) < lengths[:, None]
        return torch.where(inside, wavs, wavs.new_zeros(())), lengths
