"""Any encoder for the benchmarks HEAR (Turian et al., 2022, arXiv:2203.03022) and X-ARES (arXiv:2505.16369).

For HEAR this module is the one that is named: `hear-validator audiossl.analysis.adapters -m tera_mini`. It has
`load_model`, `get_timestamp_embeddings` and `get_scene_embeddings`. For X-ARES a file of yours has
`MyEncoder = lambda: XaresEncoder("tera_mini")`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from audiossl.data.frame_labels import first_centre_s
from audiossl.encoders.devices import device_of
from audiossl.encoders.layers import parse_layers
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.upstream import Upstream


class JoinedLayers(nn.Module):
    """Hidden states of some layers of an encoder, one after the other, without gradient.

    upstream: an encoder, or what `load_upstream` takes.
    layer: 'last', 'all', or numbers and ranges such as '0,6-8'.
    options: of the encoder, where it is loaded.
    Raises ConfigError for a layer that is not there, and as `load_upstream`.
    """

    def __init__(
        self, upstream: str | Upstream = "tera_mini", layer: str = "last", options: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.upstream = upstream if isinstance(upstream, Upstream) else load_upstream(upstream, **(options or {}))
        self.upstream.eval().requires_grad_(False)
        self.layers = parse_layers(layer, self.upstream.num_layers, option="layer")

    @property
    def width(self) -> int:
        """D, the sum of the widths of the layers."""
        return sum(self.upstream.widths[layer] for layer in self.layers)

    def train(self, mode: bool = True) -> JoinedLayers:
        """Stay in evaluation mode, whatever a benchmark asks for."""
        return super().train(False)

    @torch.no_grad()
    def states(self, wavs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """(B, T, D) float32 of sound (B, S), or of one recording (S,), on the device of the encoder.

        wavs: at the encoder's rate, in [-1, 1].
        lengths: (B,) samples. Frames beyond an item's are undefined.
        Raises AudioError for sound that is too short or too long for the encoder.
        """
        wavs = wavs[None] if wavs.ndim == 1 else wavs
        wavs = wavs.to(device_of(self.upstream), torch.float32)
        found = self.upstream(wavs, lengths, up_to_layer=self.layers[-1]).layers
        return torch.cat([found[layer].float() for layer in self.layers], dim=-1)

    def frame_times_ms(self, num_frames: int) -> Tensor:
        """(T,) milliseconds from the start of the sound to the centre of each frame."""
        first_s, step_s = first_centre_s(self.upstream), 1 / self.upstream.frame_rate_hz
        # In double precision, so that nothing drifts in long recordings.
        return 1000 * (first_s + step_s * torch.arange(num_frames, dtype=torch.float64))


class HearModel(JoinedLayers):
    """A model of HEAR: facts, and `forward` gives the embeddings of timestamps."""

    @property
    def sample_rate(self) -> int:
        return self.upstream.sample_rate_hz

    @property
    def timestamp_embedding_size(self) -> int:
        return self.width

    @property
    def scene_embedding_size(self) -> int:
        return self.width

    def forward(self, audio: Tensor) -> Tensor:
        """As `states`."""
        return self.states(audio)


def load_model(model_file_path: str = "", **options: Any) -> HearModel:
    """The model of HEAR's API.

    model_file_path: what `load_upstream` takes. Empty for tera_mini.
    options: `layer`, and those of the encoder.
    """
    layer = options.pop("layer", "last")
    return HearModel(model_file_path or "tera_mini", layer, options)


def get_timestamp_embeddings(audio: Tensor, model: HearModel) -> tuple[Tensor, Tensor]:
    """(B, T, D) and the centres of the frames (B, T) in milliseconds, of sounds (B, S) of one length."""
    states = model(audio)
    times = model.frame_times_ms(states.shape[1]).to(states.device, torch.float32)
    return states, times.expand(len(states), -1)


def get_scene_embeddings(audio: Tensor, model: HearModel) -> Tensor:
    """(B, D), the mean over the frames, of sounds (B, S) of one length."""
    means: Tensor = model(audio).mean(dim=1)
    return means


class XaresEncoder(JoinedLayers):
    """An encoder of X-ARES. What it pads with zeros is heard as silence, since it tells no lengths."""

    @property
    def sampling_rate(self) -> int:
        return self.upstream.sample_rate_hz

    @property
    def output_dim(self) -> int:
        return self.width

    @property
    def hop_size_in_ms(self) -> float:
        return 1000 / self.upstream.frame_rate_hz

    def forward(self, audio: Tensor, audio_length: Tensor | None = None) -> Tensor:
        """(B, T, D) of sounds (B, S) or (S,), with lengths (B,) in samples where they are known."""
        return self.states(audio, audio_length)
