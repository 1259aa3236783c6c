"""Write docs/cli.md from the command line itself: `python docs/make_cli.py`. A test says when the page is old."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main
from typer.utils import get_params_from_function

from audiossl.cli.main import add_commands_of_tasks, app

PAGE = Path(__file__).parent / "cli.md"
_HEAD = """# Command line

Made from the program by `python docs/make_cli.py`. Errors that are yours to mend are one sentence on standard error,
with exit code 2; an interrupted run exits with 130.
"""


def page() -> str:
    """The whole page in Markdown."""
    add_commands_of_tasks()
    root = typer.main.get_command(app)
    return "\n".join([_HEAD, *_section(root, "audiossl")]).rstrip() + "\n"


def _section(command: Any, name: str) -> Iterator[str]:
    children = getattr(command, "commands", {})
    if not children or name != "audiossl":
        yield f"{'##' if name.count(' ') == 1 else '###'} `{name}`\n"
    help_text = (command.help or "").strip()
    yield f"{help_text}\n"
    if not children:
        yield f"```text\n{_usage(command, name)}\n```\n"
        yield from _parameters(command)
    for child, made in children.items():
        yield from _section(made, f"{name} {child}")


def _usage(command: Any, name: str) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument" and not p.hidden]
    shown = [p.name.upper() if p.required else f"[{p.name.upper()}]" for p in arguments]
    many = ["..." if p.nargs == -1 else "" for p in arguments]
    return " ".join([name, *map("".join, zip(shown, many, strict=True)), "[OPTIONS]"])


def _parameters(command: Any) -> Iterator[str]:
    rows = [
        _row(command, parameter) for parameter in command.params if parameter.name != "help" and not parameter.hidden
    ]
    if rows:
        yield "| | meaning | default |\n| --- | --- | --- |"
        yield "\n".join(rows) + "\n"


def _row(command: Any, parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        what = parameter.name.upper()
    else:
        what = ", ".join([*parameter.opts, *parameter.secondary_opts])
    default = str(parameter.default).lower() if isinstance(parameter.default, bool) else parameter.default
    shown = "required" if parameter.required else "" if default in (None, "") else f"`{default}`"
    return f"| `{what}` | {_help(command, parameter).replace('|', chr(92) + '|')} | {shown} |"


def _help(command: Any, parameter: Any) -> str:
    """From the function's annotation: click 8.5 drops what typer before 0.25 says of an argument."""
    declared = get_params_from_function(command.callback.__wrapped__)[parameter.name].default
    return (getattr(declared, "help", None) or "").replace("<", "&lt;")  # it is no HTML


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
