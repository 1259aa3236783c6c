"""Manifests for pre-training: every speech recording under AUDIOSSL_DATA whose licence lets the weights be shipped.

python recipes/pretrain/prepare.py SPEECH_POOL.csv data/pretrain
"""

from __future__ import annotations

import argparse
from pathlib import Path

from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import run
from audiossl.data.sources import cuts_from_csv


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("table", type=Path, help="CSV of the pool, with a licence column")
    parser.add_argument("out", type=Path, help="folder for train.jsonl.gz and dev.jsonl.gz")
    arguments = parser.parse_args()
    splits = cuts_from_csv(arguments.table)
    kept = {}
    for split in ("train", "dev"):
        # Weights trained on a non-commercial set would carry that restriction.
        kept[split] = splits[split].filter(lambda cut: "-NC" not in cut.supervisions[0].custom["licence"]).to_eager()
        hours = sum(cut.duration for cut in kept[split]) / 3600
        left_out = len(splits[split]) - len(kept[split])
        print(f"{split}: {len(kept[split])} recordings, {hours:.2f} h ({left_out} non-commercial ones left out)")
    write_manifests(kept, arguments.out)


if __name__ == "__main__":
    run(main)
