"""Long recordings at 32 kHz with calls of finches at known times in rain, and their manifests.

    python recipes/finch_nights/prepare.py FOLDER data/finch_nights

FOLDER is that of the finches (see recipes/finches), and esc10_16k lies beside it. A split has birds' recordings and
background clips of its own. Everything follows from the seed. The truth is written beside the sound: `truth.csv`, with
the signal-to-noise ratio and the source of each call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile

from audiossl.core.errors import ManifestError
from audiossl.core.files import atomic_write
from audiossl.core.terminal import progress
from audiossl.data.annotated import Windows, cuts_of_windows
from audiossl.data.annotations import Annotation, read_annotations, write_annotations
from audiossl.data.fields import read_field
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import described, folder_parser, run
from audiossl.data.reading import path_of, read_cut
from audiossl.data.sources import cuts_from_csv, cuts_from_rows
from audiossl.data.splits import split_cuts
from audiossl.data.tables import SourceRow, parse_table, read_text

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut

RATE_HZ = 32000
PART_S = 300.0  # that have a level of rain of their own
MINUTES = {"train": 40, "dev": 20, "test": 120}
SHARES = {"train": 0.5, "dev": 0.2, "test": 0.3}
FOLDS = {"train": ("1", "2", "3"), "dev": ("4",), "test": ("5",)}  # of ESC's official ones
SNR_DB = (-5.0, 15.0)  # of a call over what else is heard during it
RAIN_DB = (-38.0, -28.0)  # below full scale
SOUND_DB = (-6.0, 12.0)  # of dogs, roosters, ... over the rain
GAP_S, SOUND_GAP_S = 8.0, 60.0  # means, from one beginning to the next
FADE_S, CROSSFADE_S = 0.005, 0.5
ZEBRA = "zebra_finch"
WINDOWS = Windows(window_s=10.0, hop_s=10.0)
PARTS = Windows(window_s=PART_S, hop_s=PART_S)

Wave = npt.NDArray[np.float32]


class Call(NamedTuple):
    """A call or a song as it is placed: its sound without what surrounds it, class and file."""

    sound: Wave
    label: str
    source: str


class Sources(NamedTuple):
    """What a split is made of.

    calls: by class.
    rain, sounds: background clips.
    """

    calls: Mapping[str, Sequence[Call]]
    rain: Sequence[Wave]
    sounds: Sequence[Wave]


def prepare(folder: Path, background: Path, out: Path, seed: int = 0, minutes: Mapping[str, float] = MINUTES) -> None:
    """Write sound, truth and manifests, and say how many rows they have.

    folder: of the finches.
    background: of the ESC-10 excerpt.
    out: for all that is written.
    seed: of all that is drawn.
    minutes: that each split lasts, whole parts of five.
    """
    splits: dict[str, CutSet] = {}
    truth: list[Annotation] = []
    calls = calls_of(folder)
    for split, sources in {split: sources_of(calls[split], background, split) for split in SHARES}.items():
        path = out / "audio" / f"{split}.flac"
        mine = write_recording(path, sources, round(minutes[split] * 60 / PART_S), [seed, *split.encode()])
        truth += mine
        for name, windows in {split: WINDOWS if split == "train" else PARTS, f"{split}_windows": WINDOWS}.items():
            if name != "train_windows":
                splits[name] = with_fields(cuts_of_windows(mine, windows, [path], out)["all"])
    write_annotations(out / "truth.csv", [_below(row, out) for row in truth], "csv")
    write_manifests(splits, out)
    print(f"{out}: {described(splits)}; {len(truth)} calls")


def calls_of(folder: Path) -> dict[str, CutSet]:
    """Songs and calls by split, of which none shares a source recording with another. The label is the singer.

    A song counts from the beginning of its first syllable to the end of its last.
    """
    table = folder / "manifest.csv"
    spans: dict[str, tuple[float, float]] = {}
    for row in read_annotations(folder / "syllables.csv"):
        first, last = spans.get(row.path, (row.start_s, row.end_s))
        spans[row.path] = min(first, row.start_s), max(last, row.end_s)
    rows = []
    for where, row in parse_table(table, read_text(table, "table")).rows:
        fields = {"path": row["path"], "recording": row["recording"], "label": ZEBRA}
        if row["path"] in spans:
            start_s, end_s = spans[row["path"]]
            fields |= {"label": row["speaker"], "start": f"{start_s}", "end": f"{end_s}"}
        rows.append(SourceRow(where, "", fields))
    return split_cuts(cuts_from_rows(rows, folder)["all"], SHARES)


def sources_of(calls: CutSet, background: Path, split: str) -> Sources:
    """What a split is made of.

    calls: its rows.
    background: the folder of ESC-10.
    split: its name.
    Raises ManifestError for a background without rain.
    """
    by_label: dict[str, list[Call]] = {}
    for cut in calls:
        label = str(read_field(cut, "label"))
        by_label.setdefault(label, []).append(Call(_faded(read_cut(cut, RATE_HZ)), label, Path(str(path_of(cut))).name))
    clips: dict[str, list[Cut]] = {"rain": [], "other": []}
    for cuts in cuts_from_csv(background / "manifest.csv").values():
        for cut in cuts:
            if read_field(cut, "fold") in FOLDS[split]:
                clips["rain" if read_field(cut, "label") == "rain" else "other"].append(cut)
    if not clips["rain"]:
        raise ManifestError(f"{background} has no rain in the folds {', '.join(FOLDS[split])}; give ESC-10's folder.")
    read = {kind: [_unit(read_cut(cut, RATE_HZ)) for cut in cuts] for kind, cuts in clips.items()}
    return Sources(by_label, read["rain"], read["other"])


def write_recording(path: Path, sources: Sources, num_parts: int, seed: Sequence[int]) -> list[Annotation]:
    """Write a recording part by part, and return its calls in the order of time.

    path: the FLAC file.
    sources: what it is made of.
    num_parts: of five minutes.
    seed: of all that is drawn.
    """
    found = []
    path.parent.mkdir(parents=True, exist_ok=True)
    form = {"samplerate": RATE_HZ, "channels": 1, "subtype": "PCM_16", "format": "FLAC"}
    with atomic_write(path) as temporary, soundfile.SoundFile(temporary, "w", **form) as file:
        for number in progress(range(num_parts), f"Mixing {path.name}"):
            rng = np.random.default_rng([*seed, number])
            wave, calls = part_of(sources, rng)
            file.write(wave)
            for start_s, end_s, call, snr_db in calls:
                begin_s = number * PART_S
                fields = {"snr_db": f"{snr_db:.2f}", "source": call.source, "part": str(number)}
                found.append(
                    Annotation(
                        begin_s + start_s, begin_s + end_s, call.label, str(path), where=path.name, fields=fields
                    )
                )
    return found


def part_of(sources: Sources, rng: np.random.Generator) -> tuple[Wave, list[tuple[float, float, Call, float]]]:
    """Five minutes of sound, and (start, end, call, SNR in dB) of what is in them.

    sources: what they are made of.
    rng: what is drawn by.
    """
    size = round(PART_S * RATE_HZ)
    wave = _rain(sources.rain, size, rng) * _amplitude(rng.uniform(*RAIN_DB))
    level = float(np.sqrt(np.mean(wave**2)))
    for start in _starts(rng, SOUND_GAP_S):
        sound = sources.sounds[rng.integers(len(sources.sounds))]
        first = round(start * RATE_HZ)
        part = sound[: size - first]
        wave[first : first + len(part)] += part * np.float32(level * _amplitude(rng.uniform(*SOUND_DB)))
    placed: list[tuple[float, float, Call, float]] = []
    last_end_s: dict[str, float] = {}
    calls = np.zeros_like(wave)
    for start in _starts(rng, GAP_S):
        label = str(rng.choice(sorted(sources.calls)))
        call = sources.calls[label][rng.integers(len(sources.calls[label]))]
        snr_db = float(rng.uniform(*SNR_DB))
        # No two calls of one class at once, and none over the end of a part.
        first = round(max(start, last_end_s.get(label, 0.0) + 0.2) * RATE_HZ)
        last = first + len(call.sound)
        if last > size - RATE_HZ // 10:
            continue
        beside = np.sqrt(np.mean(wave[first:last] ** 2)) / np.sqrt(np.mean(call.sound**2))
        calls[first:last] += call.sound * np.float32(beside * _amplitude(snr_db))
        last_end_s[label] = last / RATE_HZ
        placed.append((first / RATE_HZ, last / RATE_HZ, call, snr_db))
    wave += calls
    return wave * np.float32(min(1.0, 0.98 / np.abs(wave).max())), sorted(placed, key=lambda each: each[:2])


def with_fields(cuts: CutSet) -> CutSet:
    """Rows that say in which part they are, and whether anything calls in them."""
    for cut in cuts:
        custom = cut.supervisions[0].custom
        custom |= {"part": str(int(cut.start // PART_S)), "calling": "yes" if custom["calls"] else "no"}
    return cuts


def _starts(rng: np.random.Generator, gap_s: float) -> Iterator[float]:
    moment = float(rng.exponential(gap_s))
    while moment < PART_S:
        yield moment
        moment += float(rng.exponential(gap_s))


def _rain(clips: Sequence[Wave], size: int, rng: np.random.Generator) -> Wave:
    """Clips of unit power one after another, each faded into the next so that power stays."""
    fade = round(CROSSFADE_S * RATE_HZ)
    rise = np.sin(np.linspace(0, np.pi / 2, fade, dtype=np.float32))
    made, end = np.zeros(size + fade, dtype=np.float32), fade
    while end < size + fade:
        clip = clips[rng.integers(len(clips))].copy()
        clip[:fade] *= rise
        clip[-fade:] *= rise[::-1]
        part = clip[: size + fade - (end - fade)]
        made[end - fade : end - fade + len(part)] += part
        end += len(clip) - fade
    return made[fade:]


def _faded(sound: Wave) -> Wave:
    fade = min(round(FADE_S * RATE_HZ), len(sound) // 4)
    rise = np.linspace(0, 1, fade, dtype=np.float32)
    made = sound - sound.mean()
    made[:fade] *= rise
    made[-fade:] *= rise[::-1]
    return made


def _unit(sound: Wave) -> Wave:
    return sound / np.float32(max(np.sqrt(np.mean(sound.astype(np.float64) ** 2)), 1e-6))


def _amplitude(level_db: float) -> np.float32:
    return np.float32(10 ** (level_db / 20))


def _below(row: Annotation, out: Path) -> Annotation:
    return replace(row, path=Path(row.path).relative_to(out).as_posix())


def main() -> None:
    parser = folder_parser(__doc__, "folder with manifest.csv, syllables.csv and audio/ of the finches")
    parser.add_argument(
        "--background", type=Path, help="folder of the ESC-10 excerpt; default: esc10_16k beside FOLDER"
    )
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    prepare(folder, arguments.background or folder.parent / "esc10_16k", arguments.out, arguments.seed)


if __name__ == "__main__":
    run(main)
