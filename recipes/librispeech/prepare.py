"""Manifests of LibriSpeech, and for phone recognition a lexicon of its words.

    python recipes/librispeech/prepare.py FOLDER data/librispeech
    python recipes/librispeech/prepare.py FOLDER data/librispeech --lexicon librispeech-lexicon.txt --lexicon more.txt
    python recipes/librispeech/prepare.py FOLDER data/librispeech --labels 10m

FOLDER holds train-clean-100, dev-clean and test-clean as published (or LibriSpeech/ with them, or other parts that are
named), and for `--labels` librispeech_finetuning, as Libri-light publishes it. A lexicon has a word and its phones a
line; the first pronunciation of the first file counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lhotse import CutSet, MonoCut
from lhotse.recipes import prepare_librispeech

from audiossl.core.errors import AudiosslError
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import described, folder_parser, run
from audiossl.data.text import TextConfig, read_lexicon

LIMITED = "librispeech_finetuning"
_TENS = tuple(f"1h/{number}" for number in range(6))
LABELS = {
    **{f"10m{'' if not number else f'-{number}'}": (part,) for number, part in enumerate(_TENS)},
    "1h": _TENS,
    "10h": (*_TENS, "9h"),
}


def read_part(folder: Path, part: str) -> CutSet:
    """Every utterance of a part, sorted by id. Raises AudiosslError where a transcript has no recording."""
    if not (folder / part).is_dir():
        raise AudiosslError(f"{folder} has no part {part}; give the unpacked LibriSpeech, or name other parts.")
    written = {
        line.split(maxsplit=1)[0]
        for table in (folder / part).rglob("*.trans.txt")
        for line in table.read_text(encoding="utf-8").splitlines()
        if line.strip()
    }
    if not written:
        raise AudiosslError(f"{folder / part} has no *.trans.txt file; unpack the published archive there.")
    found = prepare_librispeech(folder, dataset_parts=part)[part]
    said = {segment.recording_id: segment for segment in found["supervisions"]}
    cuts = [
        MonoCut(each.id, 0.0, each.duration, 0, supervisions=[said[each.id]], recording=each)
        for each in sorted(found["recordings"], key=lambda each: each.id)
        if each.id in said
    ]
    if missing := sorted(written - {cut.id for cut in cuts}):
        raise AudiosslError(
            f"{len(missing)} utterance(s) of {part} have a transcript and no recording, for instance {missing[0]}; "
            f"unpack the published archive again."
        )
    return CutSet.from_cuts(cuts)


def read_limited(folder: Path, labels: str) -> CutSet:
    """The training rows of Libri-light's limited supervision (arXiv:1912.07875), always the same utterances.

    folder: with librispeech_finetuning: 1h/0 to 1h/5, of ten minutes each, and 9h, each with clean and other.
    labels: 10m for 1h/0, 10m-3 for 1h/3, 1h for all six, 10h for these and 9h.
    """
    top = folder / LIMITED
    if not top.is_dir():
        raise AudiosslError(f"{folder} has no {LIMITED}; unpack Libri-light's archive of that name there.")
    parts = [f"{part}/{kind}" for part in LABELS[labels] for kind in ("clean", "other")]
    cuts = [cut for part in parts for cut in read_part(top, part)]
    return CutSet.from_cuts(sorted(cuts, key=lambda cut: cut.id))


def write_lexicon(splits: dict[str, CutSet], lexicons: Sequence[Path], path: Path) -> None:
    """First pronunciations of the words of all splits. Raises AudiosslError that lists words without one."""
    known: dict[str, list[str]] = {}
    for lexicon in lexicons:
        known = {**read_lexicon(lexicon, TextConfig(kind="phones", case="upper")), **known}
    words = sorted({word for cuts in splits.values() for cut in cuts for word in cut.supervisions[0].text.split()})
    if missing := [word for word in words if word not in known]:
        raise AudiosslError(
            f"{len(missing)} of {len(words)} words have no phones: {', '.join(missing[:5])}...; give another --lexicon "
            f"with them, for instance the output of a grapheme-to-phoneme converter."
        )
    path.write_text("".join(f"{word} {' '.join(known[word])}\n" for word in words), encoding="utf-8")


def main() -> None:
    parser = folder_parser(__doc__, "the unpacked LibriSpeech")
    parser.add_argument("--train", default="train-clean-100")
    parser.add_argument("--labels", choices=LABELS, help="of Libri-light's limited training sets, in place of --train")
    parser.add_argument("--dev", default="dev-clean")
    parser.add_argument("--test", default="test-clean")
    parser.add_argument("--lexicon", type=Path, action="append", default=[], help="words and their phones")
    arguments = parser.parse_args()
    inner = arguments.folder / "LibriSpeech"
    folder = (inner if inner.is_dir() else arguments.folder).resolve()
    held_out = {name: read_part(folder, getattr(arguments, name)) for name in ("dev", "test")}
    train = read_limited(folder, arguments.labels) if arguments.labels else read_part(folder, arguments.train)
    splits = {"train": train, **held_out}
    write_manifests(splits, arguments.out)
    if arguments.lexicon:
        write_lexicon(splits, arguments.lexicon, arguments.out / "lexicon.txt")
    print(f"{arguments.out}: {described(splits)}")


if __name__ == "__main__":
    run(main)
