"""The strings under the fields of a dataclass, which say what each is."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from functools import cache
from itertools import pairwise


def field_docs(schema: type) -> dict[str, str]:
    """What the string under each field of a dataclass says, on one line, by the field's name, in their order.

    Fields of its bases are among them. They are read from the source file, for Python itself drops them. A field
    without a string is left out, and so are those of a class without source, typed into an interpreter for instance.
    """
    found: dict[str, str] = {}
    for owner in reversed(schema.__mro__):
        if dataclasses.is_dataclass(owner):
            found |= _docs_in_source(owner)
    return {field.name: found[field.name] for field in dataclasses.fields(schema) if field.name in found}


@cache
def _docs_in_source(schema: type) -> dict[str, str]:
    """Of the fields that the class itself has, without its bases."""
    try:
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(schema))).body
    except (OSError, TypeError):
        return {}
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: " ".join(text.split())
        for field, said in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and (text := _text_of(said))
    }


def _text_of(statement: ast.stmt) -> str:
    """A string that stands alone. Empty for any other statement."""
    said = statement.value if isinstance(statement, ast.Expr) else None
    return said.value if isinstance(said, ast.Constant) and isinstance(said.value, str) else ""
