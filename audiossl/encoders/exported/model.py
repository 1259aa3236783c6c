"""An exported encoder behind the contract of an encoder.

One that takes any length gives frames, and each recording goes through it alone, so that padding cannot change a
result. One of fixed length gives one state for a window. Windows begin every `hop_s`, as many as it takes to have all
of the recording, and zeros fill up the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import torch
import torch.nn.functional as F
from torch import Tensor

from audiossl.core.errors import CheckpointError
from audiossl.encoders.exported.config import ExportedConfig
from audiossl.encoders.exported.program import Program
from audiossl.encoders.items import join_items
from audiossl.encoders.upstream import Upstream
from audiossl.encoders.waveform.model import NORMALIZE_EPS


class ExportedUpstream(Upstream):
    """A frozen encoder without parameters of its own, on the CPU. Its fingerprint is that of file and configuration.

    program: what is run.
    config: complete, as `load_exported` makes it.
    widths: of its layers.
    """

    Config = ExportedConfig
    cpu_only = True

    def __init__(self, program: Program, config: ExportedConfig, widths: Sequence[int]) -> None:
        super().__init__()
        self.program, self.config, self.widths = program, config, tuple(widths)
        assert config.sample_rate_hz is not None
        self.sample_rate_hz = config.sample_rate_hz
        if config.window_s is not None:
            self.receptive_field = max(1, round(config.window_s * self.sample_rate_hz))
            self.stride = max(1, round((config.hop_s or config.window_s) * self.sample_rate_hz))
        else:
            assert config.receptive_field is not None and config.stride is not None
            self.receptive_field, self.stride = config.receptive_field, config.stride
            self.max_samples = config.max_samples
        # The state dict holds what tells this encoder from others: its weights are in the file.
        self.register_buffer("sha256", torch.tensor(list(bytes.fromhex(program.sha256)), dtype=torch.uint8))

    @property
    def display_name(self) -> str:
        return f"{self.program.kind}:{self.program.path.name}"

    @property
    def in_windows(self) -> bool:
        """Whether it takes sound of one length, and gives one state for it."""
        return self.config.window_s is not None

    @property
    def min_samples(self) -> int:
        if self.in_windows:
            return self.config.min_samples or 1
        return max(self.config.min_samples or 1, self.receptive_field - self.config.margin, 1)

    @overload
    def num_frames(self, num_samples: int) -> int: ...
    @overload
    def num_frames(self, num_samples: Tensor) -> Tensor: ...
    def num_frames(self, num_samples: int | Tensor) -> int | Tensor:
        """Frames, or windows: 1 + ceil((n - window) / hop), at least 1."""
        if self.in_windows:
            frames, fewest = (num_samples - self.receptive_field + self.stride - 1) // self.stride + 1, 1
        else:
            frames, fewest = (num_samples + self.config.margin - self.receptive_field) // self.stride + 1, 0
        return frames.clamp(min=fewest) if isinstance(frames, Tensor) else max(frames, fewest)

    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> Sequence[Tensor]:
        items = [self._item(wav[:n], last) for wav, n in zip(wavs, lengths.tolist(), strict=True)]
        return join_items(items, self.num_frames(wavs.shape[1])) if items else self._nothing(wavs, last)

    def _item(self, wav: Tensor, last: int) -> list[Tensor]:
        """wav (S,) -> layers 0 to `last`, each (1, T, D_l)."""
        if self.config.normalize != "none":
            variance, mean = torch.var_mean(wav, correction=0)
            wav = (wav - mean) * torch.rsqrt(variance + NORMALIZE_EPS[self.config.normalize])
        if not self.in_windows:
            return self._run(wav, last, self.num_frames(len(wav)))
        count = self.num_frames(len(wav))
        filled = F.pad(wav, (0, (count - 1) * self.stride + self.receptive_field - len(wav)))
        windows = filled.unfold(0, self.receptive_field, self.stride)  # (T, window)
        states = [self._run(window, last, None) for window in windows]
        return [torch.cat(layer, dim=1) for layer in zip(*states, strict=True)]

    def _run(self, wav: Tensor, last: int, frames: int | None) -> list[Tensor]:
        """The program on a wav (S,), as (1, T, D_l) of each layer.

        frames: how many there must be. None for a window, which gets one state, the mean of its frames.
        """
        names = self.config.outputs[: last + 1]
        made = self.program.run(wav[None], names)
        layers = [made[name].to(wav.device, torch.float32) for name in names]
        if frames is None:
            layers = [layer[:, None] if layer.ndim == 2 else layer.mean(dim=1, keepdim=True) for layer in layers]
        for name, layer, width in zip(names, layers, self.widths, strict=False):
            if layer.shape != (1, expected := frames or 1, width):
                raise CheckpointError(
                    f"The output {name!r} of {self.program} is {tuple(layer.shape)} for {len(wav)} samples, not (1, "
                    f"{expected}, {width}); set its stride, receptive_field and margin, with which the number of "
                    f"frames is (samples + margin - receptive_field) // stride + 1."
                )
        return layers

    def _nothing(self, wavs: Tensor, last: int) -> list[Tensor]:
        frames = self.num_frames(wavs.shape[1])
        return [wavs.new_zeros(0, frames, width) for width in self.widths[: last + 1]]
