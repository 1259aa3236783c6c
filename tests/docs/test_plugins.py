"""What the pages teach is as short as CONTRIBUTING says, and works in a package of one's own."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from toys.warm import python

from audiossl import cuts_from_folder, load_upstream, write_manifests

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[str]:
    return [found[1] for found in _FENCE.finditer((ROOT / "docs" / page).read_text(encoding="utf-8"))]


def block(page: str, part: str) -> str:
    """The first block of a page that has this text."""
    return next(text for text in blocks(page) if part in text)


def lines_of_code(text: str) -> int:
    """Lines without blank ones, comments and docstrings."""
    documented: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            documented.update(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    lines = enumerate(text.splitlines(), start=1)
    return sum(
        bool(line.strip()) and not line.lstrip().startswith("#") and number not in documented for number, line in lines
    )


def lines_of_settings(text: str) -> int:
    return sum(bool(line.strip()) and not line.startswith("#") for line in text.splitlines())


def test_lines_of_code_are_counted_without_comments_and_docstrings() -> None:
    text = '"""Doc\n\nof two lines."""\n\nimport a\n\n\nclass B:\n    """Doc."""\n\n'
    text += '    # a comment\n    x = """no\n    doc"""\n'
    assert lines_of_code(text) == 4


def test_contributing_says_how_much_code_the_smallest_plug_in_is() -> None:
    written = re.search(r'write_text\("""\\\n(.*?)"""\)', block("add-a-dataset.md", "setting: superb"), re.DOTALL)
    assert written
    script = (ROOT / "recipes" / "esc10" / "run.sh").read_text(encoding="utf-8")
    counted = {
        "encoder": ("add-an-upstream.md", ["class ConvEncoder(", "CARDS = "], 0),
        "task": ("add-a-task.md", ["class Regression(", "CARDS = "], 0),
        "dataset": ("add-a-dataset.md", ["def prepare("], lines_of_settings(written[1]) + lines_of_settings(script)),
        "interface": ("add-an-interface.md", ["class FrameWeights(", "CARDS = "], 0),
        "objective": ("add-an-objective.md", ["class Silenced(", "CARDS = "], 0),
    }
    found = {
        kind: sum(lines_of_code(block(page, part)) for part in parts) + more
        for kind, (page, parts, more) in counted.items()
    }
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| (\w+) \| (\d+) \|", text, re.MULTILINE)) == {k: str(n) for k, n in found.items()}
    most = {"encoder": 37, "task": 65, "dataset": 45, "interface": 20, "objective": 60}
    assert all(found[kind] <= most[kind] for kind in most)


def test_pages_import_from_audiossl_itself() -> None:
    """What a plug-in or a user's script needs; the parts of the package are for who works on it."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    texts = {page.name: page.read_text(encoding="utf-8") for page in pages}
    texts |= {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "examples").rglob("*.py")}
    deep = {name: re.findall(r"^(?:from|import) audiossl\..*", text, re.MULTILINE) for name, text in texts.items()}
    assert not {name: lines for name, lines in deep.items() if lines}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pages' interface and objective installed as a distribution, and manifests of tones."""
    folder = tmp_path_factory.mktemp("theirs")
    info = folder / "site" / "theirs-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "site" / "their_interface.py").write_text(block("add-an-interface.md", "class FrameWeights("))
    (folder / "site" / "their_objective.py").write_text(block("add-an-objective.md", "class Silenced("))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\nSummary: Of theirs.\n")
    (info / "entry_points.txt").write_text(
        "[audiossl.interfaces]\nframe_weights = their_interface:FrameWeights\n"
        "[audiossl.objectives]\nsilenced = their_objective:Silenced\n"
    )
    rng = np.random.default_rng(0)
    for label, pitch_hz in {"low": 220, "high": 880}.items():
        (folder / "sound" / label).mkdir(parents=True)
        for number in range(8):
            time_s = np.arange(int(rng.uniform(0.3, 0.6) * 16000)) / 16000
            tone = 0.3 * np.sin(2 * np.pi * pitch_hz * time_s) + 0.01 * rng.standard_normal(len(time_s))
            soundfile.write(folder / "sound" / label / f"{number}.wav", tone, 16000)
    write_manifests(cuts_from_folder(folder / "sound", split=(0.25, 0.25)), folder / "manifests")
    (folder / "recipe.yaml").write_text("data:\n  dir: manifests\n  batch_size: 4\ntrainer:\n  steps: 3\n")
    return folder


def audiossl(place: Path, *arguments: str) -> str:
    path = os.pathsep.join([str(place / "site"), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = [python(), "-m", "audiossl", *arguments]
    ran = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_an_interface_in_a_package_of_its_own_is_listed_and_trains(place: Path) -> None:
    listed = {card["name"]: card for card in json.loads(audiossl(place, "list", "interfaces", "--json"))}
    assert listed["frame_weights"]["summary"] == "Of theirs."
    settings = ("interface=frame_weights", "interface_options.width=7", "upstream=log_mel", "--out", "run")
    audiossl(place, "train", "recipe.yaml", *settings)
    assert "interface: frame_weights" in (place / "run" / "config.yaml").read_text(encoding="utf-8")
    assert "accuracy" in json.loads(audiossl(place, "evaluate", "run", "--json"))


@pytest.mark.parametrize(
    ("upstream", "options"),
    [
        ("tera", "{width: 16, num_layers: 2, num_heads: 2, ffn_width: 32}"),
        (
            "hubert",
            "{width: 16, num_layers: 2, num_heads: 2, ffn_width: 32, position_kernel: 16, position_groups: 4}",
        ),
    ],
)
def test_an_objective_in_a_package_of_its_own_pre_trains_any_encoder(place: Path, upstream: str, options: str) -> None:
    described = json.loads(audiossl(place, "describe", "silenced", "--json"))
    assert (described["kind"], described["owner"]) == ("objective", "theirs")
    settings = ("objective=silenced", f"upstream={upstream}", f"upstream_options={options}", "--out", upstream)
    audiossl(place, "pretrain", "recipe.yaml", *settings)
    config = (place / upstream / "config.yaml").read_text(encoding="utf-8")
    assert "objective: silenced" in config
    assert load_upstream(str(place / upstream)).widths == (16, 16, 16)
