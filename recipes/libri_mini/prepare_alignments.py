"""Alignments of read speech: when each word and each phone is said, as CTM files.

    python recipes/libri_mini/prepare_alignments.py FOLDER data/libri_mini/alignments

FOLDER holds manifest.csv (path, transcript, speaker, split) and the recordings that it names. Written are words.ctm,
phones.ctm and the manifests of the same rows. The aligner is PocketSphinx with its English model, whose
context-dependent states are forced through the transcripts (see `Aligner`). Phones are the 39 of CMUdict without
stress, and SIL for pauses and noise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audiossl.core.errors import AudiosslError, LabelError
from audiossl.data.manifests import write_manifests
from audiossl.data.preparation import described, folder_parser, run
from audiossl.data.sources import cuts_from_csv
from audiossl.data.text import TextConfig, read_lexicon

if TYPE_CHECKING:
    from lhotse.cut import Cut

RATE_HZ = 16000
FRAME_S = 0.01
SAMPLES = 160  # of a frame
# Frame j sees 25.625 ms from 10 j ms on. The border between frames j - 1 and j lies this much after 10 j ms.
BOUNDARY_S = 0.025625 / 2 - FRAME_S / 2
LEXICON = Path(__file__).with_name("pronunciations.txt")
SILENCE = "SIL"
PHONES = (
    *(
        "AA",
        "AE",
        "AH",
        "AO",
        "AW",
        "AY",
        "B",
        "CH",
        "D",
        "DH",
        "EH",
        "ER",
        "EY",
        "F",
        "G",
        "HH",
        "IH",
        "IY",
        "JH",
        "K",
    ),
    *("L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH", SILENCE),
)
LATER = 80  # samples, half a frame, by which an alignment that fails begins later
MOST_TRIES = 4


class Said(NamedTuple):
    """A stretch of a recording, in frames from its beginning, and what is said in it."""

    start: float
    end: float
    label: str


class Found(NamedTuple):
    """What an alignment comes to."""

    words: list[Said]
    phones: list[Said]


class Aligner:
    """PocketSphinx, forced through transcripts.

    Words and pauses come first. The phones within them are those of the search for states. That search now and then
    loses its path in PocketSphinx 5.1. Phones are then taken for words, one after the other. The two agree by 20 ms in
    94 of 100 phones. Where both fail they are tried again from 5 ms later on, and at last on the parts before and after
    the longest pause, or a word where there is none.

    lexicons: files with a word and its phones a line, for words that PocketSphinx lacks.
    """

    def __init__(self, lexicons: Sequence[Path]) -> None:
        try:
            import pocketsphinx
        except ImportError as error:
            raise AudiosslError("Alignments need PocketSphinx; run `pip install audiossl-toolkit[align]`.") from error
        self._make = pocketsphinx.Decoder
        read = (read_lexicon(path, TextConfig(kind="phones", case="lower")) for path in lexicons)
        self._lexicon = {word: " ".join(phones).upper() for words in read for word, phones in words.items()}
        self._begin()

    def _begin(self) -> None:
        """New decoders: one that was used before keeps a memory of its last sound, and results would depend on it."""
        same: dict[str, Any] = {"lm": None, "samprate": RATE_HZ, "cmn": "batch", "loglevel": "FATAL"}
        self.words = self._make(**same)
        self.phones = self._make(dict=None, fsgusefiller=False, **same)
        for word, phones in self._lexicon.items():
            if self.words.lookup_word(word) is None:
                self.words.add_word(word, phones, False)
        for phone in PHONES:
            self.phones.add_word(phone.lower(), phone, False)

    def check_words(self, cuts: Iterable[Cut]) -> None:
        """Raises LabelError that lists words without a pronunciation."""
        said = {word for cut in cuts for word in _text(cut).split()}
        if missing := sorted(word for word in said if self.words.lookup_word(word) is None):
            raise LabelError(
                f"{len(missing)} of {len(said)} words have no pronunciation: {', '.join(missing[:5])}...; give a "
                f"--lexicon with a word and its phones of CMUdict a line."
            )

    def __call__(self, cut: Cut) -> Found:
        """Words (pauses left out) and phones of a row. Raises LabelError where they are not found in its sound."""
        self._begin()
        samples = cut.resample(RATE_HZ).load_audio()[0]
        found = self._aligned((samples.clip(-1, 1) * 32767).round().astype(np.int16), _text(cut))
        if found is None:
            raise LabelError(
                f"The transcript of {cut.id} cannot be aligned with its sound; correct it, or leave it out."
            )
        return found

    def _aligned(self, sound: NDArray[np.int16], text: str) -> Found | None:
        for late in range(MOST_TRIES):
            part = sound[late * LATER :].tobytes()
            words = [said.label for said in self._words_of(part, text)]
            found = self._by_states(part) or self._by_phones(part, words)
            if found and [word.label for word in found[0]] == text.split():
                return _later(found, late / 2)
        return self._in_two(sound, text)

    def _in_two(self, sound: NDArray[np.int16], text: str) -> Found | None:
        """The parts before and after the longest pause, or a word where there is none, each by itself."""
        said = self._words_of(sound.tobytes(), text)
        spoken = [place for place, word in enumerate(said) if not _is_pause(word.label)]
        if len(spoken) < 2:
            return None
        pauses = [place for place in range(spoken[0], spoken[-1]) if _is_pause(said[place].label)]
        place = max(pauses, key=lambda place: said[place].end - said[place].start, default=spoken[len(spoken) // 2])
        cut = said[place]
        middle = int(cut.start + cut.end) // 2 if pauses else int(cut.start)
        num_words = sum(each < place for each in spoken)
        left = self._aligned(sound[: middle * SAMPLES], " ".join(text.split()[:num_words]))
        right = self._aligned(sound[middle * SAMPLES :], " ".join(text.split()[num_words:]))
        if left is None or right is None:
            return None
        moved = _later(right, middle, middle)
        return Found(left.words + moved.words, left.phones + moved.phones)

    def _words_of(self, sound: bytes, text: str) -> list[Said]:
        """What is said, with pronunciations and pauses: `don't(2)`, `<sil>`."""
        self.words.set_align_text(text)
        _decode(self.words, sound)
        found = [Said(part.start_frame, part.end_frame + 1, part.word) for part in self.words.seg() or ()]
        # Beginning and end of a sentence last a frame and are no pauses.
        return [word for word in found if not word.label.startswith("(") and word.label not in ("<s>", "</s>")]

    def _by_states(self, sound: bytes) -> Found | None:
        """Of the words that were just found."""
        try:
            self.words.set_alignment()
            _decode(self.words, sound)
        except RuntimeError:
            return None
        words, phones = [], []
        for word in self.words.get_alignment():
            spoken = not _is_pause(word.name)
            if spoken:
                words.append(Said(word.start, word.start + word.duration, _plain(word.name)))
            phones += [Said(p.start, p.start + p.duration, p.name if spoken else SILENCE) for p in word]
        return Found(words, phones)

    def _by_phones(self, sound: bytes, words: Sequence[str]) -> Found | None:
        each = [[SILENCE] if _is_pause(word) else self.words.lookup_word(word).split() for word in words]
        wanted = [phone for phones in each for phone in phones]
        self.phones.set_align_text(" ".join(wanted).lower())
        _decode(self.phones, sound)
        found = [Said(p.start_frame, p.end_frame + 1, p.word.upper()) for p in self.phones.seg() or ()]
        found = [part for part in found if part.label in PHONES]
        if [part.label for part in found] != wanted:
            return None
        spoken, place = [], 0
        for word, phones in zip(words, each, strict=True):
            own, place = found[place : place + len(phones)], place + len(phones)
            if not _is_pause(word):
                spoken.append(Said(own[0].start, own[-1].end, _plain(word)))
        return Found(spoken, found)


def _decode(decoder: Any, sound: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(sound, full_utt=True)
    decoder.end_utt()


def _text(cut: Cut) -> str:
    return str(cut.supervisions[0].text).lower()


def _is_pause(word: str) -> bool:
    return word.startswith(("<", "[", "+"))


def _plain(word: str) -> str:
    """Without the number of its pronunciation."""
    return re.sub(r"\(\d+\)$", "", word)


def _later(found: Found, frames: float, begin: float = 0.0) -> Found:
    """As much later as was left out of the recording before. What was first begins at `begin`."""
    return Found(
        *(
            [Said(start + frames if start else begin, end + frames, label) for start, end, label in each]
            for each in found
        )
    )


def ctm_lines(cut: Cut, parts: Sequence[Said]) -> list[str]:
    """`ID CHANNEL START DURATION LABEL`, from the beginning of the recording to its end."""
    lines = []
    for start, end, label in parts:
        begin_s = start * FRAME_S + BOUNDARY_S if start else 0.0
        end_s = min(end * FRAME_S + BOUNDARY_S, cut.duration)
        lines.append(f"{cut.recording.id} 1 {begin_s:.4f} {end_s - begin_s:.4f} {label}\n")
    return lines


@cache
def _aligner(lexicons: tuple[Path, ...]) -> Aligner:
    """One for each process."""
    return Aligner(lexicons)


def _try(cut: Cut, lexicons: tuple[Path, ...]) -> Found | str:
    try:
        return _aligner(lexicons)(cut)
    except LabelError as error:
        return str(error)


def align_all(cuts: Sequence[Cut], lexicons: tuple[Path, ...], jobs: int) -> Iterator[tuple[Cut, Found | str]]:
    """Each row with its alignment, or with why it has none. Prints how far it is."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("fork")) as pool:
        found = pool.map(partial(_try, lexicons=lexicons), cuts)
        for number, (cut, each) in enumerate(zip(cuts, found, strict=True), 1):
            if number % 100 == 0:
                print(f"{number} of {len(cuts)} recordings", flush=True)
            yield cut, each


def main() -> None:
    parser = folder_parser(__doc__, "folder with a manifest.csv that has transcripts", "folder for what is made")
    parser.add_argument("--lexicon", type=Path, action="append", default=[LEXICON], help="words and phones, one a line")
    parser.add_argument("--skip-bad", action="store_true", help="leave out rows that cannot be aligned, and name them")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    arguments = parser.parse_args()
    splits = cuts_from_csv(arguments.folder / "manifest.csv")
    cuts, lexicons = [cut for split in splits.values() for cut in split], tuple(arguments.lexicon)
    _aligner(lexicons).check_words(cuts)
    lines: dict[str, list[str]] = {"words.ctm": [], "phones.ctm": []}
    left_out: dict[str, str] = {}
    for cut, found in align_all(cuts, lexicons, arguments.jobs):
        if isinstance(found, str):
            if not arguments.skip_bad:
                raise LabelError(f"{found[:-1]} with --skip-bad.")
            left_out[cut.id] = found
            continue
        for name, parts in zip(lines, found, strict=True):
            lines[name] += ctm_lines(cut, parts)
    splits = {name: rows.filter(lambda cut: cut.id not in left_out).to_eager() for name, rows in splits.items()}
    write_manifests(splits, arguments.out)
    for name, written in lines.items():
        (arguments.out / name).write_text("".join(written), encoding="utf-8")
    counts = ", ".join(f"{len(written)} lines in {name}" for name, written in lines.items())
    print("".join(f"Left out: {why}\n" for why in left_out.values()), end="")
    print(f"{arguments.out}: {described(splits)}; {counts}")


if __name__ == "__main__":
    run(main)
