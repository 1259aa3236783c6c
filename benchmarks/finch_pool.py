"""Songs of finches at 32 kHz as a pool for pre-training, without what the probes of encoder_rates.py are tested on.

    python -m benchmarks.finch_pool FOLDER data/finches data/finch_pool

FOLDER is the corpus of recipes/finches, the second folder what its prepare.py wrote. Calls of zebra finches are left
out, and of the bird whose syllables are probed every recording that is in dev or test.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from audiossl.data.fields import read_field
from audiossl.data.leaks import source_of
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.sources import SourceRow, cuts_from_rows
from audiossl.data.splits import split_cuts


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("corpus", type=Path)
    asked.add_argument("prepared", type=Path)
    asked.add_argument("out", type=Path)
    arguments = asked.parse_args()
    held_out = {
        source_of(cut)
        for split in ("dev", "test")
        for cut in read_manifest(arguments.prepared / "syllables" / f"{split}.jsonl.gz")
    }
    with (arguments.corpus / "manifest.csv").open(newline="", encoding="utf-8") as file:
        songs = [row for row in csv.DictReader(file) if row["call_type"] == "song"]
    kept = [row for row in songs if row["recording"] not in held_out]
    rows = [SourceRow(row["path"], "", {key: row[key] for key in ("path", "speaker", "recording")}) for row in kept]
    splits = split_cuts(cuts_from_rows(rows, arguments.corpus)["all"], {"train": 0.9, "dev": 0.1}, stratify="speaker")
    write_manifests(splits, arguments.out)
    for name, cuts in splits.items():
        birds = {read_field(cut, "speaker") for cut in cuts}
        minutes = sum(cut.duration for cut in cuts) / 60
        print(f"{name}: {len(cuts)} songs, {minutes:.1f} min, {len(birds)} birds")


if __name__ == "__main__":
    main()
