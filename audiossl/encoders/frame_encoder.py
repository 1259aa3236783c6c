"""What an objective may ask of an encoder beyond the contract of every upstream: its parts, one after the other."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn


class FrameEncoder(Protocol):
    """An encoder whose front end, embedding and Transformer can be run one by one.

    An objective names in its `needs` what it uses. An encoder offers what it has, under these names. In eval mode,
    `encode` is `contextualize(embed(local_features(wavs, lengths)), num_frames(lengths), last)`, which
    `audiossl.check_upstream` asserts of every encoder with `local_features`.

    num_features: F, the width of what the front end gives.
    feature_norm: the norm between the front end and the projection. Optional.
    mask_embedding: (D,), what a masked frame becomes. Optional: an objective brings its own.
    blocks: the Transformer blocks. Optional.
    is_causal: True where `contextualize` sees no later frame, but for statistics. Optional: what predicts the future
        asks for it.
    """

    num_features: int
    feature_norm: nn.Module
    mask_embedding: nn.Parameter
    blocks: nn.ModuleList
    is_causal: bool

    def local_features(self, wavs: Tensor, lengths: Tensor) -> Tensor:
        """What the front end gives: (B, S) with (B,) samples -> (B, T, F).

        The output of the last convolution of a waveform encoder, before any norm. The normalised bands of an encoder
        of spectral frames.
        """

    def embed(self, x: Tensor) -> Tensor:
        """Local features (B, T, F) -> input of the Transformer (B, T, D), without position codes."""

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

        x: (B, T, D) as `embed` gives them, masked or not.
        frames: (B,) real frames.
        last: the last state to compute.
        kept: (B, T) bool, the only frames that go through the blocks, with the position codes that they have among
            all. The others come back as 0. At least one an item. Optional: an encoder may have no such argument.
        ffn_outputs: a list to which each block's feed-forward output (B, T, D) is appended, before it is added to its
            input.
        """
