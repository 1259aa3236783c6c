"""Errors that are the user's to mend, and the names that they propose."""

from __future__ import annotations

import pytest

from audiossl.core.errors import AudiosslError, ConfigError, TrainingError, UnknownNameError, did_you_mean, first_line


def test_every_error_can_be_caught_as_ours_and_as_what_it_is() -> None:
    for error, builtin in ((ConfigError, ValueError), (TrainingError, RuntimeError), (UnknownNameError, KeyError)):
        assert issubclass(error, AudiosslError) and issubclass(error, builtin)


def test_an_unknown_name_is_printed_as_a_sentence() -> None:
    sentence = 'There is no upstream named "x".\tDid you mean y?'
    assert str(UnknownNameError(sentence)) == sentence  # a KeyError would show its quotes and escapes


@pytest.mark.parametrize(
    ("name", "known", "sentence"),
    [
        ("wavlm_bse", ["wavlm_base", "hubert_base"], "Did you mean wavlm_base?"),
        ("zzz", ["b", "a"], "Known: a, b."),
        ("zzz", [f"name{number}" for number in range(21)], ""),
        ("zzz", [], ""),
    ],
)
def test_the_closest_names_or_all_of_a_few(name: str, known: list[str], sentence: str) -> None:
    assert did_you_mean(name, known) == sentence


def test_three_names_at_most_are_proposed() -> None:
    assert did_you_mean("layer", [f"layer{number}" for number in range(9)]).count(" or ") == 2


def test_the_first_line_of_an_error_is_never_empty() -> None:
    assert first_line(OSError("\n  broken\nand more")) == "broken"
    assert first_line(RuntimeError("")) == "RuntimeError"
