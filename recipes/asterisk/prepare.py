"""Manifests of the Asterisk prompts: transcripts as they are spoken, one split, and what prompts ask for.

    python recipes/asterisk/prepare.py FOLDER data/asterisk

FOLDER holds manifest.csv (path, transcript, split) and the recordings that it names. A prompt is in one split only; two
prompts with the same words are too.

`action` and `topic` follow from the words of a prompt: the first of ACTIONS and of TOPICS that has one of them, else
`tell` and `other`. `slots` is the transcript in which keys and the words of TOPICS are marked. Prompts of at least
three words are all in the manifest requests, from which folds are drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from lhotse import CutSet

from audiossl.core.errors import AudiosslError
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import cuts_of_table, described, folder_parser, run
from audiossl.data.tables import parse_table, read_text
from audiossl.data.text import TextConfig, normalize

SPOKEN = {
    **dict(enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"])),
    "#": "pound",
    "*": "star",
}
ACTIONS = {
    "press": ("press",),
    "enter": ("enter",),
    "refuse": ("not", "cannot", "no", "invalid", "incorrect", "sorry", "afraid", "wrong", "failed", "unavailable"),
}
TOPICS = {
    "conference": ("conference", "conferences", "participant", "participants", "mute", "unmute", "muted", "unmuted"),
    "message": ("message", "messages", "mailbox", "mail", "voicemail", "greeting", "greetings"),
    "call": (
        "call",
        "calls",
        "caller",
        "callers",
        "calling",
        "party",
        "extension",
        "number",
        "phone",
        "line",
        "dialed",
    ),
}
FEWEST_WORDS = 3  # of a request: shorter prompts are parts of sentences
COLUMNS = ("path", "transcript", "speaker", "label", "language", "split")
WRITTEN = TextConfig(case="lower", punctuation="strip")
Row = dict[str, str]


def spoken(transcript: str) -> str:
    """Lower case, no punctuation, digits and keys as words.

    >>> spoken("Press 1, or the # key.")
    'press one or the pound key'
    """
    for sign, word in SPOKEN.items():
        transcript = transcript.replace(str(sign), f" {word} ")
    return normalize(transcript, WRITTEN)


def rows_of(table: Path) -> Iterator[Row]:
    """Rows with spoken transcripts; of those with equal words, all are in the split of the first in training order."""
    if not table.is_file():
        raise AudiosslError(f"There is no {table}; give the folder of the prompts with its manifest.csv.")
    found = parse_table(table, read_text(table, "table"))
    rows = [{**row, "transcript": spoken(row["transcript"])} for _, row in found.rows]
    for row in one_split_a_text(rows):
        kept = {column: row.get(column, "") for column in COLUMNS}
        yield {**kept, **asked(kept["transcript"].split())}


def one_split_a_text(rows: Iterable[Row]) -> Iterator[Row]:
    """A text that is in training somewhere is in training everywhere; likewise dev before test."""
    ranks = ("train", "dev", "test")
    rows = list(rows)
    best = {row["transcript"]: "test" for row in rows}
    for row in rows:
        best[row["transcript"]] = min(best[row["transcript"]], row["split"], key=ranks.index)
    for row in rows:
        yield {**row, "split": best[row["transcript"]]}


def asked(words: Sequence[str]) -> Row:
    """The action and the topic of a prompt, and its text with slots."""
    return {
        "action": first_of(ACTIONS, words, "tell"),
        "topic": first_of(TOPICS, words, "other"),
        "slots": marked(words),
    }


def first_of(table: Mapping[str, Sequence[str]], words: Sequence[str], other: str) -> str:
    """The first name in a table of which there is a word."""
    return next((name for name, known in table.items() if set(known) & set(words)), other)


def marked(words: Sequence[str]) -> str:
    """A text with its keys, and what it is about, as slots. Neighbours of a kind are one.

    >>> marked("press one or star to cancel this message".split())
    'press B-key one E-key or B-key star E-key to cancel this B-message message E-message'
    """
    kinds = {"key": tuple(SPOKEN.values()), **TOPICS}
    runs = [(name, " ".join(run)) for name, run in groupby(words, lambda word: first_of(kinds, [word], ""))]
    return " ".join(f"B-{name} {run} E-{name}" if name else run for name, run in runs)


def main() -> None:
    arguments = folder_parser(__doc__, "folder of the prompts, with its manifest.csv").parse_args()
    rows = rows_of(arguments.folder / "manifest.csv")
    splits = cuts_of_table(rows, arguments.out / "prompts.csv", arguments.folder)
    requests = [
        cut for cuts in splits.values() for cut in cuts if len((cut.supervisions[0].text or "").split()) >= FEWEST_WORDS
    ]
    made = {**splits, "requests": CutSet.from_cuts(requests)}
    write_manifests(made, arguments.out)
    print(f"{arguments.out}: {described(made)}")


if __name__ == "__main__":
    run(main)
