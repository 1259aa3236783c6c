"""Manifests of a language of Mozilla Common Voice, by its own tables.

    python recipes/common_voice/prepare.py cv-corpus-19.0/cy data/common_voice
    python recipes/common_voice/prepare.py cv-corpus-19.0/cy data/common_voice --train validated

FOLDER holds clips/, train.tsv, dev.tsv and test.tsv. With `--train validated`, training has every validated clip but
those of speakers in dev and test: the published train.tsv has few clips of each sentence, and much less sound.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from audiossl.core.errors import AudiosslError
from audiossl.data.common_voice import cuts_from_common_voice
from audiossl.data.fields import read_field
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import described, folder_parser, run

if TYPE_CHECKING:
    from lhotse import CutSet


def without_speakers(rows: CutSet, held_out: Mapping[str, CutSet]) -> CutSet:
    """The rows of other speakers than those of dev and test. Raises AudiosslError where none is left."""
    known = {read_field(cut, "speaker") for cuts in held_out.values() for cut in cuts}
    left = rows.filter(lambda cut: read_field(cut, "speaker") not in known).to_eager()
    if not len(left):
        raise AudiosslError("validated.tsv has no speaker beside those of dev and test; take --train train.")
    return left


def main() -> None:
    parser = folder_parser(__doc__, "the folder of a language")
    parser.add_argument("--train", choices=("train", "validated"), default="train", help="the table of training rows")
    arguments = parser.parse_args()
    found = cuts_from_common_voice(arguments.folder, (arguments.train, "dev", "test"))
    held_out = {name: found[name] for name in ("dev", "test")}
    train = found[arguments.train]
    if arguments.train == "validated":
        train = without_speakers(train, held_out)
    splits = {"train": train, **held_out}
    write_manifests(splits, arguments.out)
    print(f"{arguments.out}: {described(splits)}")


if __name__ == "__main__":
    run(main)
