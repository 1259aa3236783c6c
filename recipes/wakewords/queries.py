"""Wake words to be found among recordings of wake words: what the task query_by_example reads.

    python recipes/wakewords/queries.py data/wakewords data/wakewords/queries

Queries are the recordings of dev and of test. Documents are those of train, every other one for dev and for test.
train.jsonl.gz has the documents of dev. Nobody knows the speakers, so that a voice may be on both sides.
"""

from __future__ import annotations

from audiossl.data.fields import read_field
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.preparation import cuts_of_table, described, folder_parser, run
from audiossl.data.reading import path_of


def main() -> None:
    arguments = folder_parser(__doc__, "the manifests of the recipe").parse_args()
    rows = {split: list(read_manifest(arguments.folder / f"{split}.jsonl.gz")) for split in ("train", "dev", "test")}
    documents = sorted(rows["train"], key=lambda cut: str(cut.id))
    table: list[dict[str, object]] = []
    for place, split in enumerate(("dev", "test")):
        queries = [
            {"path": path_of(cut), "split": split, "query": read_field(cut, "label"), "terms": ""}
            for cut in rows[split]
        ]
        mine = [{"path": path_of(cut), "query": "", "terms": read_field(cut, "label")} for cut in documents[place::2]]
        table += [*queries, *({**row, "split": split} for row in mine)]
        if split == "dev":
            table += [{**row, "split": "train"} for row in mine]
    made = cuts_of_table(table, arguments.out / "recordings.csv", arguments.out)
    write_manifests(made, arguments.out)
    print(f"{arguments.out}: {described(made)}")


if __name__ == "__main__":
    run(main)
