"""Cells of tables in Markdown and LaTeX: whatever a name is, it is no markup."""

from __future__ import annotations

from collections.abc import Sequence

from audiossl.core.untrusted import printable

DAGGER = r"$^\dagger$"
_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_LATEX |= {character: f"\\{character}" for character in "&%$#_{}"}


def markdown_text(text: str) -> str:
    """A cell: no bar ends it, and no name is markup."""
    return printable(text).replace("|", "\\|").replace("<", "&lt;")


def latex_text(text: str) -> str:
    """A cell or a sentence: no character of it is a command."""
    escaped = "".join(_LATEX.get(character, character) for character in printable(text))
    return escaped.replace("†", DAGGER)


def latex_table(titles: Sequence[str], rows: Sequence[Sequence[str]], caption: str, num_left: int = 1) -> str:
    """A table of booktabs, without a trailing newline. Cells and caption are LaTeX already.

    titles: of the columns.
    rows: a cell for each column.
    caption: of the table.
    num_left: how many columns, from the first on, are words and not figures.
    """
    return "\n".join(
        [
            "% needs \\usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}",
            rf"\begin{{tabular}}{{{'l' * num_left}{'r' * (len(titles) - num_left)}}}",
            r"\toprule",
            " & ".join(titles) + r" \\",
            r"\midrule",
            *(" & ".join(row) + r" \\" for row in rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )
