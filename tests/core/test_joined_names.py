"""Lists of plug-ins in a configuration become one name."""

from __future__ import annotations

from typing import Any

import pytest

from audiossl.core.errors import ConfigError
from audiossl.core.joined_names import options_of_parts, with_joined_names


def test_lists_of_encoders_interfaces_and_options() -> None:
    given = {"upstream": ["a", "b"], "interface": ["x", "y"], "interface_options": [{"width": 3}, {}], "seed": 1}
    assert with_joined_names(given) == {
        "upstream": "a + b",
        "interface": "x + y",
        "interface_options": {"1": {"width": 3}, "2": {}},
        "seed": 1,
    }
    assert with_joined_names({"sweep": {"interface": ["x", ["x", "y"]], "seed": [1]}}) == {
        "sweep": {"interface": ["x", "x + y"], "seed": [1]}
    }
    assert with_joined_names({"upstream": ["a"]}) == {"upstream": "a"}


@pytest.mark.parametrize("given", [["a", 3], ["a", ""], ["a", "b + c"], []])
def test_what_is_no_list_of_names(given: list[Any]) -> None:
    with pytest.raises(ConfigError, match=r"upstream (has .* in its list; write names|is an empty list)"):
        with_joined_names({"upstream": given})


def test_a_number_goes_before_a_name_and_a_name_before_what_is_for_all() -> None:
    options = {"width": 1, "depth": 9, "a": {"width": 2}, "2": {"width": 3}}
    found = options_of_parts(["a", "a", "b"], options, key="interface_options")
    assert [each["width"] for each in found] == [2, 3, 1]
    assert [each["depth"] for each in found] == [9, 9, 9]
