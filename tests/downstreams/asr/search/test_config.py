"""Settings of decoding that contradict each other, and what dev has to choose."""

from __future__ import annotations

import pytest

from audiossl.core.errors import ConfigError
from audiossl.downstreams.asr.search.config import DecodingConfig


def test_contradictions_are_one_sentence() -> None:
    for options in ({"lm": "lm.arpa"}, {"hot_words": ["a"]}, {"lexicon": "words.txt"}, {"nbest": 2}):
        with pytest.raises(ConfigError, match="reads no language model, lexicon or hot words"):
            DecodingConfig(**options)
    with pytest.raises(ConfigError, match="are for a search in words"):
        DecodingConfig("beam", lexicon="none", hot_words=["a"])
    with pytest.raises(ConfigError, match="threshold"):
        DecodingConfig("beam", threshold=0.0)


@pytest.mark.parametrize(
    ("config", "tuned"),
    [
        (DecodingConfig(), False),
        (DecodingConfig("beam"), False),
        (DecodingConfig("beam", lexicon="words.txt"), True),
        (DecodingConfig("beam", lexicon="words.txt", word_score=0.0), False),
        (DecodingConfig("beam", "units.arpa", "none"), True),
        (DecodingConfig("beam", "lm.arpa", word_score=0.0), True),
        (DecodingConfig("beam", "lm.arpa", lm_weight=1.0, word_score=0.0), False),
    ],
)
def test_dev_chooses_what_is_null(config: DecodingConfig, tuned: bool) -> None:
    assert config.is_tuned == tuned
