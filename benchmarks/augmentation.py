"""What each augmentation of `data.augment` takes of a thread, beside training.

    recipes/noises/run.sh
    python -m benchmarks.augmentation --manifest data/wakewords/train.jsonl.gz --noises data/noises --write

CPU milliseconds for a second of sound at 16 kHz, the mean of 30 rows, whose recordings were read before.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from lhotse.cut import Cut

from audiossl.data.augmenting import NamedAugmentations
from audiossl.data.copies import of_copy
from audiossl.data.manifests import read_manifest
from audiossl.data.reading import read_cut
from audiossl.data.sound_file import Wave
from benchmarks.common import RATE_HZ, parser, publish, table

NUM_ROWS = 30


def asked_for(noises: Path) -> dict[str, dict[str, Any]]:
    """The augmentations by how the page names them."""
    codecs = {f"codec, {kind}": {"name": "codec", "kinds": [kind]} for kind in ("mu_law", "vorbis", "mp3", "opus")}
    return {
        "gain": {"name": "gain"},
        "noise": {"name": "noise", "path": str(noises / "noise.jsonl.gz")},
        "reverberation": {"name": "reverberation", "path": str(noises / "rirs.jsonl.gz")},
        "babble, 3 to 7 rows": {"name": "babble"},
        "band_limit": {"name": "band_limit"},
        **codecs,
    }


def milliseconds(change: NamedAugmentations, rows: list[tuple[Cut, Wave]], rounds: int) -> float:
    """Median CPU milliseconds for a second of sound."""
    taken = []
    for _ in range(rounds + 1):
        start = time.process_time()
        for cut, sound in rows:
            change(sound, cut, of_copy(0))
        taken.append(time.process_time() - start)
    seconds = sum(len(sound) for _, sound in rows) / RATE_HZ
    return 1000 * sorted(taken[1:])[rounds // 2] / seconds


def main() -> None:
    """Measure, print and write the page."""
    made = parser(__doc__)
    made.add_argument("--manifest", type=Path, required=True, help="of training rows")
    made.add_argument("--noises", type=Path, required=True, help="what recipes/noises made")
    arguments = made.parse_args()
    cuts = list(read_manifest(arguments.manifest))
    rows = [(cut, read_cut(cut, RATE_HZ)) for cut in cuts[:NUM_ROWS]]
    lines = []
    for name, asked in asked_for(arguments.noises).items():
        change = NamedAugmentations([asked], RATE_HZ, cuts)
        lines.append([name, f"{milliseconds(change, rows, arguments.rounds):.2f}"])
    header = ["augmentation", "CPU ms for a second of sound"]
    publish(arguments, f"Cost of augmentation: {arguments.manifest.parent.name}", table(header, lines))


if __name__ == "__main__":
    main()
