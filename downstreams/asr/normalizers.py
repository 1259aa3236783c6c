"""Text normalisers of a library by name: what of a transcript counts as said, by the customs of a language.

Those of `whisper-normalizer` are the ones by which Whisper (arXiv:2212.04356, appendix C) and the leaderboards after it
are scored: numbers as digits, contractions written out, one spelling, no fillers.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from audiossl.core.errors import ConfigError, did_you_mean
from audiossl.metrics.error_rate import count_edits
from audiossl.training.task import Prediction

PACKAGE = "whisper-normalizer"
_CLASSES: Mapping[str, tuple[str, str]] = {
    "whisper-basic": ("basic", "BasicTextNormalizer"),
    "whisper-english": ("english", "EnglishTextNormalizer"),
    **{
        f"whisper-{language.lower()}": ("international", f"{language}TextNormalizer")
        for language in ("Arabic", "Chinese", "French", "Russian", "Spanish")
    },
    **{
        f"whisper-{language.lower()}": ("indic", f"{language}Normalizer")
        for language in ("Bengali", "Gujarati", "Hindi", "Kannada", "Malayalam", "Odia", "Punjabi", "Tamil", "Telugu")
    },
}
"""By name, the module and the class of the library. 'basic' is for any language: case, punctuation and brackets."""

NAMES = tuple(sorted(_CLASSES))
RAW = "raw"  # where a prediction keeps its texts as they were


def check_name(name: str) -> None:
    """Raises ConfigError for a name that is no normaliser's."""
    if name and name not in _CLASSES:
        raise ConfigError(f"task.normalizer={name}: there is no such normaliser. {did_you_mean(name, NAMES)}")


@cache
def load_normalizer(name: str) -> Callable[[str], str]:
    """From a text to what of it is compared. Raises ConfigError for an unknown name, and where the library is missing.

    >>> load_normalizer("whisper-english")("Mister Smith isn't twenty-one, uh, years old.")
    'mister smith is not 21 years old'
    """
    check_name(name)
    module, kind = _CLASSES[name]
    try:
        found: Any = getattr(importlib.import_module(f"whisper_normalizer.{module}"), kind)
    except ImportError as error:
        raise ConfigError(
            f"task.normalizer={name} needs {PACKAGE} ({error}); run `pip install audiossl-toolkit[text]`."
        ) from error
    made = found()
    return lambda text: str(made(text))


def facts_of(name: str) -> dict[str, str]:
    """What metrics.json says of a normaliser."""
    load_normalizer(name)
    return {"name": name, "package": f"{PACKAGE} {importlib.metadata.version(PACKAGE)}"}


def compared(row: Prediction, name: str, folding: Mapping[str, str] | None = None) -> Prediction:
    """A prediction whose texts and edits are those that are compared. Its own texts stay in `raw`.

    row: of a recogniser, which may have been normalised before.
    name: of the normaliser. '' for the texts as they are.
    folding: units by what they count as, '' for nothing. Units that it does not have count as they are.
    """
    folding = folding or {}
    if row["target"] is None or not (name or folding or RAW in row):
        return row
    raw = row.get(RAW) or {key: row[key] for key in ("target", "predicted")}
    rest = {key: value for key, value in row.items() if key != RAW}
    normalize = load_normalizer(name) if name else str
    texts = {key: _folded(normalize(text), folding) for key, text in raw.items()}
    edits = count_edits(texts["target"].split(), texts["predicted"].split())
    kept = {RAW: raw} if name or folding else {}
    return {**rest, **texts, "num_errors": edits.num_errors, **edits._asdict(), **kept}


def _folded(text: str, folding: Mapping[str, str]) -> str:
    return " ".join(filter(None, (folding.get(unit, unit) for unit in text.split())))
