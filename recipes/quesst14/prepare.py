"""Manifests of QUESST 2014 from its published folders: spoken queries and the documents they are sought in.

    python recipes/quesst14/prepare.py quesst14Database data/quesst14       # the English part, as SUPERB
    python recipes/quesst14/prepare.py quesst14Database data/quesst14 --language all

FOLDER has Audio/, dev_queries/, eval_queries/ and scoring/, with lists (language_key_*.lst) and ground truth. Rows
of dev and test are the queries of dev and eval with all documents. train has the documents, for statistics.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from audiossl.core.errors import AudiosslError
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import cuts_of_table, described, folder_parser, run

ENGLISH, ALL = "nnenglish", "all"
SPLITS = {"dev": "dev", "test": "eval"}
# LEXEME <document> <channel> <start> <duration> <query> ..., where what is not said has other words for a query.
SAID = re.compile(r"LEXEME\s+(quesst14_\d+)\s+(?:\S+\s+){3}(quesst14_(?:dev|eval)_\d+)\b")


def listed(folder: Path, name: str, language: str) -> list[tuple[Path, str]]:
    """The files of a list of scoring/ with their languages. Its paths begin with the name of the whole database."""
    path = folder / "scoring" / f"language_key_{name}.lst"
    if not path.is_file():
        raise AudiosslError(f"{folder} has no {path.relative_to(folder)}; give the unpacked quesst14Database.")
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        parts = line.split()
        if parts and len(parts) != 2:
            raise AudiosslError(f"{path}, line {number}: {line!r} is no path and language; get the list again.")
        if parts and language in (parts[1], ALL):
            found.append((folder / Path(*Path(parts[0]).parts[1:]), parts[1]))
    if not found:
        known = sorted({line.split()[-1] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()})
        raise AudiosslError(f"{path} has nothing in {language!r}; there are {', '.join(known) or 'no languages'}.")
    return found


def terms_in(folder: Path, name: str) -> dict[str, set[str]]:
    """The queries that are said in each document."""
    path = folder / "scoring" / f"groundtruth_quesst14_{name}" / f"quesst14_{name}.rttm"
    if not path.is_file():
        raise AudiosslError(
            f"{folder} has no {path.relative_to(folder)}, which says where queries are; get it as well."
        )
    found: dict[str, set[str]] = defaultdict(set)
    for line in path.read_text(encoding="utf-8").splitlines():
        if match := SAID.match(line):
            found[match[1]].add(match[2])
    if not found:
        raise AudiosslError(f"{path} says of no query where it is (a line begins with LEXEME); get it again.")
    return found


def rows_of(folder: Path, language: str) -> list[dict[str, object]]:
    """The table of all splits."""
    documents = listed(folder, "utterances", language)
    rows: list[dict[str, object]] = []
    for split, name in SPLITS.items():
        said = terms_in(folder, name)
        for path, spoken in listed(folder, name, language):
            rows.append({"path": path, "split": split, "language": spoken, "query": path.stem, "terms": ""})
        for path, spoken in documents:
            terms = "|".join(sorted(said.get(path.stem, ())))
            rows.append({"path": path, "split": split, "language": spoken, "query": "", "terms": terms})
    for path, spoken in documents:
        rows.append({"path": path, "split": "train", "language": spoken, "query": "", "terms": ""})
    return rows


def main() -> None:
    parser = folder_parser(__doc__, "the unpacked quesst14Database")
    parser.add_argument("--language", default=ENGLISH, help=f"as the lists name it, or {ALL} (default: {ENGLISH})")
    arguments = parser.parse_args()
    rows = [{**row, "path": Path(str(row["path"])).resolve()} for row in rows_of(arguments.folder, arguments.language)]
    splits = cuts_of_table(rows, arguments.out / "recordings.csv", arguments.folder)
    write_manifests(splits, arguments.out)
    print(f"{arguments.out}: {described(splits)}")


if __name__ == "__main__":
    run(main)
