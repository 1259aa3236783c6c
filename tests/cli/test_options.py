"""What commands take alike."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from audiossl.analysis.config import ProbeOptions
from audiossl.cli.main import app
from audiossl.cli.options import takes_fields_of, upstream_options
from audiossl.core.errors import ConfigError
from audiossl.core.field_docs import field_docs
from audiossl.encoders.config import EmbedOptions

SMALL = [
    "-o",
    "width=16",
    "--option",
    "num_layers=2",
    "-o",
    "num_heads=2",
    "-o",
    "ffn_width=16",
    "-o",
    "weights=random",
]


@dataclasses.dataclass(frozen=True)
class Options:
    num_trees: int = 3
    """How many trees."""
    name: str = "oak"
    """Of the tree."""


def test_fields_become_options_and_come_back_as_the_dataclass() -> None:
    made = typer.Typer()
    got: list[Any] = []

    @made.command()
    @takes_fields_of(Options)
    def plant(where: str, options: Options, deep: bool = False) -> None:
        """Plant trees."""
        got.append((where, options, deep))

    assert CliRunner().invoke(made, ["here"]).exit_code == 0
    assert CliRunner().invoke(made, ["there", "--num-trees", "7", "--deep"]).exit_code == 0
    assert got == [("here", Options(), False), ("there", Options(num_trees=7), True)]
    assert CliRunner().invoke(made, ["here", "--num-trees", "many"]).exit_code == 2
    shown = CliRunner().invoke(made, ["--help"], env={"COLUMNS": "200"}).stdout
    for text in ("Plant trees.", "How many trees.", "Of the tree.", "[default: oak]"):
        assert text in shown


@pytest.mark.parametrize("schema", [EmbedOptions, ProbeOptions])
def test_every_field_has_its_help(schema: type[Any]) -> None:
    assert set(field_docs(schema)) == {field.name for field in dataclasses.fields(schema)}


def test_options_are_parsed_as_settings_are() -> None:
    assert upstream_options(None) == {}
    assert upstream_options(["weights=random", "seed=3", "conv.widths=[8,8]"]) == {
        "weights": "random",
        "seed": 3,
        "conv": {"widths": [8, 8]},
    }
    with pytest.raises(ConfigError, match="'seed' is not an override; write key=value, for instance weights=random"):
        upstream_options(["seed"])


def test_describe_convert_and_export_take_them(tmp_path: Path) -> None:
    def run(*arguments: object) -> Any:
        done = CliRunner().invoke(app, [*map(str, arguments), *SMALL, "--json"])
        assert done.exit_code == 0, (done.output, done.exception)
        return json.loads(done.stdout)

    facts = run("describe", "tera")
    assert (facts["layers"], facts["widths"]) == (3, [16])
    converted = run("convert", "tera", tmp_path / "x.safetensors")
    assert converted["parameters"] == facts["parameters"]
    exported = run("export", "tera", "--format", "torch-export", "--out", tmp_path / "x.pt2", "--up-to-layer", 1)
    assert exported["layers"] == 2


def test_describe_of_what_takes_none() -> None:
    done = CliRunner().invoke(app, ["describe", "weighted_sum", "-o", "seed=1"])
    assert isinstance(done.exception, ConfigError)
    assert "--option is for encoders" in str(done.exception)
