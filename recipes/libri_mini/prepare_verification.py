"""Manifests and trials for verifying speakers that nobody trained on.

    python recipes/libri_mini/prepare_verification.py FOLDER data/libri_mini/verification

FOLDER has manifest.csv (path, speaker, split) and trials_test_other.txt. Train: one utterance of each of 208 speakers
of train-clean-100, and in train_parts its parts of 3 s, of which a frozen encoder keeps the states. Dev: 43 other
speakers with one utterance each, which is cut into two halves, so that there are pairs of one speaker. Test: 100
utterances of ten speakers of test-other, with the list's 1350 trials, and with all 4950 pairs.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

from audiossl.core.errors import AudiosslError
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import described, folder_parser, run
from audiossl.data.sources import cuts_from_csv

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut

TRIALS = "trials_test_other.txt"
PART_S = 3.0


def halves(cuts: CutSet) -> Iterator[Cut]:
    """Each row as two, to the sample: `<id>-1` and `<id>-2`."""
    for cut in cuts:
        middle = cut.num_samples // 2 / cut.sampling_rate
        yield cut.truncate(duration=middle).with_id(f"{cut.id}-1")
        yield cut.truncate(offset=middle).with_id(f"{cut.id}-2")


def parts(cuts: CutSet) -> Iterator[Cut]:
    """Each row as parts of `PART_S`, to the sample: `<id>-1`, `<id>-2`, ... What is left over belongs to the last."""
    for cut in cuts:
        size = round(PART_S * cut.sampling_rate)
        number = max(cut.num_samples // size, 1)
        for part in range(number):
            lasts_s = None if part == number - 1 else size / cut.sampling_rate
            made = cut.truncate(offset=part * size / cut.sampling_rate, duration=lasts_s)
            yield made.with_id(f"{cut.id}-{part + 1}")


def write_all_pairs(cuts: CutSet, path: Path) -> None:
    """A list of trials, `1 A B` where A and B are of one speaker and `0 A B` where not, of all pairs of recordings."""
    pairs = combinations(cuts, 2)
    lines = (f"{int(a.supervisions[0].speaker == b.supervisions[0].speaker)} {a.id} {b.id}\n" for a, b in pairs)
    path.write_text("".join(lines), encoding="utf-8")


def main() -> None:
    arguments = folder_parser(
        __doc__, "folder with manifest.csv and the trial list", "folder for the manifests and the list"
    ).parse_args()
    for name in ("manifest.csv", TRIALS):
        if not (arguments.folder / name).is_file():
            raise AudiosslError(f"{arguments.folder} has no {name}; see recipes/libri_mini/README.md.")
    from lhotse import CutSet

    splits = cuts_from_csv(arguments.folder / "manifest.csv")
    splits["dev"] = CutSet.from_cuts(halves(splits["dev"]))
    splits["train_parts"] = CutSet.from_cuts(parts(splits["train"]))
    write_manifests(splits, arguments.out)
    shutil.copyfile(arguments.folder / TRIALS, arguments.out / "trials_test.txt")
    write_all_pairs(splits["test"], arguments.out / "trials_test_all.txt")
    print(f"{arguments.out}: {described(splits)}")


if __name__ == "__main__":
    run(main)
