"""`audiossl config`."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def config(
    name: Annotated[
        str,
        typer.Argument(help="A name of any kind (or KIND:NAME), or train, pretrain, trainer, data, ..."),
    ],
    setting: Annotated[str, typer.Option(help="Show the values of this published setting of a downstream.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")] = False,
) -> None:
    """Print all settings of a task, encoder, interface, objective or experiment as commented YAML, a recipe to edit."""
    from audiossl.core.settings import leaves
    from audiossl.experiments.settings import settings_sheet

    sheet = settings_sheet(name, setting)
    if as_json:
        settings = [setting.as_json() for setting in leaves(sheet.settings)]
        print(json.dumps({"name": sheet.name, "kind": sheet.kind, "settings": settings}, indent=2))
        return
    print(sheet.as_yaml(), end="")
