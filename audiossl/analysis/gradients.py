"""Gradients of self-supervised losses as features beside the vectors of a layer (FUNGI, arXiv:2407.10964).

What a loss without labels would change in the attention's output projection of the block that made a layer tells items
apart, without training. Of each loss the gradient of an item is brought to the layer's width by a count sketch: each
entry goes to one of D places with a random sign. Vectors and gradients are scaled to length 1, joined, and reduced to
the principal components of training items, as many as the vectors have columns.

The two losses are read off the mean over time of the layer, standardised by training items:
kl      the divergence of the softmax of a random projection to 128 outputs from the uniform distribution
simclr  two parts of 80 % of the recording, each with noise at 20 dB, among up to 128 training recordings as negatives

Temperatures, sizes and views are choices made here for sound. All draws follow from the seed and the id of a row.
An item costs a pass of the encoder over the recording, two over its parts, and the way back through one block a layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiossl.analysis.functionals import Functionals, Vectors
from audiossl.analysis.probes import Scaling
from audiossl.core.errors import ConfigError
from audiossl.core.terminal import progress
from audiossl.core.types import Features
from audiossl.data.loader import collate
from audiossl.encoders.devices import place
from audiossl.encoders.upstream import Upstream
from audiossl.nn.draws import keyed_generator
from audiossl.nn.pooling import MeanPooling

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut

_MOST_S = 20.0  # of a recording that are read
_OUTPUTS, _NEGATIVES, _TEMPERATURE = 128, 128, 0.1
_PART, _NOISE_DB = 0.8, 20.0


def attention_weight(upstream: Upstream, layer: int) -> Tensor:
    """The output projection of the attention in the block that made a layer.

    Raises ConfigError for a layer that no block of its own made, and for blocks without such a projection.
    """
    blocks = list(getattr(upstream, "blocks", ()))
    if not blocks or len(blocks) != upstream.num_layers - 1:
        raise ConfigError(
            f"--gradients needs an encoder with a block for each layer, and {upstream.display_name} has {len(blocks)} "
            f"for {upstream.num_layers} layers; leave it out."
        )
    if layer == 0:
        raise ConfigError(f"--gradients: layer 0 is made by no block; choose others by --layers 1-{len(blocks)}.")
    linear = getattr(blocks[layer - 1], "out", None)
    if not isinstance(linear, nn.Linear):
        raise ConfigError(
            f"--gradients reads the attention's output projection `out`, which the blocks of {upstream.display_name} "
            f"lack; leave it out."
        )
    return linear.weight


class LayerLosses(NamedTuple):
    """The losses of a layer, and what becomes of their gradients.

    weight: the projection (D, D') that gradients are of.
    mean, scale: (D,), by which means over time are standardised.
    head: (D, C) of the first loss.
    bank: negatives (N, D) of the second, of length 1, and their `bank_ids`.
    places, signs: (D D'), of the count sketch.
    """

    weight: Tensor
    mean: Tensor
    scale: Tensor
    head: Tensor
    bank: Tensor
    bank_ids: tuple[str, ...]
    places: Tensor
    signs: Tensor

    @classmethod
    def of(cls, weight: Tensor, train: Functionals, layer: int, seed: int) -> LayerLosses:
        """Of training items.

        weight: the projection.
        train: their vectors, whose first D columns are means over time.
        layer: the one that is meant.
        seed: of all draws.
        """
        draw, width, device = keyed_generator(seed, "gradients", layer), len(weight), weight.device
        means = train.layers[layer][:, :width]
        scaling = Scaling.of(means)
        chosen = torch.randperm(len(means), generator=draw)[:_NEGATIVES]
        bank = F.normalize(torch.from_numpy(scaling.scaled(means))[chosen], dim=-1)
        head = torch.randn(width, _OUTPUTS, generator=draw) / width**0.5
        places = torch.randint(width, (weight.numel(),), generator=draw)
        signs = torch.randint(2, (weight.numel(),), generator=draw) * 2.0 - 1
        mean, scale = (torch.from_numpy(np.asarray(each, np.float32)) for each in scaling)
        moved = (each.to(device) for each in (mean, scale, head, bank, places, signs))
        mean, scale, head, bank, places, signs = moved
        return cls(weight, mean, scale, head, bank, tuple(train.ids[place] for place in chosen), places, signs)

    def loss(self, name: str, views: Tensor, item: str) -> Tensor:
        """Of means over time (3, D): of the recording and of its two parts."""
        vectors = (views - self.mean) / self.scale
        if name == "kl":
            return -(vectors[0] @ self.head).log_softmax(dim=-1).mean()
        one, other = F.normalize(vectors[1:], dim=-1)
        others = [place for place, name in enumerate(self.bank_ids) if name != item]
        logits = torch.cat([(one @ other)[None], self.bank[others] @ one, self.bank[others] @ other]) / _TEMPERATURE
        return -logits.log_softmax(dim=0)[0]

    def sketch(self, gradient: Tensor) -> Tensor:
        """(D, D') -> (D,), of length 1, by which inner products are about what they were."""
        made = gradient.new_zeros(len(self.weight)).index_add(0, self.places, gradient.flatten() * self.signs)
        return F.normalize(made, dim=0)


def joined_with_gradients(
    upstream: Upstream,
    cuts: Mapping[str, CutSet],
    splits: Mapping[str, Functionals],
    losses: Sequence[str],
    *,
    seed: int,
) -> dict[str, Functionals]:
    """The vectors of each split with gradients, as principal components of training items.

    upstream: the encoder.
    cuts: the rows of each split.
    splits: their vectors, of which train says the layers.
    losses: of kl and simclr.
    seed: of all draws.
    Raises ConfigError for a layer of which there is no such gradient, AudioError.
    """
    upstream.eval().requires_grad_(False)
    place(upstream)
    train, known = splits["train"], {}
    for layer in train.layers:
        weight = attention_weight(upstream, layer)
        known[layer] = LayerLosses.of(weight, train, layer, seed)
    gradients = {split: _gradients(upstream, rows, known, losses, seed, split) for split, rows in cuts.items()}
    joined: dict[str, dict[int, Vectors]] = {split: {} for split in splits}
    for layer, vectors in train.layers.items():
        scaling = Scaling.of(vectors)
        sides = {
            split: np.concatenate([_of_length_one(scaling.scaled(rows.layers[layer])), gradients[split][layer]], axis=1)
            for split, rows in splits.items()
        }
        mean = sides["train"].mean(axis=0)
        _, _, components = np.linalg.svd(sides["train"] - mean, full_matrices=False)
        for split, side in sides.items():
            joined[split][layer] = ((side - mean) @ components[: vectors.shape[1]].T).astype(np.float32)
    return {split: rows._replace(layers=joined[split]) for split, rows in splits.items()}


def _gradients(
    upstream: Upstream, cuts: CutSet, known: Mapping[int, LayerLosses], losses: Sequence[str], seed: int, split: str
) -> dict[int, Vectors]:
    """(N, D x losses) of each layer, in the order of the ids."""
    rows = sorted(cuts, key=lambda cut: str(cut.id))
    for layer in known.values():
        layer.weight.requires_grad_(True)
    try:
        found = [
            _of_item(str(cut.id), means, known, losses)
            for cut, means in progress(
                _means_of_views(upstream, rows, known, seed), f"Gradients of {split}", total=len(rows)
            )
        ]
    finally:
        upstream.requires_grad_(False)
    return {layer: np.stack([item[place] for item in found]) for place, layer in enumerate(known)}


def _of_item(
    item: str, means: Sequence[Tensor], known: Mapping[int, LayerLosses], losses: Sequence[str]
) -> list[Vectors]:
    """The sketches of all losses (D x losses), of each layer."""
    made = []
    for layer, views in zip(known.values(), means, strict=True):
        parts = []
        for name in losses:
            (gradient,) = torch.autograd.grad(layer.loss(name, views, item), layer.weight, retain_graph=True)
            parts.append(layer.sketch(gradient))
        made.append(torch.cat(parts).cpu().numpy())
    return made


def _means_of_views(
    upstream: Upstream, cuts: Sequence[Cut], known: Mapping[int, LayerLosses], seed: int
) -> Iterator[tuple[Cut, list[Tensor]]]:
    """Means over time (3, D) of a recording and of two parts of it, of each layer."""
    for cut in cuts:
        short = cut.truncate(duration=_MOST_S, preserve_id=True) if cut.duration > _MOST_S else cut
        sound = collate([short], upstream.sample_rate_hz, min_samples=upstream.min_samples).wavs[0]
        parts = [_part(sound, upstream.min_samples, keyed_generator(seed, cut.id, "view", number)) for number in (0, 1)]
        views = [sound, *parts]
        lengths = torch.tensor([len(view) for view in views])
        wavs = torch.nn.utils.rnn.pad_sequence(views, batch_first=True)
        device = next(iter(known.values())).weight.device
        features: Features = upstream(wavs.to(device), lengths.to(device), up_to_layer=max(known))
        pooled = [features.layers[layer].float() for layer in known]
        yield cut, [MeanPooling(states.shape[-1])(states, features.lengths) for states in pooled]


def _part(sound: Tensor, least: int, draw: torch.Generator) -> Tensor:
    """A part of samples (S,) with white noise."""
    size = min(len(sound), max(least, round(_PART * len(sound))))
    first = int(torch.randint(len(sound) - size + 1, (), generator=draw))
    part = sound[first : first + size]
    level = part.square().mean().sqrt() * 10 ** (-_NOISE_DB / 20)
    return part + level * torch.randn(size, generator=draw)


def _of_length_one(vectors: Vectors) -> Vectors:
    unit: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit
