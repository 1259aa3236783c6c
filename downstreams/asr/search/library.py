"""flashlight-text, which searches, and a language model of it that favours some tokens."""

from __future__ import annotations

from typing import Any, NamedTuple

from audiossl.core.errors import ConfigError


class Library(NamedTuple):
    """What is used of flashlight-text. raised: a model that adds to the scores of some tokens."""

    decoder: Any
    dictionary: Any
    kenlm: Any
    raised: Any


def flashlight() -> Library:
    """The library. Raises ConfigError where it is not installed."""
    try:
        from flashlight.lib.text import decoder
        from flashlight.lib.text.decoder.kenlm import KenLM
        from flashlight.lib.text.dictionary import Dictionary
    except ImportError as error:
        raise ConfigError(
            "Beam search needs the packages ufal-flashlight-text and ufal-kenlm, which are not installed; run `pip "
            "install audiossl-toolkit[lm]`."
        ) from error

    class Raised(decoder.LM):  # type: ignore[misc]
        """A model that adds to the scores of some tokens."""

        def __init__(self, plain: Any, added: dict[int, float]) -> None:
            decoder.LM.__init__(self)
            self.plain, self.added = plain, added

        def start(self, start_with_nothing: bool) -> Any:
            return self.plain.start(start_with_nothing)

        def score(self, state: Any, token: int) -> tuple[Any, float]:
            following, score = self.plain.score(state, token)
            return following, score + self.added.get(token, 0.0)

        def finish(self, state: Any) -> tuple[Any, float]:
            finished: tuple[Any, float] = self.plain.finish(state)
            return finished

    return Library(decoder, Dictionary, KenLM, Raised)
