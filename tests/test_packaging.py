"""What is shipped, and what may be imported where."""

from __future__ import annotations

import ast
import configparser
import importlib
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from toys.core import ROOT

KINDS = ("upstreams", "downstreams", "audiossl/interfaces", "audiossl/objectives")
PLUGINS = [path for kind in KINDS for path in sorted((ROOT / kind).iterdir()) if (path / "__init__.py").is_file()]
SOURCES = sorted(
    path
    for folder in ("audiossl", "upstreams", "downstreams", "recipes", "examples")
    for path in (ROOT / folder).rglob("*.py")
)


def at_module_level(tree: ast.Module) -> list[str]:
    """Names of the modules that importing the file imports (not those inside functions or TYPE_CHECKING)."""
    found: list[str] = []
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(node.module or "")
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            waiting += ast.iter_child_nodes(node)
    return found


def test_the_scan_sees_what_it_should() -> None:
    text = (
        "import a.b\ntry:\n    from c import d\nexcept E:\n    pass\ndef f():\n    import e\nclass G:\n    import h\n"
    )
    text += "if TYPE_CHECKING:\n    import i\n"
    assert sorted(at_module_level(ast.parse(text))) == ["a.b", "c", "h"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_needs_what_is_not_everywhere_when_it_is_imported(path: Path) -> None:
    imported = at_module_level(ast.parse(path.read_text(encoding="utf-8")))
    elsewhere = {"torchaudio", "speechbrain", "fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty"}
    assert not [name for name in imported if name.split(".")[0] in elsewhere]
    if path.name == "cards.py":
        heavy = {"torch", "numpy", "lhotse", "transformers", "speechbrain"}
        assert not [name for name in imported if name.split(".")[0] in heavy]


def test_modules_of_cards_import_no_torch() -> None:
    cards = [f"audiossl.{path.parent.name}.{path.name}.cards" for path in PLUGINS if (path / "cards.py").is_file()]
    for name in ("upstreams.tera", "downstreams.asr", "interfaces.pca", "objectives.tera"):
        assert f"audiossl.{name}.cards" in cards
    program = f"import importlib, sys\nfor name in {cards}:\n"
    program += "    importlib.import_module(name)\nprint(sorted({'torch', 'numpy', 'lhotse'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", ["upstreams", "downstreams"])
def test_plugin_folders_are_only_importable_under_audiossl(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(ImportError, match=f"audiossl.{name}: import it under that name"):
        importlib.import_module(name)
    assert importlib.import_module(f"audiossl.{name}").__name__ == f"audiossl.{name}"


@pytest.mark.parametrize("name", ["upstreams", "downstreams"])
def test_the_links_are_relative(name: str) -> None:
    link = ROOT / "audiossl" / name
    assert link.is_symlink()
    assert link.readlink() == Path("..") / name


def git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs git and a checkout")
    return done.stdout


def test_the_links_are_committed_as_links() -> None:
    for name in ("upstreams", "downstreams", "recipes"):
        assert git("ls-files", "--stage", f"audiossl/{name}").startswith("120000 ")


def test_every_plugin_folder_is_complete() -> None:
    for folder in PLUGINS:
        assert (folder / "cards.py").is_file(), folder
        assert (folder / "README.md").is_file(), f"{folder} has no README.md"


@pytest.mark.slow
def test_the_wheel_holds_every_plugin_and_every_file_that_it_needs(tmp_path: Path) -> None:
    pytest.importorskip("build")
    files = [name for name in git("ls-files", "--cached", "--others", "--exclude-standard").splitlines() if name]
    copy = tmp_path / "copy"
    for name in files:
        source, target = ROOT / name, copy / name
        if name.startswith(("tests/", "docs/")) or not os.path.lexists(source):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.symlink_to(source.readlink())
        else:
            target.write_bytes(source.read_bytes())
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(tmp_path / "dist"),
        str(copy),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
        entry_points = next(archive.read(name).decode() for name in held if name.endswith("entry_points.txt"))
    suffixes = (".py", ".sh", ".yaml", ".md", ".html", ".css", ".js", ".csv", ".safetensors", ".ogg", "py.typed")
    folders = ("audiossl/", "upstreams/", "downstreams/", "recipes/")
    expected = {
        re.sub("^(upstreams|downstreams|recipes)/", r"audiossl/\1/", name)
        for name in files
        if name.startswith(folders) and name.endswith(suffixes) and name != "recipes/README.md"
    }
    assert {"audiossl/recipes/common.sh", "audiossl/recipes/esc10/prepare.py"} <= expected  # suites prepare with these
    assert sum(name.endswith(".ogg") for name in expected) == 480  # of the quick start
    assert {"audiossl/upstreams/tera/model.py", "audiossl/report/template.html", "audiossl/py.typed"} <= expected
    assert {"audiossl/interfaces/pca/README.md", "audiossl/objectives/tera/README.md"} <= expected
    assert not expected - held
    assert not [name for name in held if name.startswith(("upstreams/", "downstreams/", "tests/", "recipes/"))]
    assert "audiossl = audiossl.cli.main:main" in entry_points


def setup_cfg() -> configparser.ConfigParser:
    read = configparser.ConfigParser()
    read.read(ROOT / "setup.cfg", encoding="utf-8")
    return read


def pins() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return sorted(line for line in lines if line and not line.startswith("#"))


def toml(name: str) -> dict[str, Any]:
    return tomllib.loads((ROOT / name).read_text(encoding="utf-8"))


def test_how_it_is_cited_is_how_it_is_packaged() -> None:
    cited, metadata = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8")), setup_cfg()["metadata"]
    assert (cited["cff-version"], cited["type"]) == ("1.2.0", "software")
    assert {"message", "title"} <= cited.keys()
    assert (cited["version"], cited["license"]) == (metadata["version"], metadata["license"])
    assert [author["name"] for author in cited["authors"]] == [metadata["author"]]
    assert cited["keywords"] == metadata["keywords"].split(", ")


def test_what_uv_reads_is_what_pip_reads() -> None:
    project = toml("pyproject.toml")
    assert project["project"]["name"] == setup_cfg()["metadata"]["name"]
    assert project["project"]["requires-python"] == setup_cfg()["options"]["python_requires"]
    assert sorted(project["tool"]["uv"]["constraint-dependencies"]) == pins()


def test_the_lock_has_the_tested_pair_and_names_no_private_place() -> None:
    lock = toml("uv.lock")
    assert sorted(each["name"] + each["specifier"] for each in lock["manifest"]["constraints"]) == pins()
    locked = {(each["name"], each.get("version")) for each in lock["package"]}
    assert {tuple(pin.split("==")) for pin in pins()} <= locked
    needed = re.findall(r"^[\w-]+", setup_cfg()["options"]["install_requires"], re.MULTILINE)
    assert {name.replace("_", "-") for name in needed} <= {name for name, _ in locked}, "run `uv lock`"
    addresses = set(re.findall(r"https?://[^/\"]+", (ROOT / "uv.lock").read_text(encoding="utf-8")))
    assert addresses == {"https://pypi.org", "https://files.pythonhosted.org"}


def test_an_image_is_made_of_what_is_here() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    sources = [name for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE) for name in line.split()]
    sources += re.findall(r"type=bind,source=([^/]\S+),target", text)
    assert {"setup.cfg", "constraints.txt", "audiossl", "recipes"} <= set(sources)
    assert [name for name in sources if not (ROOT / name).exists()] == []
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {f"!{name}" for name in sources} == {rule for rule in rules if rule.startswith("!")}
    stages = dict(re.findall(r"^FROM \S+ AS (\w+)\n(.*?)(?=^FROM|\Z)", text, re.MULTILINE | re.DOTALL))
    for target in ("cpu", "cuda"):
        assert re.search(r"^USER [1-9]\d*$", stages[target], re.MULTILINE)
        assert {'ENTRYPOINT ["audiossl"]', "VOLUME /cache"} <= set(stages[target].splitlines())
    assert text.count("pip install") == text.count("pip install --constraint /constraints.txt") == 3


def test_an_image_has_the_versions_that_are_tested() -> None:
    said = dict(re.findall(r"^ARG (\w+)=(.+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE))
    assert f"Python :: {said['PYTHON']}\n" in setup_cfg()["metadata"]["classifiers"]
    assert set(said["EXTRAS"].split(",")) <= setup_cfg()["options.extras_require"].keys()
