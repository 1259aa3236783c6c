"""What `audiossl config` prints is a recipe that changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from audiossl import load_upstream
from audiossl.core.config import as_dict, structured
from audiossl.core.errors import ConfigError, UnknownNameError
from audiossl.core.registry import DOWNSTREAMS, INTERFACES, UPSTREAMS
from audiossl.encoders.hub import published
from audiossl.experiments import settings
from audiossl.experiments.config import Experiment, PretrainExperiment, read_experiment, setting_names
from audiossl.experiments.settings import BY_KIND, EXPERIMENTS, OPTIONS, plugin_settings, settings_sheet

PLUGINS = [(kind, name) for kind, registry in BY_KIND.items() for name in registry.names()]
SETTINGS = [(name, setting) for name in DOWNSTREAMS.names() for setting in setting_names(name)]


def read_again(text: str, folder: Path, *, pretrain: bool = False) -> Any:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return read_experiment(path, pretrain=pretrain)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment(name: str, tmp_path: Path) -> None:
    again = read_again(settings_sheet(name).as_yaml(), tmp_path, pretrain=name == "pretrain")
    assert again == EXPERIMENTS[name]()


@pytest.mark.parametrize("name", ["data", "trainer", "finetune", "cache", "folds", "sweep"])
def test_a_section(name: str, tmp_path: Path) -> None:
    sheet = settings_sheet(name)
    assert list(yaml.safe_load(sheet.as_yaml())) == [name]
    assert read_again(sheet.as_yaml(), tmp_path) == Experiment()


@pytest.mark.parametrize(("kind", "name"), PLUGINS)
def test_a_plugin(kind: str, name: str, tmp_path: Path) -> None:
    sheet = settings_sheet(f"{kind}:{name}")
    pretrain = kind == "objective"
    again = read_again(sheet.as_yaml(), tmp_path, pretrain=pretrain)
    options = getattr(again, OPTIONS[kind])
    schema, card = BY_KIND[kind].load(name).Config, BY_KIND[kind].card(name)
    if sheet.of_checkpoint:
        assert options == {}
    else:
        assert structured(schema, options) == structured(schema, card.options)
        assert set(options) == set(as_dict(structured(schema)))
    plain = {"objective_options": {}} if pretrain else {"task": {}, "interface_options": {}, "upstream_options": {}}
    expected = (PretrainExperiment if pretrain else Experiment)(**{kind: name, **plain, OPTIONS[kind]: options})
    assert again == expected


@pytest.mark.parametrize("name", ["tera_mini", "fbank", "bandwidth"])
def test_an_encoder_with_all_its_settings_is_the_same(name: str, tmp_path: Path) -> None:
    options = read_again(settings_sheet(f"upstream:{name}").as_yaml(), tmp_path).upstream_options
    assert load_upstream(name, **options).config == load_upstream(name).config


def test_a_checkpoint_decides_what_is_commented_out() -> None:
    name = next(name for name in UPSTREAMS.names() if published(UPSTREAMS.card(name).weights))
    text = settings_sheet(name).as_yaml()
    assert yaml.safe_load(text) == {"upstream": name}
    assert "# upstream_options:\n" in text
    assert "The checkpoint decides" in text


@pytest.mark.parametrize(("name", "setting"), SETTINGS)
def test_a_published_setting(name: str, setting: str, tmp_path: Path) -> None:
    text = settings_sheet(name, setting=setting).as_yaml()
    again = read_again(text, tmp_path)
    expected = read_experiment(None, [f"downstream={name}", f"setting={setting}"])
    schema = DOWNSTREAMS.load(name).Config
    assert structured(schema, again.task) == structured(schema, expected.task)
    assert {**as_dict(again), "task": {}} == {**as_dict(expected), "task": {}}
    # The values are there to read, not only by way of `setting`.
    given = {key: value for key, value in yaml.safe_load(text).items() if key != "setting"}
    assert {**as_dict(structured(Experiment, given)), "setting": setting} == as_dict(again)


def test_the_first_kind_that_has_a_name_and_a_word_on_the_others() -> None:
    INTERFACES.register("log_mel", summary="Not the encoder.")(INTERFACES.load("last"))
    try:
        sheet, other = settings_sheet("log_mel"), settings_sheet("interface:log_mel")
    finally:
        del INTERFACES._decorated["log_mel"]
    assert (sheet.kind, other.kind) == ("upstream", "interface")
    assert "# There is also interface:log_mel.\n" in sheet.as_yaml()
    assert "There is also" not in other.as_yaml()
    assert yaml.safe_load(other.as_yaml()) == {"interface": "log_mel", "interface_options": {"width": None}}


@pytest.fixture
def plain_interface() -> Iterator[str]:
    INTERFACES.register("plain", summary="One.")(lambda widths: None)
    yield "plain"
    del INTERFACES._decorated["plain"]


def test_a_plugin_without_a_config_of_its_own(plain_interface: str, tmp_path: Path) -> None:
    assert plugin_settings("interface", plain_interface) == ()
    text = settings_sheet(plain_interface).as_yaml()
    assert "# It has no settings of its own.\n" in text
    assert read_again(text, tmp_path) == Experiment(interface="plain")


def test_a_plugin_from_elsewhere_has_its_strings() -> None:
    class Theirs:
        @dataclass(frozen=True)
        class Config:
            gain: float = 2.0
            """How loud."""

    INTERFACES.register("theirs", summary="Theirs.")(Theirs)
    try:
        text = settings_sheet("theirs").as_yaml()
    finally:
        del INTERFACES._decorated["theirs"]
    assert text.endswith("interface: theirs\ninterface_options:\n  # How loud.\n  gain: 2.0\n")


def test_mistakes() -> None:
    with pytest.raises(
        UnknownNameError, match=r"There is nothing named 'trianer' that has settings. Did you mean trainer"
    ):
        settings_sheet("trianer")
    with pytest.raises(UnknownNameError, match=r"There is no interface named 'asr'"):
        settings_sheet("interface:asr")
    with pytest.raises(ConfigError, match=r"asr has no setting 'super'; it has: default, "):
        settings_sheet("asr", setting="super")
    for name in ("last", "trainer", "train"):
        with pytest.raises(ConfigError, match=rf"'superb' are those of a downstream, and {name} is "):
            settings_sheet(name, setting="superb")


def test_a_setting_may_have_short_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "read_setting", lambda downstream, name: {"finetune": "all"})
    assert "mode: all" in settings_sheet("asr", "finetuning_10min").as_yaml()
