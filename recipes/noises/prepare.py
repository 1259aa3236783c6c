"""Noises and rooms for `data.augment`: clips of ESC-10's training folds, and impulse responses of rooms that are made.

    python recipes/noises/prepare.py FOLDER data/noises --rooms 200

FOLDER is ESC-10 as recipes/esc10 takes it. Folds 4 and 5 (dev and test, where it is split once) give no noise, and
`--leave-out` names others. Rooms are shoeboxes by the image method (Allen and Berkley, 1979). Written are
noise.jsonl.gz with the licence and the source of each clip, left_out.jsonl.gz with the clips of the other folds, for
noised test sets, rirs.jsonl.gz with size and reverberation time of each room, and the rooms' sound as FLAC in rooms/.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import soundfile
from scipy.signal import butter, sosfilt

from audiossl.core.errors import ManifestError
from audiossl.core.files import atomic_write
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import cuts_of_table, described, files_named, folder_parser, run

if TYPE_CHECKING:
    from lhotse import CutSet

RATE = 16000
SOUND_M_S = 343.0
LICENCE = "CC BY 3.0 (ESC-10, Piczak 2015; Freesound {source})"
Point = npt.NDArray[np.float64]


def noises(folder: Path, out: Path, left_out: Collection[str]) -> dict[str, CutSet]:
    """A row for each clip with its licence, as `noise` or as `left_out`.

    folder: the unpacked corpus.
    out: where its table is written.
    left_out: folds of which no clip is taken.
    """
    name = re.compile(r"(?:(?P<label>[a-z_]+)_)?(?P<fold>\d)-(?P<source>\d+)-(?P<take>[A-Z])")
    named = files_named(folder, name, (".ogg", ".flac", ".wav"))
    if not named:
        raise ManifestError(f"{folder} has no clip named like 1-100032-A.ogg; give the unpacked corpus of ESC-10.")
    rows = (
        {
            "path": path.relative_to(folder),
            "kind": "noise",
            "split": "left_out" if match["fold"] in left_out else "noise",
            "label": match["label"] or path.parent.name.split(" - ")[-1].strip().lower().replace(" ", "_"),
            "fold": match["fold"],
            "licence": LICENCE.format(source=match["source"]),
        }
        for path, match in named
    )
    return cuts_of_table(rows, out / "noise.csv", folder)


def image_response(size: Point, source: Point, microphone: Point, absorption: float, rate: int = RATE) -> Point:
    """The impulse response (R,) of a shoebox room, for 1.5 times its reverberation time, and for 0.7 s at most.

    Each wall is a mirror. The image in cell n of a mirrored axis lies at 2 L n + x or 2 L n - x, and |2 n| or |2 n - 1|
    walls lie before it, each of which keeps the share (1 - absorption) of the energy. As all images are positive, they
    add up to a rumble that no room has: a high-pass at 50 Hz follows, as in the paper.

    size: of the room in m, (3,), as are the places.
    source: where the sound is.
    microphone: where it is heard.
    absorption: of the energy, by each wall.
    rate: in Hz.
    """
    reach_s = min(1.5 * rt60_s(size, absorption), 0.7)
    most = [math.ceil(reach_s * SOUND_M_S / (2 * length)) for length in size]
    places, walls = [], []
    for axis in range(3):
        cell = np.arange(-most[axis], most[axis] + 1)
        places.append(np.concatenate([2 * cell * size[axis] + source[axis], 2 * cell * size[axis] - source[axis]]))
        walls.append(np.concatenate([np.abs(2 * cell), np.abs(2 * cell - 1)]))
    along = [(axis - middle) ** 2 for axis, middle in zip(places, microphone, strict=True)]
    away = np.sqrt(along[0][:, None, None] + along[1][:, None] + along[2])
    crossed = walls[0][:, None, None] + walls[1][:, None] + walls[2]
    late = away / SOUND_M_S * rate
    heard = late < reach_s * rate
    level = (1 - absorption) ** (crossed[heard] / 2) / (4 * math.pi * away[heard])
    # Between two samples, an image is shared by both.
    first, part = np.floor(late[heard]).astype(int), late[heard] % 1
    response = np.zeros(int(reach_s * rate) + 2)
    np.add.at(response, first, (1 - part) * level)
    np.add.at(response, first + 1, part * level)
    heard_hz = butter(2, 50, "highpass", fs=rate, output="sos")
    response = sosfilt(heard_hz, response)
    return response / np.abs(response).max()


def rt60_s(size: Point, absorption: float) -> float:
    """Seconds in which a room's sound falls by 60 dB (Eyring, 1930)."""
    x, y, z = size
    return float(0.161 * x * y * z / (-2 * (x * y + y * z + z * x) * math.log(1 - absorption)))


def rooms(count: int, out: Path, seed: int = 0) -> Iterator[dict[str, object]]:
    """Write the responses of rooms that are drawn, and give the row of each.

    count: how many.
    out: the folder of their files.
    seed: what they are drawn by.
    """
    out.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        draw = np.random.default_rng([seed, number])
        size = draw.uniform([3, 3, 2.4], [10, 8, 4])
        source, microphone = (draw.uniform(0.5, size - 0.5) for _ in range(2))
        absorption = float(draw.uniform(0.2, 0.7))
        path = out / f"room{number:04}.flac"
        with atomic_write(path) as temporary:
            soundfile.write(temporary, 0.9 * image_response(size, source, microphone, absorption), RATE, format="FLAC")
        said = {"size_m": "x".join(f"{length:.2f}" for length in size), "absorption": f"{absorption:.3f}"}
        yield {"path": path.name, "kind": "room", **said, "rt60_s": f"{rt60_s(size, absorption):.3f}"}


def prepare(folder: Path, out: Path, num_rooms: int = 200, left_out: Collection[str] = ("4", "5")) -> dict[str, CutSet]:
    """Write the manifests, and return their rows.

    folder: the unpacked corpus of ESC-10.
    out: folder for the manifests and the rooms.
    num_rooms: how many rooms are made.
    left_out: folds of ESC-10 of which no clip is taken.
    """
    found = noises(folder, out, left_out)
    found["rirs"] = cuts_of_table(rooms(num_rooms, out / "rooms"), out / "rirs.csv", out / "rooms")["all"]
    write_manifests(found, out)
    return found


def main() -> None:
    parser = folder_parser(__doc__, "the unpacked corpus of ESC-10")
    parser.add_argument("--rooms", type=int, default=200, help="how many rooms are made (default 200)")
    parser.add_argument("--leave-out", nargs="*", default=["4", "5"], help="folds that give no noise (default 4 5)")
    arguments = parser.parse_args()
    found = prepare(arguments.folder, arguments.out, arguments.rooms, arguments.leave_out)
    print(f"{arguments.out}: {described(found)}")


if __name__ == "__main__":
    run(main)
