"""Names in tables are no markup."""

from __future__ import annotations

from audiossl.report.markup import latex_table, latex_text, markdown_text


def test_a_bar_ends_no_cell_and_a_bracket_begins_no_tag() -> None:
    assert markdown_text("a|b<c>") == "a\\|b&lt;c>"


def test_no_character_is_a_command() -> None:
    assert latex_text(r"\a_b ~ 5 % of {x} & #1 ^ $y$ †") == (
        r"\textbackslash{}a\_b \textasciitilde{} 5 \% of \{x\} \& \#1 \textasciicircum{} \$y\$ $^\dagger$"
    )


def test_words_are_on_the_left_and_figures_on_the_right() -> None:
    lines = latex_table(["a", "b", "c"], [["x", "y", "1"]], "Caption.", 2).splitlines()
    assert lines[3:6] == [r"\caption{Caption.}", r"\begin{tabular}{llr}", r"\toprule"]
    assert lines[6:9] == [r"a & b & c \\", r"\midrule", r"x & y & 1 \\"]
