"""A split with noise: the same rows, whose sound has noises that training has not heard.

    python recipes/noises/noised.py data/wakewords/test.jsonl.gz data/noises/left_out.jsonl.gz --snr-db 0 10
    audiossl evaluate runs/clean --split test_noised

Written are test_noised.jsonl.gz beside the manifest, and its sound at 16 kHz in test_noised/, as float so that nothing
is clipped. What is added to a row follows from its id.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import soundfile

from audiossl.core.files import atomic_write
from audiossl.data.augmenting import NamedAugmentations
from audiossl.data.copies import of_copy
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.preparation import run
from audiossl.data.reading import read_cut

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut

RATE = 16000


def noised(manifest: Path, noises: Path, snr_db: Sequence[float]) -> CutSet:
    """Write the rows of a manifest with noise, and return them.

    manifest: of the clean rows.
    noises: folder or manifest.
    snr_db: the least and the greatest ratio.
    Raises ManifestError, AudioError, and ConfigError for ranges that are none.
    """
    from lhotse import CutSet

    change = NamedAugmentations([{"name": "noise", "path": str(noises), "snr_db": list(snr_db)}], RATE)
    change.check()
    name = manifest.name.removesuffix(".gz").removesuffix(".jsonl") + "_noised"
    folder = manifest.parent / name
    folder.mkdir(exist_ok=True)
    rows = []
    for number, cut in enumerate(read_manifest(manifest)):
        path = folder / f"{number:05}.wav"
        with atomic_write(path) as temporary:
            sound = change(read_cut(cut, RATE), cut, of_copy(0))
            soundfile.write(temporary, sound, RATE, "FLOAT", format="WAV")
        rows.append(_with_sound(cut, path))
    found = CutSet.from_cuts(rows)
    write_manifests({name: found}, manifest.parent)
    return found


def _with_sound(cut: Cut, path: Path) -> Cut:
    """The row, whose sound is all of a file."""
    from lhotse import Recording
    from lhotse.cut import MonoCut

    recording = Recording.from_file(path.resolve(), recording_id=cut.id)
    said = [replace(each, recording_id=cut.id, channel=0) for each in cut.supervisions]
    return MonoCut(cut.id, 0, recording.duration, 0, said, recording=recording, custom=cut.custom)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="of the clean rows")
    parser.add_argument("noises", type=Path, help="folder or manifest of noises")
    parser.add_argument("--snr-db", nargs=2, type=float, default=[0.0, 10.0], help="range in dB (default 0 10)")
    arguments = parser.parse_args()
    found = noised(arguments.manifest, arguments.noises, arguments.snr_db)
    print(f"{len(found)} rows with noise: audiossl evaluate RUN --split {arguments.manifest.name.split('.')[0]}_noised")


if __name__ == "__main__":
    run(main)
