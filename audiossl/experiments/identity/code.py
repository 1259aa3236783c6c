"""The version of the code that decides a result: a hash of the modules that a part uses, by their meaning.

Which modules those are is read from their imports. Comments, docstrings and the layout of lines do not count, so that
better documentation makes no result old.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from audiossl.core.errors import AudiosslError
from audiossl.core.files import cache_folder, read_json, write_json
from audiossl.core.registry import DOWNSTREAMS, INTERFACES

_PACKAGE = "audiossl"
# What says where and when something is computed, and not what.
_NOT_COUNTED = (
    "audiossl.core.",
    "audiossl.report",
    "audiossl.cli",
    "audiossl.experiments.identity",
    "audiossl.experiments.suites",
    "audiossl.experiments.executors",
)
_LOOP = ("audiossl.experiments.start", "audiossl.experiments.loading")


def code_versions(downstream: str, interfaces: list[str]) -> dict[str, str]:
    """A hash for each part of an experiment: its head, each interface, and the loop around them.

    downstream: the name of the task.
    interfaces: names.
    """
    versions = {"loop": _hash_of(_LOOP), f"downstream {downstream}": code_of(DOWNSTREAMS.card(downstream).target)}
    return versions | {f"interface {name}": code_of(INTERFACES.card(name).target) for name in sorted(set(interfaces))}


def code_of_modules(modules: Iterable[str]) -> str:
    """A hash of the code of modules and of all that they import of this package."""
    return _hash_of(tuple(sorted(modules)))


def code_of(target: str) -> str:
    """A hash of the code behind 'module:attribute' and of all that it imports of this package."""
    return _hash_of((target.partition(":")[0],))


@cache
def _hash_of(roots: tuple[str, ...]) -> str:
    """The hash of all that the roots reach. It is kept as long as no file of their packages changes."""
    tops = sorted({_PACKAGE, *(root.split(".")[0] for root in roots)})
    state = json.dumps([roots, [state_of_package(top) for top in tops]])
    place = cache_folder() / "suites" / "code" / f"{hashlib.sha256(state.encode()).hexdigest()[:32]}.json"
    try:
        return str(read_json(place)["hash"])
    except (AudiosslError, KeyError):
        found = _computed_hash(roots)
    write_json(place, {"hash": found})
    return found


def _computed_hash(roots: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for module in sorted(_reached(roots)):
        digest.update(f"{module} {_meaning(module)[0]}\n".encode())
    return digest.hexdigest()[:16]


@cache
def state_of_package(top: str) -> list[list[object]]:
    """Name and state of every source file of a package, or of a module that is none."""
    file = _file_of(top)
    if file is None or file.name != "__init__.py":
        files = [file] if file else []
    else:
        folders = (Path(folder) for folder, *_ in os.walk(file.parent, followlinks=True))
        files = [path for folder in folders for path in sorted(folder.glob("*.py"))]
    states = [(path, path.stat()) for path in files]
    return sorted([str(path), status.st_size, status.st_mtime_ns] for path, status in states)


def _reached(roots: tuple[str, ...]) -> set[str]:
    """The modules from which the roots are made, themselves included. A package stands for its own file."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        if module not in found and not module.startswith(_NOT_COUNTED) and _file_of(module):
            found.add(module)
            waiting += _meaning(module)[1]
    return found


@cache
def _file_of(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


@cache
def _meaning(module: str) -> tuple[str, tuple[str, ...]]:
    """A hash of what a module says to the interpreter, and what it imports of its own distribution."""
    file = _file_of(module)
    tree = ast.parse(file.read_bytes()) if file else ast.Module([], [])
    top, imported = module.split(".")[0], set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [each for each in node.body if not _is_text(each)] or [ast.Pass()]
        for name in _imported(node, module, is_package=bool(file and file.name == "__init__.py")):
            if name.split(".")[0] in (top, _PACKAGE):
                imported.add(name)
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), tuple(sorted(imported))


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _imported(node: ast.AST, module: str, *, is_package: bool) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parts = module.split(".")
            base = ".".join([*parts[: len(parts) - node.level + is_package], *([base] if base else [])])
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)
