"""k-means on frames: clusters that stand for speech units (Lloyd, 1982, in batches: Sculley, 2010).

The defaults are those by which HuBERT's labels were made (arXiv:2106.07447, section IV-B, and its published script).
scikit-learn draws and trains the centres. It is there anyway, and on two cores it is as fast as faiss, which is not.
The first centres are drawn from a sample in double precision, which scikit-learn else makes of it at every step.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import NamedTuple

import torch
from sklearn.cluster import MiniBatchKMeans, kmeans_plusplus
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Count, CountOrZero, Seed, check_ranges
from audiossl.nn.draws import keyed_generator


@dataclass(frozen=True)
class KMeansConfig:
    """How centres are found. All but the number of clusters is as published."""

    clusters: Count = 500
    """Number of clusters."""
    starts: Count = 20
    """Sets of first centres that are tried (k-means++), of which the best is trained."""
    batch_frames: Count = 10000
    """Frames in a batch."""
    max_epochs: Count = 100
    """Most passes over the frames."""
    patience: CountOrZero = 100
    """Batches without a gain after which training ends. 0 for all of the passes."""
    seed: Seed = 0
    """Seed of the first centres and of the batches."""

    def __post_init__(self) -> None:
        check_ranges(self)


class Clustering(NamedTuple):
    """What was fitted.

    centres: (K, D) float32.
    distortion: mean squared distance of a frame to its centre.
    num_batches: how many batches it took.
    """

    centres: Tensor
    distortion: float
    num_batches: int


def fit_kmeans(frames: Tensor, config: KMeansConfig) -> Clustering:
    """Find the centres of frames (N, D).

    Raises ConfigError for fewer frames than clusters, and for frames that are too alike for so many.
    """
    if len(frames) < config.clusters:
        raise ConfigError(
            f"{config.clusters} clusters need as many frames, and there are {len(frames)}; ask for fewer clusters or "
            f"give more recordings."
        )
    machine = MiniBatchKMeans(
        config.clusters,
        init=_first_centres(frames.detach().float().cpu(), config).numpy(),
        n_init=1,
        batch_size=min(config.batch_frames, len(frames)),
        max_iter=config.max_epochs,
        max_no_improvement=config.patience or None,
        tol=0.0,
        reassignment_ratio=0.0,
        random_state=config.seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of what is an error below
        machine.fit(frames.detach().float().cpu().numpy())
    centres = torch.from_numpy(machine.cluster_centers_).float()
    if len(centres.unique(dim=0)) < config.clusters:
        raise ConfigError(
            f"The frames are too alike for {config.clusters} clusters; ask for fewer, or give other recordings."
        )
    return Clustering(centres, float(machine.inertia_) / len(frames), int(machine.n_steps_))


def nearest_centre(x: Tensor, centres: Tensor) -> Tensor:
    """The number of the centre that is nearest to each frame, by Euclidean distance, in float32.

    x: (..., D).
    centres: (K, D).
    Returns int64 (...).

    >>> nearest_centre(torch.tensor([[0.1, 0.0], [2.0, 3.0]]), torch.tensor([[2.0, 2.0], [0.0, 0.0]]))
    tensor([1, 0])
    """
    # |x - c|^2 = |x|^2 - 2 (x . c - |c|^2 / 2), so that the largest of the parentheses is the nearest.
    with torch.autocast(x.device.type, enabled=False):
        centres = centres.float()
        return (x.float() @ centres.mT - centres.square().sum(-1) / 2).argmax(-1)


def _first_centres(frames: Tensor, config: KMeansConfig) -> Tensor:
    """The best of several sets (K, D) drawn by k-means++ (Arthur and Vassilvitskii, 2007) from frames (N, D).

    They are drawn from three batches. The best has the smallest sum of squared distances to the nearest of a set.
    """
    draw = keyed_generator(config.seed, "first centres")
    size = min(len(frames), max(3 * config.batch_frames, 3 * config.clusters))
    sample = frames[torch.randperm(len(frames), generator=draw)[:size]].double()
    sets = [
        torch.from_numpy(kmeans_plusplus(sample.numpy(), config.clusters, random_state=config.seed + number)[0])
        for number in range(config.starts)
    ]
    if len(sets) == 1:
        return sets[0].float()
    return min(sets, key=lambda centres: _distortion(sample, centres)).float()


def _distortion(x: Tensor, centres: Tensor) -> float:
    """Sum of squared distances of x (N, D) to the nearest of centres (K, D)."""
    return float((x - centres[nearest_centre(x, centres)]).square().sum())
