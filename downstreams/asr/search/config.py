"""The settings of decoding."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Count, Finite, Positive, Range, Share, check_ranges

FREE = "none"


@dataclass(frozen=True)
class DecodingConfig:
    """How scores of steps become text. `decoding: beam` is short for `method: beam`."""

    SHORT: ClassVar[str] = "method"

    method: Literal["best_path", "beam"] = "best_path"
    """The best unit of each step, or a search for the most probable text, with a language model if there is one."""
    lm: str = ""
    """An n-gram model, as ARPA or in KenLM's binary form, of words, or of units where `lexicon` is none. Empty for
    none."""
    lexicon: str = ""
    """Words that may be found: a file with one a line, each perhaps followed by its units, or 'none' for any text that
    the units spell. Empty for the words of an ARPA file, and for none without a language model."""
    lm_weight: Finite | None = None
    """What the logarithm of the language model's probability is multiplied by. Null for what dev chooses."""
    word_score: Finite | None = None
    """What each word adds. Null for what dev chooses. Without a lexicon it is for each unit, null for 0, and any other
    makes the search many times as slow."""
    beam: Count = 100
    """Texts that are kept after each step."""
    beam_units: Count | None = 10
    """How many of the best units of a step are tried. Null for all."""
    threshold: Positive | None = 14.0
    """Texts whose score is lower than the best by more are dropped after each step. Null for none."""
    sure_blank: Share | None = 0.99
    """Of neighbouring steps whose blank is at least as probable, the search takes the first alone. What it finds is
    scored by all. Null for every step."""
    hot_words: list[str] = field(default_factory=list)
    """Words that are more probable than the model says. They are in the lexicon, whether it has them or not."""
    hot_score: Annotated[float, Range(0)] = 5.0
    """What each of them adds."""
    nbest: Count = 1
    """Texts in a prediction, with their scores, the best first."""

    def __post_init__(self) -> None:
        check_ranges(self, "task.decoding")
        if self.method == "best_path" and (self.lm or self.hot_words or self.lexicon or self.nbest > 1):
            raise ConfigError(
                "task.decoding.method=best_path takes the best unit of each step and reads no language model, lexicon "
                "or hot words; set task.decoding.method=beam."
            )
        if self.hot_words and self.lexicon == FREE:
            raise ConfigError("task.decoding.hot_words are for a search in words; leave decoding.lexicon=none out.")

    @property
    def is_tuned(self) -> bool:
        """Whether dev has something to choose."""
        words = self.word_score is None and not self.is_free
        return self.method == "beam" and (words or (bool(self.lm) and self.lm_weight is None))

    @property
    def is_free(self) -> bool:
        """Whether any text may be found that the units spell."""
        return self.lexicon == FREE or not (self.lexicon or self.lm or self.hot_words)
