"""Configuration: every mistake is one sentence that names the key, the file and the likely cure."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from omegaconf import MISSING

from audiossl.core.config import (
    as_dict,
    choices_of,
    make,
    parse_overrides,
    read_saved_yaml,
    read_yaml,
    save_yaml,
    structured,
    with_long_forms,
)
from audiossl.core.errors import AudiosslError, ConfigError
from audiossl.experiments.config import Experiment, read_experiment


@dataclass(frozen=True)
class Inner:
    depth: int = 2
    kind: Literal["a", "b"] = "a"
    ratio: float | None = None


@dataclass(frozen=True)
class Outer:
    name: str = "x"
    inner: Inner = field(default_factory=Inner)
    numbers: list[int] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Needy:
    path: str = MISSING


def test_layers_in_turn() -> None:
    first = {"name": "y", "inner": {"depth": 3}, "numbers": [1, 2], "extra": {"a": 1}}
    made = structured(Outer, first, {"inner": {"kind": "b"}, "numbers": [3], "extra": {"b": 2}})
    assert made == Outer("y", Inner(3, "b", None), [3], {"a": 1, "b": 2})


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({"inner": {"dept": 3}}, "In the configuration: there is no key 'inner.dept'. Did you mean inner.depth?"),
        ({"nmae": 3}, "In the configuration: there is no key 'nmae'. Did you mean name?"),
        ({"inner": {"depth": "deep"}}, "In the configuration: 'inner.depth': .*'deep'"),
        ({"inner": {"depth": None}}, "In the configuration: 'inner.depth': .*None"),
        ({"inner": {"kind": "c"}}, "In the configuration: 'inner.kind': .*c"),
        ({"numbers": ["one"]}, "In the configuration: 'numbers.*one"),
        ({"inner": 3}, "In the configuration: Merge error: int .*Inner"),
    ],
)
def test_mistakes_are_one_sentence(layer: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        structured(Outer, layer)
    assert "\n" not in str(caught.value)


def test_a_missing_value_says_how_to_set_it() -> None:
    with pytest.raises(ConfigError, match=r"In the recipe: 'path' has no value; set path=\.\.\."):
        structured(Needy, where="recipe")
    assert structured(Needy, {"path": "here"}).path == "here"


def test_checks_of_the_dataclass_itself_stay_one_sentence() -> None:
    with pytest.raises(AudiosslError, match=r"^trainer\.steps=0 must be at least 1\.$"):
        read_experiment(None, ["trainer.steps=0"])
    with pytest.raises(AudiosslError, match=r"^data\.batch_size=-1 must be at least 1\.$"):
        read_experiment(None, ["data.batch_size=-1"])


@pytest.mark.parametrize(
    ("override", "found", "needed"),
    [
        ("finetune.lora_targets={}", "a mapping", "a list"),
        ("sweep.lr={a: 1}", "a mapping", "a list"),
        ("trainer.betas={}", "a mapping", "a list"),
        ("task=[1]", "a list", "a mapping"),
        ("trainer=[1]", "a list", "a mapping"),
        ("seed=[1]", "a list", "one value"),
        ("trainer.lr={}", "a mapping", "one value"),
    ],
)
def test_lists_and_mappings_where_others_belong(override: str, found: str, needed: str) -> None:
    name = override.partition("=")[0]
    with pytest.raises(AudiosslError, match=f"^In the configuration: '{name}' is {found}, and must be {needed}\\.$"):
        read_experiment(None, [override])


def test_overrides() -> None:
    layer = parse_overrides(["a.b=3", "c=[1,2]", "d=null", "e=x=y", "f=1e-3", "g="])
    assert layer == {"a": {"b": 3}, "c": [1, 2], "d": None, "e": "x=y", "f": 1e-3, "g": None}
    made = read_experiment(None, ["trainer.betas=[0.9,0.98]", "data.batch_size=null", "data.max_duration_s=8"])
    assert tuple(made.trainer.betas) == (0.9, 0.98)
    assert (made.data.batch_size, made.data.max_duration_s) == (None, 8.0)


@pytest.mark.parametrize("pair", ["steps", "--steps=3", "=3", "-x"])
def test_what_is_no_override_says_what_one_looks_like(pair: str) -> None:
    with pytest.raises(ConfigError, match=r"is not an override; write key=value, for instance trainer\.steps=2000"):
        parse_overrides([pair])


def test_an_override_that_cannot_be_read_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r"Cannot read the override 'a=\[1'") as caught:
        parse_overrides(["a=[1"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "is not readable YAML"),
        ("a: 1\na: 2\n", "is not readable YAML"),
        ("- 1\n- 2\n", "must hold `key: value` lines"),
    ],
)
def test_bad_yaml_names_the_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        read_yaml(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_yaml_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"There is no configuration file .*none\.yaml"):
        read_yaml(tmp_path / "none.yaml")
    path = tmp_path / "binary.yaml"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(ConfigError, match="is not readable YAML"):
        read_yaml(path)


def test_an_unknown_key_in_a_file_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("trainer:\n  stesp: 3\n", encoding="utf-8")
    message = r"In the configuration .*recipe\.yaml: there is no key 'trainer\.stesp'. Did you mean trainer\.steps"
    with pytest.raises(ConfigError, match=message):
        read_experiment(path)


def test_saved_and_read_again(tmp_path: Path) -> None:
    made = read_experiment(None, ["trainer.lr=1e-5", "task.labels=[a,b]", "data.max_duration_s=9"])
    save_yaml(made, tmp_path / "config.yaml")
    again = structured(Experiment, read_yaml(tmp_path / "config.yaml"))
    assert as_dict(again) == as_dict(made)


def test_a_saved_configuration_that_was_cut_anywhere_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    save_yaml(Experiment(seed=10), path)
    whole = path.read_bytes()
    assert structured(Experiment, read_saved_yaml(path)) == Experiment(seed=10)
    end = whole.index(b"# sha256")
    for size in (*range(0, end, 97), *range(end - 12, end), *range(end + 1, len(whole))):
        path.write_bytes(whole[:size])
        with pytest.raises(ConfigError, match=r"config\.yaml (is not|must hold)"):
            read_saved_yaml(path)
    path.write_bytes(whole[:end])  # as earlier versions wrote it
    assert read_saved_yaml(path)["seed"] == 10


def test_a_saved_configuration_that_was_changed_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    save_yaml(Experiment(seed=10), path)
    path.write_text(path.read_text().replace("seed: 10", "seed: 11"))
    with pytest.raises(
        ConfigError, match=r"is not what was written: .* Give settings as key=value, or remove its last"
    ):
        read_saved_yaml(path)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert read_saved_yaml(path)["seed"] == 11
    assert read_yaml(path)["seed"] == 11


LABELS = [
    "???",
    "${x}",
    "${",
    "${oc.env:HOME}",
    "a${b",
    "$",
    "\\${x}",
    "\ue000",
    "\ue000{${",
    "yes",
    "1e5",
    "normal",
    "",
]


def test_labels_are_text(tmp_path: Path) -> None:
    made = structured(Outer, {"name": "${oc.env:HOME}", "extra": {"labels": LABELS, "more": [{"a": "???"}]}})
    assert made == Outer("${oc.env:HOME}", extra={"labels": LABELS, "more": [{"a": "???"}]})
    assert as_dict(made)["extra"]["labels"] == LABELS
    save_yaml(made, tmp_path / "config.yaml")
    assert structured(Outer, read_yaml(tmp_path / "config.yaml")) == made
    assert structured(Outer, parse_overrides(["name=${oc.env:HOME}", "extra.a='???'"])).extra == {"a": "???"}
    with pytest.raises(ConfigError, match=r"'inner\.depth': .*'\$\{oc\.env:HOME\}'"):
        structured(Outer, {"inner": {"depth": "${oc.env:HOME}"}})


def test_what_needs_a_value_has_none_until_it_is_given_and_may_then_be_any_text() -> None:
    assert structured(Needy, {"path": "???"}).path == "???"


def test_plugins_are_made_from_their_own_schema_or_from_keywords() -> None:
    class Configured:
        Config = Inner

        def __init__(self, first: int, config: Inner) -> None:
            self.first, self.config = first, config

    def plain(first: int, second: int = 2) -> tuple[int, int]:
        return first, second

    made = make(Configured, {"depth": 5}, 7)
    assert (made.first, made.config.depth) == (7, 5)
    assert make(plain, {"second": 3}, 1) == (1, 3)
    with pytest.raises(ConfigError, match="In the options of x: there is no key 'depht'"):
        make(Configured, {"depht": 5}, 7, where="options of x")

    class Unconfigured:
        def __init__(self, first: int, config: Inner) -> None:
            self.first, self.config = first, config

    with pytest.raises(ConfigError, match="of Unconfigured takes a config, but the class has no"):
        make(Unconfigured, {}, 7)
    with pytest.raises(ConfigError, match="thrid"):
        make(plain, {"thrid": 3}, 1, where="options of plain")


@dataclass(frozen=True)
class Folded:
    SHORT: ClassVar[str] = "by"

    by: str = ""
    share: float = 0.5


@dataclass(frozen=True)
class Short:
    folds: Folded = field(default_factory=Folded)
    features: Literal["auto", "off"] = "auto"
    nullable: Literal["on", "off"] | None = None
    flag: bool = True
    text: str = ""


def test_short_forms_and_a_bare_off() -> None:
    layer = {"folds": "k:5", "features": False, "nullable": False, "flag": False}
    assert structured(Short, layer) == Short(Folded("k:5"), "off", "off", flag=False)
    assert layer["folds"] == "k:5"  # what was given is left as it was
    assert with_long_forms(Short, {"folds": {"share": 0.1}, "unknown": False}) == {
        "folds": {"share": 0.1},
        "unknown": False,
    }
    with pytest.raises(ConfigError, match="'features'"):
        structured(Short, {"features": True})


def test_a_later_override_of_the_same_section_does_not_replace_a_short_form() -> None:
    pairs = ["folds=k:5", "folds.share=0.25", "features=off", "text=a=b"]
    assert structured(Short, parse_overrides(pairs, Short)) == Short(Folded("k:5", 0.25), "off", text="a=b")
    assert structured(Short, parse_overrides(["folds={by: k:3, share: 0.1}"], Short)).folds == Folded("k:3", 0.1)


def test_choices() -> None:
    assert choices_of(Literal["a", "b"]) == ("a", "b")
    assert choices_of(Literal["a"] | None) == ("a", None)
    assert choices_of(int | None) == ()
