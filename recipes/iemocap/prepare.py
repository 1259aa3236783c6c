"""One manifest of IEMOCAP, from which folds are drawn: four emotions, by session and speaker.

    python recipes/iemocap/prepare.py FOLDER data/iemocap

FOLDER is IEMOCAP_full_release as published: Session1 to Session5, each with dialog/EmoEvaluation/*.txt and
sentences/wav/DIALOG/TURN.wav. `exc` (excited) is counted as `hap`, and of the labels that the annotators agreed on,
`neu`, `hap`, `ang` and `sad` are kept: 5531 turns, as in SUPERB and most published work.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from audiossl.core.errors import ManifestError
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import cuts_of_table, folder_parser, run

LABELS = {"neu": "neu", "hap": "hap", "exc": "hap", "ang": "ang", "sad": "sad"}
# [6.2901 - 8.2357]	Ses01F_impro01_F000	neu	[2.5000, 2.5000, 2.5000]
TURN = re.compile(r"\[[\d.]+ - [\d.]+\]\t(Ses(\d\d)[FM]_\w+_([FM])\d+)\t(\w+)\t")
# Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.
SAID = re.compile(r"(Ses\d\d[FM]_\w+_[FM]\d+) \[[\d. -]+\]: ?(.*)")


def transcripts(session: Path) -> dict[str, str]:
    """What is said in each turn; empty where the corpus came without dialog/transcriptions."""
    found = {}
    for path in sorted((session / "dialog" / "transcriptions").glob("Ses*.txt")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if match := SAID.match(line):
                found[match[1]] = match[2].strip()
    return found


def turns(session: Path, root: Path) -> Iterator[dict[str, str]]:
    """A row of the table for each turn with one of the four emotions."""
    said = transcripts(session)
    for path in sorted((session / "dialog" / "EmoEvaluation").glob("Ses*.txt")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            match = TURN.match(line)
            if match is None or match[4] not in LABELS:
                continue
            wav = session / "sentences" / "wav" / path.stem / f"{match[1]}.wav"
            yield {
                "path": str(wav.relative_to(root)),
                "speaker": f"Ses{match[2]}{match[3]}",  # of this turn; its dialog is named after whom it films
                "label": LABELS[match[4]],
                "session": f"Ses{match[2]}",
                "kind": "improvised" if "impro" in path.stem else "scripted",
                "transcript": said.get(match[1], ""),
                "language": "en",
            }


def prepare(folder: Path, out: Path) -> Counter[str]:
    """Write out/recordings.csv and out/all.jsonl.gz; the number of turns by session."""
    sessions = sorted(path for path in folder.glob("Session*") if (path / "dialog" / "EmoEvaluation").is_dir())
    rows = [row for session in sessions for row in turns(session, folder)]
    if not rows:
        raise ManifestError(
            f"{folder} has no labelled turn in Session*/dialog/EmoEvaluation/Ses*.txt; give IEMOCAP_full_release."
        )
    write_manifests(cuts_of_table(rows, out / "recordings.csv", folder), out)
    return Counter(row["session"] for row in rows)


def main() -> None:
    arguments = folder_parser(__doc__, "IEMOCAP_full_release").parse_args()
    counts = prepare(arguments.folder, arguments.out)
    by_session = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    print(f"{arguments.out}: {sum(counts.values())} turns ({by_session})")


if __name__ == "__main__":
    run(main)
