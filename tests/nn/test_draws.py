"""Random numbers by key."""

from __future__ import annotations

import torch

from audiossl.nn.draws import generator_on, keyed_generator


def numbers(*key: object) -> list[float]:
    return torch.rand(4, generator=keyed_generator(*key)).tolist()


def test_the_key_decides_and_nothing_else() -> None:
    torch.manual_seed(1)
    first = numbers(0, 3, "item")
    torch.rand(5)
    assert numbers(0, 3, "item") == first
    others = [numbers(1, 3, "item"), numbers(0, 4, "item"), numbers(0, 3, "items"), numbers(0, 3), numbers(0, "3item")]
    assert all(other != first for other in others)
    assert numbers("ab", "c") != numbers("a", "bc")  # parts are told apart


def test_the_numbers_are_those_of_earlier_versions() -> None:
    """Runs are resumed and repeated across versions, so the numbers of a key must not change."""
    assert keyed_generator(0, 0, "a").initial_seed() == 47851213526462847
    assert keyed_generator("spec_augment", 0, 1, "x").initial_seed() == 22499397472266349


def test_on_a_cpu_a_draw_goes_on_and_elsewhere_its_next_number_is_the_seed() -> None:
    draw = keyed_generator(0)
    assert generator_on("cpu", draw) is draw
    assert generator_on(torch.device("cpu"), draw) is draw
