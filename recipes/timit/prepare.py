"""Manifests of TIMIT: phones of whole sentences, and when each of them is spoken.

    python recipes/timit/prepare.py FOLDER data/timit

FOLDER holds TRAIN and TEST as published (LDC93S1), or a folder with them, in upper or lower case. Rows have their words
as `text`, their phones as `phones` (the 39 of the folding), `phones48` and `phones61` (as transcribed), and the tiers
`phone` and `phone61` of their alignments. Sentences SA, which all speakers read, are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lhotse import CutSet, MonoCut, Recording, SupervisionSegment
from lhotse.recipes.timit import get_speakers
from lhotse.supervision import AlignmentItem

from audiossl.core.errors import AudiosslError
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import described, folder_parser, run

RATE_HZ = 16000
# Lee and Hon (1989), table 3: the 48 that models are trained on, and the 39 among which confusions count as none.
_TO_48 = {
    "ux": "uw",
    "axr": "er",
    "em": "m",
    "nx": "n",
    "eng": "ng",
    "hv": "hh",
    "ax-h": "ax",
    **dict.fromkeys(("pcl", "tcl", "kcl", "qcl"), "cl"),
    **dict.fromkeys(("bcl", "dcl", "gcl"), "vcl"),
    **dict.fromkeys(("h#", "#h", "pau"), "sil"),
}
_TO_39 = {
    "ao": "aa",
    "ax": "ah",
    "ix": "ih",
    "el": "l",
    "en": "n",
    "zh": "sh",
    **dict.fromkeys(("cl", "vcl", "epi"), "sil"),
}
GLOTTAL = "q"  # left out of both: transcribers were not at one about it
_LISTED = """
aa ae ah ao aw ax ax-h axr ay b bcl ch d dcl dh dx eh el em en eng epi er ey f g gcl h# hh hv ih ix iy jh k kcl l m n ng
nx ow oy p pau pcl q r s sh t tcl th uh uw ux v w y z zh
"""
PHONES_61 = frozenset(_LISTED.split())


class Spoken(NamedTuple):
    """A phone from one sample to another."""

    begin: int
    end: int
    label: str


def folded(phone: str, num: int) -> str | None:
    """One of 61 phones as one of 48 or 39. None for the glottal stop.

    >>> folded("ax-h", 48), folded("ax-h", 39), folded("dcl", 39), folded("q", 39)
    ('ax', 'ah', 'sil', None)
    """
    if num == 61:
        return phone
    if phone == GLOTTAL:
        return None
    of_48 = _TO_48.get(phone, phone)
    return of_48 if num == 48 else _TO_39.get(of_48, of_48)


def read_phones(path: Path) -> list[Spoken]:
    """The lines of a PHN file. Raises AudiosslError for one that is none, and for a phone that TIMIT has not."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            begin, end, label = line.split()
            found.append(Spoken(int(begin), int(end), label))
        except ValueError as error:
            raise AudiosslError(f"{path} line {number} must be `BEGIN END PHONE`, not {line[:60]!r}.") from error
        if label not in PHONES_61 or found[-1].end <= found[-1].begin:
            raise AudiosslError(f"{path} line {number} has no phone of TIMIT's 61, or no length: {line[:60]!r}.")
    return found


def row_of(folder: Path, files: Mapping[str, Path]) -> MonoCut:
    """A sentence as a row. Raises AudiosslError where one of its files is missing.

    folder: DR1/FCJF0, for instance.
    files: of the sentence by their endings.
    """
    missing = [ending for ending in ("wav", "phn", "txt") if ending not in files]
    if missing:
        raise AudiosslError(f"{folder} has no {missing[0].upper()} beside {min(files.values())}; unpack TIMIT again.")
    speaker, sentence = folder.name.lower(), files["phn"].name.partition(".")[0].lower()
    name = f"{speaker}-{sentence}"
    recording = Recording.from_file(files["wav"], recording_id=name)
    spoken = read_phones(files["phn"])
    if spoken[-1].end > recording.num_samples + RATE_HZ // 10:
        raise AudiosslError(f"{files['phn']} goes on after the end of {files['wav']}; unpack TIMIT again.")
    said = SupervisionSegment(
        id=name,
        recording_id=name,
        start=0.0,
        duration=recording.duration,
        language="en",
        speaker=speaker,
        text=" ".join(files["txt"].read_text(encoding="utf-8").split()[2:]),
        custom={
            "phones": _sequence(spoken, 39),
            "phones48": _sequence(spoken, 48),
            "phones61": _sequence(spoken, 61),
            "dialect": folder.parent.name.lower(),
            "sex": speaker[0],
        },
        alignment={"phone": _tier(spoken, 39), "phone61": _tier(spoken, 61)},
    )
    return MonoCut(name, 0.0, recording.duration, 0, supervisions=[said], recording=recording)


def _sequence(spoken: Sequence[Spoken], num: int) -> str:
    """Phones with a space between. Equal neighbours stay two, as in Kaldi's scoring."""
    return " ".join(label for part in spoken if (label := folded(part.label, num)) is not None)


def _tier(spoken: Sequence[Spoken], num: int) -> list[AlignmentItem]:
    return [
        AlignmentItem(label, part.begin / RATE_HZ, (part.end - part.begin) / RATE_HZ)
        for part in spoken
        if (label := folded(part.label, num)) is not None
    ]


def speakers_in(folder: Path, part: str) -> Iterator[Path]:
    """The folders DR*/<speaker> of TRAIN or TEST. Raises AudiosslError where there is no such part."""
    inside = [path for path in (*folder.iterdir(), *folder.glob("*/*")) if path.is_dir() and path.name.lower() == part]
    if not inside:
        raise AudiosslError(f"{folder} has no {part.upper()}; give the unpacked LDC93S1, or its folder TIMIT.")
    return (path for path in sorted(inside[0].glob("*/*")) if path.is_dir())


def rows_of(speaker: Path) -> Iterator[MonoCut]:
    """The sentences SI and SX of a speaker. Copies of TIMIT have RIFF files beside or in place of NIST's."""
    sentences: dict[str, dict[str, Path]] = {}
    for path in sorted(speaker.iterdir()):
        name, *endings = path.name.lower().split(".")
        if endings and not name.startswith("sa") and not path.name.startswith("."):
            sentences.setdefault(name, {})[endings[-1]] = path
    for _, files in sorted(sentences.items()):
        yield row_of(speaker, files)


def main() -> None:
    arguments = folder_parser(__doc__, "the unpacked TIMIT").parse_args()
    dev, core = get_speakers()
    splits: dict[str, list[MonoCut]] = {"train": [], "dev": [], "test": []}
    for speaker in speakers_in(arguments.folder, "train"):
        splits["train"] += rows_of(speaker)
    for speaker in speakers_in(arguments.folder, "test"):
        split = {**dict.fromkeys(dev, "dev"), **dict.fromkeys(core, "test")}.get(speaker.name.lower())
        if split:
            splits[split] += rows_of(speaker)
    if empty := [name for name, rows in splits.items() if not rows]:
        raise AudiosslError(
            f"{arguments.folder} has no speaker of {empty[0]}, of whom dev has {len(dev)} and the core test set "
            f"{len(core)}; give the whole of TIMIT."
        )
    made = {name: CutSet.from_cuts(rows) for name, rows in splits.items()}
    write_manifests(made, arguments.out)
    print(f"{arguments.out}: {described(made)}")


if __name__ == "__main__":
    run(main)
