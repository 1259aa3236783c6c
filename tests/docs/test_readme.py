"""The code in README.md and docs/ runs, its commands exist, and the command-line reference is current."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
import yaml
from toys.warm import python

from audiossl import DOWNSTREAMS, INTERFACES, OBJECTIVES, UPSTREAMS
from audiossl.cli.main import add_commands_of_tasks, app
from audiossl.encoders.hub import published
from audiossl.nn.pooling import POOLINGS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
KINDS = ("an-upstream", "a-task", "a-dataset", "an-interface", "an-objective")
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[tuple[int, str]]:
    """(line of its first line, text) of each fenced block."""
    text = page.read_text(encoding="utf-8")
    return [(text[: m.start(2)].count("\n"), m[2]) for m in _FENCE.finditer(text) if m[1] == language]


def as_script(page: Path) -> str:
    """All python blocks of a page, on the lines where they stand on it, so that a traceback names the page's line."""
    lines: list[str] = []
    for first, block in blocks(page, "python"):
        lines += [""] * (first - len(lines)) + block.splitlines()
    return "\n".join(lines) + "\n"


def commands() -> list:
    found = []
    for page in PAGES:
        for first, block in blocks(page, "bash"):
            for number, line in enumerate(block.splitlines(), start=first + 1):
                if line.startswith("audiossl "):
                    found.append(pytest.param(line, id=f"{page.name}:{number}"))
    return found


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name)
def test_the_python_blocks_of_a_page_run_in_order(page, tmp_path):
    script = as_script(page)
    if "tera_mini" in script and "tera_mini" not in UPSTREAMS:
        pytest.skip("tera_mini has no weights yet; this page runs as soon as the name is registered")
    file = tmp_path / f"{page.stem}.py"
    file.write_text(script, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    which = sys.executable if page.name == "README.md" else python()  # once from nothing, as a user does
    ran = subprocess.run([which, file.name], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_the_pages_that_teach_have_code():
    with_code = {page.name for page in PAGES if blocks(page, "python")}
    assert with_code >= {"README.md", "index.md", *(f"add-{kind}.md" for kind in KINDS)}
    assert len(commands()) >= 20


@pytest.mark.parametrize("line", commands())
def test_a_command_on_a_page_exists_with_its_options(line):
    add_commands_of_tasks()
    words = shlex.split(line, comments=True)[1:]
    command = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    assert not getattr(command, "commands", {}), f"{words[:1]} is no subcommand"
    command.make_context(line, list(words), resilient_parsing=False)  # raises for an unknown option or argument


@pytest.mark.parametrize("line", commands())
def test_a_recipe_that_a_command_names_is_there(line):
    for word in shlex.split(line, comments=True):
        if word.startswith("recipes/"):
            assert (ROOT / word).is_file()


def test_the_command_line_reference_is_current():
    spec = importlib.util.spec_from_file_location("make_cli", ROOT / "docs" / "make_cli.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run `python docs/make_cli.py`"


def test_the_command_line_reference_names_every_option():
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for option in ("--layer", "--resume", "--checkpoint", "--audio-root", "--read-audio"):
        assert f"`{option}" in page


def test_the_readme_names_everything_that_there_is():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    ours = [name for name in UPSTREAMS.names() if UPSTREAMS.owner(name).startswith("audiossl.")]
    # Published weights are listed in the README of their family's folder.
    ours = [name for name in ours if not published(UPSTREAMS.card(name).weights) or name == "distilhubert"]
    for name in [*ours, *INTERFACES.names(), *OBJECTIVES.names(), *DOWNSTREAMS.names(), *POOLINGS]:
        assert f"`{name}`" in text, name


def test_what_the_readme_lists_is_registered():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    tables = text[text.index("## What there is") : text.index("## Documentation")]
    kinds = {"upstream": UPSTREAMS, "interface": INTERFACES, "objective": OBJECTIVES, "downstream": DOWNSTREAMS}
    for kind, registry in kinds.items():
        rows = re.search(rf"^\| {kind} \|.*\n\|.*\n((?:\|.*\n)+)", tables, re.MULTILINE)[1]
        for row in rows.splitlines():
            names = re.findall(r"`(\w+)`", row.split("|")[1])
            assert names
            missing = [name for name in names if name not in registry and name != "tera_mini"]
            assert not missing, f"{kind}: {missing}"
    if "tera_mini" not in UPSTREAMS:
        pytest.skip("tera_mini has no weights yet; all other names of the README are registered")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page):
    generated = {"benchmarks.md", "settings.md"}
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in link and link not in generated:
            assert (page.parent / link).exists(), link


def test_every_page_is_in_the_navigation():
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    listed = set(re.findall(r"[\w-]+\.md", str(config["nav"])))
    assert {page.name for page in (ROOT / "docs").glob("*.md")} | {"benchmarks.md", "settings.md"} == listed
