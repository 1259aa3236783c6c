"""Forced alignment: the most probable path of CTC through a text, against torchaudio's.

    python -m benchmarks.alignment --rounds 15 --write

torchaudio takes one item at a time, so a batch is a loop there.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import itertools
import warnings

import torch
from torch import Tensor

from audiossl.nn.alignment import align_classes
from benchmarks.common import interleaved, parser, publish, table

SIZES = ((500, 50), (1500, 100), (1500, 200), (3000, 200))  # frames, classes of the text: 10, 30, 30 and 60 s
BATCHES = (1, 16)
NUM_CLASSES = 32
TABLES = 300


def made(batch: int, frames: int, classes: int) -> tuple[Tensor, Tensor]:
    """Log-probabilities (B, T, C) of noise, and classes (B, N) that are drawn."""
    draw = torch.Generator().manual_seed(frames + classes)
    log_probs = (3 * torch.randn(batch, frames, NUM_CLASSES, generator=draw)).log_softmax(-1)
    return log_probs, torch.randint(1, NUM_CLASSES, (batch, classes), generator=draw)


def ours(log_probs: Tensor, targets: Tensor) -> Tensor:
    return align_classes(log_probs, torch.full((len(log_probs),), log_probs.shape[1]), targets.tolist())


def of_torchaudio(log_probs: Tensor, targets: Tensor) -> Tensor:
    from torchaudio.functional import forced_align

    pairs = zip(log_probs, targets, strict=True)
    return torch.cat([forced_align(item[None], classes[None], blank=0)[0] for item, classes in pairs])


def not_best() -> dict[str, int]:
    """Of how many small tables of whole numbers a path is returned that is not the best of all."""
    draw, found = torch.Generator().manual_seed(0), {"audiossl": 0, "torchaudio": 0}
    spelt = [path for path in itertools.product(range(3), repeat=4) if _merged(path) == [1, 2]]
    for _ in range(TABLES):
        scores = torch.randint(-2, 1, (1, 4, 3), generator=draw).float()
        best = max(_score(scores[0], path) for path in spelt)
        for name, way in (("audiossl", ours), ("torchaudio", of_torchaudio)):
            (path,) = way(scores, torch.tensor([[1, 2]])).tolist()
            found[name] += _score(scores[0], path) != best
    return found


def _merged(path: tuple[int, ...]) -> list[int]:
    return [number for number, _ in itertools.groupby(path) if number]


def _score(scores: Tensor, path: tuple[int, ...]) -> float:
    return sum(float(scores[step, number]) for step, number in enumerate(path))


def main() -> None:
    arguments = parser(__doc__).parse_args()
    warnings.simplefilter("ignore")  # torchaudio's, of its functions to come
    rows = []
    for (frames, classes), batch in itertools.product(SIZES, BATCHES):
        log_probs, targets = made(batch, frames, classes)
        ways = {"audiossl": lambda: ours(log_probs, targets), "torchaudio": lambda: of_torchaudio(log_probs, targets)}  # noqa: B023
        same = (ours(log_probs, targets) == of_torchaudio(log_probs, targets)).float().mean()
        times = interleaved(ways, arguments.rounds)
        mine, theirs = (1000 * times[name].cpu for name in ways)
        wall = times["torchaudio"].median / times["audiossl"].median
        rows.append([f"{frames} frames, {classes} classes", str(batch), f"{mine:.2f}", f"{theirs:.2f}"])
        rows[-1] += [f"{theirs / mine:.2f}", f"{wall:.2f}", f"{100 * same:.3f}"]
    columns = ["text", "batch", "audiossl, CPU ms", "torchaudio, CPU ms", "times as fast", "by the clock"]
    wrong = not_best()
    publish(
        arguments,
        "Forced alignment",
        f"Made-up log-probabilities of {NUM_CLASSES} classes and texts that are drawn; medians of interleaved rounds. "
        "Where a frame differs, torchaudio has added single-precision numbers to a sum that is thousands of times as "
        "large.",
        table([*columns, "frames alike, %"], rows),
        f"Paths that are not the best, of {TABLES} tables of 4 x 3 whole numbers, in which scores tie: "
        + ", ".join(f"{name} {count}" for name, count in wrong.items())
        + ". audiossl's function is compiled on first use, in a second or two, and kept in a cache on the disk.",
    )


if __name__ == "__main__":
    main()
