"""The page of all settings, from the code, for `docs/hooks.py`. `python docs/make_settings.py` prints it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from html import escape
from typing import Any

from audiossl.core.config import field_types
from audiossl.core.field_docs import field_docs
from audiossl.core.registry import Registry
from audiossl.core.settings import Setting, in_yaml, leaves, settings_of
from audiossl.experiments.settings import BY_KIND, EXPERIMENTS, OPTIONS, plugin_settings, settings_sheet

_HEAD = """# Settings

Made from the code: `audiossl config NAME` prints the same as a recipe to edit, `audiossl config NAME --setting SETTING`
with the values of a published setting. On the command line a setting is `key=value`, for instance `trainer.lr=1e-4`.
"""
_TITLES = {"downstream": "Tasks", "interface": "Interfaces", "objective": "Objectives", "upstream": "Encoders"}
_ABOUT = {
    "downstream": "A task is chosen by `downstream=NAME`, its settings are in the section `task`.",
    "interface": "An interface is chosen by `interface=NAME`, its settings are in the section `interface_options`.",
    "objective": "An objective is chosen by `objective=NAME`, its settings are in the section `objective_options`.",
    "upstream": "An encoder is chosen by `upstream=NAME`, its settings are in the section `upstream_options`. Encoders "
    "of one family share a table, which has the defaults of the code. What a name stands for is what `audiossl config "
    "NAME` shows, and of published weights the checkpoint decides.",
}


def page() -> str:
    """The whole page in Markdown."""
    return "\n".join([_HEAD, *_experiments(), *_plugins()]).rstrip() + "\n"


def _experiments() -> Iterator[str]:
    """`train` and `pretrain` without their sections, then each section once."""
    sections: dict[str, Any] = {}
    for name, schema in EXPERIMENTS.items():
        nested = {key: kind for key, kind in field_types(schema).items() if is_dataclass(kind)}
        sections |= {key: field_docs(schema)[key] for key in nested}
        yield f"## `audiossl {name}`\n"
        yield from _table(setting for setting in settings_sheet(name).settings if setting.name not in nested)
    for name, doc in sections.items():
        yield f"## {name}\n\n{doc}\n"
        settings = settings_sheet(name).settings
        yield from _table(settings)
        # A section may have more settings under one command than under the other.
        known = {setting.name for setting in leaves(settings)}
        for command in EXPERIMENTS:
            own = [each for each in leaves(settings_sheet(command).settings) if each.name.startswith(f"{name}.")]
            if more := [each for each in own if each.name not in known]:
                yield f"Under `audiossl {command}` also:\n"
                yield from _table(more)


def _plugins() -> Iterator[str]:
    for kind, registry in sorted(BY_KIND.items(), key=lambda item: list(_TITLES).index(item[0])):
        yield f"## {_TITLES[kind]}\n\n{_ABOUT[kind]}\n"
        if kind == "upstream":
            yield from _families(registry)
            continue
        for name in registry.names():
            yield f"### `{name}`\n\n{registry.card(name).summary}\n"
            yield from _table(plugin_settings(kind, name))


def _families(registry: Registry) -> Iterator[str]:
    """A table for each Config, under the names of its encoders."""
    families: dict[type, list[str]] = {}
    without: list[str] = []
    for name in registry.names():
        schema = getattr(registry.load(name), "Config", None)
        if is_dataclass(schema) and fields(schema):  # type: ignore[arg-type]
            families.setdefault(schema, []).append(name)  # type: ignore[arg-type]
        else:
            without.append(name)
    for schema, names in sorted(families.items(), key=lambda item: item[1]):
        yield f"### {names[0]}\n"
        yield f"Of {', '.join(f'`{name}`' for name in names)}.\n"
        yield from _table(settings_of(schema, within=OPTIONS["upstream"]))
    yield f"Without settings: {', '.join(f'`{name}`' for name in without)}.\n"


def _table(settings: Iterable[Setting]) -> Iterator[str]:
    rows = [_row(setting) for setting in leaves(settings)]
    yield "\n".join(["| | default | meaning |", "| --- | --- | --- |", *rows]) + "\n" if rows else "No settings.\n"


def _row(setting: Setting) -> str:
    default = "required" if setting.required else f"`{in_yaml(setting.value)}`"
    choices = f" One of {', '.join(f'`{in_yaml(choice)}`' for choice in setting.choices)}." if setting.choices else ""
    cells = (f"`{setting.name}`", default, escape(setting.doc, quote=False) + choices)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    print(page(), end="")
