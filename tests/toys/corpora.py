"""Manifests of sound for the settings of every task: what the settings read, under the names that they read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lhotse import CutSet
from lhotse.supervision import AlignmentItem

from audiossl.core.config import read_yaml
from audiossl.data.manifests import write_manifests
from audiossl.data.sources import cuts_from_csv
from toys import events
from toys.recipes import noise
from toys.searches import write_search

WORDS = ("NO", "YES")
SPLITS = ("train", "train", "dev", "test")
SEEDS = (("train", 0), ("dev", 10), ("test", 20))
# What a table of noise says of recordings that are odd (1) and even (0) in number, beside the speaker and the label.
COLUMNS = {
    "action": ("stop", "start"),
    "object": ("music", "light"),
    "location": ("none", "kitchen"),
    "topic": ("calls", "mail"),
    "intent": ("ask", "tell"),
    "slots": ("NO B-what YES E-what", "YES B-what NO E-what"),
    "phones": ("n ow", "y eh s"),
    "phones61": ("n ow", "y eh s"),
    "valence": ("1.5", "4.5"),
    "arousal": ("2", "5"),
    "dominance": ("3", "6"),
}


def write_table(folder: Path, splits: Mapping[str, str]) -> dict[str, CutSet]:
    """Noise of two speakers with every column, as manifests by split.

    splits: the name of the manifest of each split.
    """
    lines = [",".join(["path", "speaker", "label", "transcript", "split", "source", "system", "mos", *COLUMNS])]
    for number in range(24):
        odd, name = number % 2, noise(folder / "audio" / f"{number}.wav", number).name
        said = ["ann" if odd else "bob", str(odd), WORDS[odd], SPLITS[number // 2 % 4], f"set {odd}"]
        said += [f"codec {number % 3}", str(2 + number % 3)]
        lines.append(",".join([f"audio/{name}", *said, *(values[odd] for values in COLUMNS.values())]))
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    made = cuts_from_csv(folder / "table.csv")
    write_manifests({splits[split].removesuffix(".jsonl.gz"): made[split] for split in made}, folder)
    return made


def write_foldable(folder: Path, name: str) -> None:
    """The recordings of `write_table` by six speakers in three sessions, which are the folds as well."""
    columns = ("action", "topic")
    lines = [",".join(["path", "speaker", "label", "transcript", "session", "fold", *columns])]
    for number in range(24):
        odd, session = number % 2, number // 8
        said = [f"s{number // 4}", str(odd), f"{WORDS[odd]} {number // 4}", f"Ses0{session}", str(session)]
        lines.append(",".join([f"audio/{number}.wav", *said, *(COLUMNS[column][odd] for column in columns)]))
    (folder / "all.csv").write_text("\n".join(lines) + "\n")
    write_manifests({name.removesuffix(".jsonl.gz"): cuts_from_csv(folder / "all.csv")["all"]}, folder)


def write_events(settings: Path, folder: Path) -> list[str]:
    """Recordings with tones at known times."""
    names = named_splits(read_yaml(settings))
    rows = {split: events.rows_of(events.write_field(folder / split, 4, seed), folder / split) for split, seed in SEEDS}
    for number, cut in enumerate(cut for cuts in rows.values() for cut in cuts):
        cut.supervisions[0].custom["part"] = f"part {number % 2}"
    write_manifests({names[split].removesuffix(".jsonl.gz"): cuts for split, cuts in rows.items()}, folder)
    return []


def write_aligned(settings: Path, folder: Path) -> list[str]:
    """Noise whose halves are two phones, by a CTM file or by the tier that the settings name."""
    alignment = read_yaml(settings)["task"]["alignment"]
    made = write_table(folder, {split: split for split in SPLITS})
    lines = []
    for cut in (cut for cuts in made.values() for cut in cuts):
        half = cut.duration / 2
        for place, phone in enumerate(("N", "OW")):
            lines.append(f"{cut.recording.id} 1 {place * half:g} {half:g} {phone}")
        tier = [AlignmentItem(phone, place * half, half) for place, phone in enumerate(("n", "ow"))]
        cut.supervisions[0].alignment = {alignment: tier}
    write_manifests(made, folder)
    (folder / "phones.ctm").write_text("\n".join(lines) + "\n")
    return [f"task.alignment={folder / 'phones.ctm'}"] if alignment.endswith(".ctm") else []


def write_queries(settings: Path, folder: Path) -> list[str]:
    """Melodies, and documents with two of them."""
    del settings
    return [f"data.dir={write_search(folder)}"]


# Tasks whose rows are more than a table of recordings says: what writes them gives settings that go with them.
WRITERS: dict[str, Callable[[Path, Path], list[str]]] = {
    "bioacoustic_events": write_events,
    "frame_classification": write_aligned,
    "query_by_example": write_queries,
}


def named_splits(experiment: Mapping[str, Any]) -> dict[str, str]:
    """The manifests' names in an experiment by split."""
    data = experiment.get("data", {})
    return {split: str(data.get(split, split)) for split in ("train", "dev", "test")}
