"""Manifests of InfantMarmosetsVox: a row for each annotated call.

    python recipes/infant_marmosets/prepare.py FOLDER data/infant_marmosets --split recording

FOLDER holds labels.csv (filename, start, end, calltype, caller) and data/twin_1/20160907_Twin1_marmoset1.wav and so on,
at any depth. Silence and noise are left out.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from audiossl.core.errors import ManifestError
from audiossl.data.annotated import cuts_of_calls, located
from audiossl.data.annotations import Annotation, read_annotations
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import described, folder_parser, run
from audiossl.data.splits import split_cuts

CALL_TYPES = {
    "0": "peep_pre_phee",
    "1": "phee",
    "2": "twitter",
    "3": "trill",
    "4": "trillphee",
    "5": "tsik_tse",
    "6": "egg",
    "7": "pheecry",
    "8": "trilltwitter",
    "9": "pheetwitter",
    "10": "peep",
}
LEFT_OUT = ("11", "12")  # silence, noise
SHARES = {"train": 0.7, "dev": 0.2, "test": 0.1}  # as published
SEED = 42
SHORTEST_S = 0.05  # what encoders of speech need for two frames at the slowest clock


def prepare(folder: Path, out: Path, split: str) -> None:
    """Write train, dev and test and say how many calls they have, and what was left out."""
    rows, left_out = calls_of(folder)
    cuts = cuts_of_calls(located(rows, root=folder), folder)["all"]
    # Published: segment by segment. Neighbours of a test call, of the same animal in the same minute, are in training.
    splits = split_cuts(cuts, SHARES, by="recording" if split == "recording" else "item", seed=SEED)
    write_manifests(splits, out)
    print(f"{out}: {described(splits)}; left out: {left_out}")


def calls_of(folder: Path) -> tuple[list[Annotation], str]:
    """Annotations with their names and callers, and a sentence about those that are not among them."""
    found = sorted(folder.rglob("labels.csv"))
    if not found:
        raise ManifestError(
            f"There is no labels.csv below {folder}; unpack InfantMarmosetsVox_documentation.tar.gz there."
        )
    files = {path.stem: str(path.relative_to(folder)) for path in sorted(folder.rglob("*.wav"))}
    kept: list[Annotation] = []
    seen: set[tuple[str, float, float, str]] = set()
    counts = {"silence or noise": 0, "repeated lines": 0, f"calls shorter than {SHORTEST_S:g} s": 0}
    for row in read_annotations(found[0], "csv", columns={"path": "filename", "label": "calltype"}):
        key = (row.path, row.start_s, row.end_s, row.label)
        if row.label in LEFT_OUT:
            counts["silence or noise"] += 1
        elif key in seen:
            counts["repeated lines"] += 1
        elif row.end_s - row.start_s < SHORTEST_S:
            counts[f"calls shorter than {SHORTEST_S:g} s"] += 1
        else:
            kept.append(_named(row, files))
        seen.add(key)
    return kept, ", ".join(f"{count} {what}" for what, count in counts.items())


def _named(row: Annotation, files: dict[str, str]) -> Annotation:
    name = Path(row.path).name.removesuffix(".wav")
    if name not in files:
        raise ManifestError(f"{row.where}: there is no {name}.wav; unpack its twin's archive, or delete the line.")
    if row.label not in CALL_TYPES:
        raise ManifestError(f"{row.where}: {row.label!r} is no call type from 0 to 12; correct it.")
    if not row.fields.get("caller"):
        raise ManifestError(f"{row.where} has no caller; fill the column in.")
    others = {"speaker": f"caller_{row.fields['caller']}"}
    return replace(row, path=files[name], label=CALL_TYPES[row.label], fields=others)


def main() -> None:
    parser = folder_parser(__doc__, "the unpacked archives")
    parser.add_argument("--split", choices=("recording", "published"), default="recording")
    arguments = parser.parse_args()
    prepare(arguments.folder, arguments.out, arguments.split)


if __name__ == "__main__":
    run(main)
