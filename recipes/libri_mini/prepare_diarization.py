"""Conversations of two speakers of libri_mini, with overlaps of 0, 20 and 40 %: who speaks when.

    python recipes/libri_mini/prepare_diarization.py FOLDER data/libri_mini/diarization

FOLDER is the one that manifest.csv (columns path, speaker, split) is in. Speakers of train, dev and test are others, as
the table has them. Mixtures last 20 s and more, with turns of at most 5 s.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lhotse import CutSet

from audiossl.core.errors import ManifestError
from audiossl.data.leaks import check_leaks
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import described, folder_parser, run
from audiossl.data.simulation import SimulationConfig, simulate
from audiossl.data.sources import cuts_from_csv

OVERLAPS = (0.0, 0.2, 0.4)
NUM_MIXTURES = {"train": 50, "dev": 6, "test": 12}  # for each overlap


def mixtures(folder: Path, out: Path, config: SimulationConfig) -> dict[str, CutSet]:
    """Write the sound, and give the rows of all overlaps by split."""
    if not (folder / "manifest.csv").is_file():
        raise ManifestError(f"{folder} has no manifest.csv, which names the speakers; give the folder that it is in.")
    rows = cuts_from_csv(folder / "manifest.csv")
    check_leaks(rows, disjoint="speaker")
    made = {}
    for split, count in NUM_MIXTURES.items():
        cuts = []
        for overlap in OVERLAPS:
            name = f"{split}_overlap{round(100 * overlap)}"
            cuts += simulate({name: rows[split]}, out, replace(config, num_mixtures=count, overlap=overlap))[name]
        made[split] = CutSet.from_cuts(cuts)
    return made


def main() -> None:
    arguments = folder_parser(__doc__, "the folder of manifest.csv").parse_args()
    splits = mixtures(arguments.folder, arguments.out, SimulationConfig())
    write_manifests(splits, arguments.out)
    print(f"{arguments.out}: {described(splits)}")


if __name__ == "__main__":
    run(main)
