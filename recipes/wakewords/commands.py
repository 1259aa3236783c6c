"""Wake words in the form of Speech Commands: seconds with one of four words, another word, or none.

    python recipes/wakewords/commands.py data/wakewords data/wakewords/commands

The loudest second of each recording has its word, smart_mirror and view_glass as `_unknown_`. `_silence_` is the
quietest second of recordings in which it does not touch the loudest one, so that microphones and rooms are those of
the words. Each split takes its silence from its own recordings, as many as there are of one word on average, drawn with
the split's name as the seed.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from audiossl.data.fields import read_field
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.preparation import cuts_of_table, described, folder_parser, run
from audiossl.data.reading import path_of, read_cut

if TYPE_CHECKING:
    from lhotse.cut import Cut

UNKNOWN, SILENCE = "_unknown_", "_silence_"
OTHERS = ("smart_mirror", "view_glass")
RATE_HZ = 16000
STEP = 160  # samples between the seconds that are looked at


class Second(NamedTuple):
    """A part of a recording that lasts a second, or all of a shorter one."""

    start: int
    end: int

    def row(self, cut: Cut, label: str, split: str) -> dict[str, object]:
        times = {name: f"{samples / RATE_HZ:.4f}" for name, samples in self._asdict().items()}
        return {"path": path_of(cut), "label": label, "split": split, **times}


def seconds_of(samples: Sequence[float]) -> tuple[Second, Second | None]:
    """The loudest second, and the quietest one if it does not touch that."""
    energy = np.concatenate([[0.0], np.cumsum(np.square(np.asarray(samples, dtype=np.float64)))])
    starts = np.arange(0, max(len(samples) - RATE_HZ, 0) + 1, STEP)
    ends = np.minimum(starts + RATE_HZ, len(samples))
    levels = energy[ends] - energy[starts]
    loudest, quietest = (Second(int(starts[at]), int(ends[at])) for at in (levels.argmax(), levels.argmin()))
    apart = quietest.end <= loudest.start or quietest.start >= loudest.end
    return loudest, quietest if apart else None


def rows_of(cuts: Sequence[Cut], split: str) -> list[dict[str, object]]:
    """The seconds of one split."""
    words: list[dict[str, object]] = []
    quiet: list[dict[str, object]] = []
    for cut in sorted(cuts, key=lambda each: str(each.id)):
        loudest, quietest = seconds_of(read_cut(cut, RATE_HZ).tolist())
        label = read_field(cut, "label") or ""
        words.append(loudest.row(cut, UNKNOWN if label in OTHERS else label, split))
        if quietest is not None:
            quiet.append(quietest.row(cut, SILENCE, split))
    sizes = Counter(row["label"] for row in words if row["label"] != UNKNOWN)
    count = round(sum(sizes.values()) / max(len(sizes), 1))
    return [*words, *random.Random(split).sample(quiet, min(count, len(quiet)))]


def main() -> None:
    arguments = folder_parser(__doc__, "the manifests of the recipe").parse_args()
    splits = {split: list(read_manifest(arguments.folder / f"{split}.jsonl.gz")) for split in ("train", "dev", "test")}
    rows = [row for split, cuts in splits.items() for row in rows_of(cuts, split)]
    made = cuts_of_table(rows, arguments.out / "seconds.csv", arguments.out)
    write_manifests(made, arguments.out)
    print(f"{arguments.out}: {described(made)}")


if __name__ == "__main__":
    run(main)
