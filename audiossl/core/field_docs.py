"""The strings under the fields of a dataclass, which say what each is."""

from __future__ import annotations

import ast
import inspect
import textwrap
from itertools import pairwise


def field_docs(schema: type) -> dict[str, str]:
    """The string under each field of a dataclass and of its bases, on one line. Nothing for a field without one.

    They are read from the source file, for Python itself drops them.
    """
    found: dict[str, str] = {}
    for cls in reversed(schema.__mro__[:-1]):
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
        assert isinstance(definition, ast.ClassDef)
        for field, said in pairwise(definition.body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and (text := _text_of(said)):
                found[field.target.id] = " ".join(text.split())
    return found


def _text_of(statement: ast.stmt) -> str:
    """A string that stands alone, '' for any other statement."""
    said = statement.value if isinstance(statement, ast.Expr) else None
    return said.value if isinstance(said, ast.Constant) and isinstance(said.value, str) else ""
