"""Sentences for language models, from manifests and text files, normalised as a recogniser's transcripts are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from audiossl.core.errors import ConfigError
from audiossl.data.fields import read_field
from audiossl.data.manifests import read_manifest
from audiossl.data.text import TextError, TextUnits
from audiossl.downstreams.asr.search.beam import SPACE
from audiossl.downstreams.asr.search.runs import recogniser_of
from audiossl.downstreams.asr.task import AsrConfig
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.loading import run_folder


def sentences_of(sources: Sequence[Path], run: Path | None, *, as_units: bool) -> Iterator[list[str]]:
    """The words, or units, of each sentence.

    sources: manifests (.jsonl, .jsonl.gz), of which the transcripts are read, and text files with a sentence a line.
    run: a run of asr, by whose configuration text is normalised and spelled. None for words as they are written.
    as_units: whether units are asked for, which needs a run.
    Raises ConfigError for units without a run, and for a sentence that its units do not spell.
    """
    config = AsrConfig() if run is None else recogniser_of(RunFolder(run_folder(run)).final_config(), run)[1]
    if as_units and run is None:
        raise ConfigError("--units are those of a recogniser; name it by --run.")
    units = TextUnits(config.text)
    for source in sources:
        for where, text in _lines(source, config.text_field):
            try:
                yield _spelled(units, text) if as_units else units.tokens(text)
            except TextError as problem:
                raise ConfigError(f"{where} {problem}; correct it, or leave the line out.") from None


def _spelled(units: TextUnits, text: str) -> list[str]:
    symbols = (units.config.symbols[number] for number in units.encode(text))
    return [SPACE if symbol == " " else symbol for symbol in symbols]


def _lines(source: Path, field: str) -> Iterable[tuple[str, str]]:
    """Each text with its place."""
    if source.name.endswith((".jsonl", ".jsonl.gz")):
        found = ((f"Row {cut.id} of {source}", read_field(cut, field)) for cut in read_manifest(source))
        return ((where, text) for where, text in found if text is not None)
    try:
        lines = source.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source} cannot be read as UTF-8 text; give a manifest or a text file.") from error
    return ((f"{source} line {number}", line) for number, line in enumerate(lines, start=1) if line.strip())
