"""The settings of whatever has a name: an experiment, a section of one, or a plug-in, under the keys of an experiment.

What `yaml_lines` of `audiossl.core.settings` makes of them is a recipe: `audiossl train` reads it and does the same as
without it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from audiossl.core.cards import UpstreamCard
from audiossl.core.config import field_types, with_long_forms
from audiossl.core.errors import ConfigError, UnknownNameError, did_you_mean
from audiossl.core.field_docs import field_docs
from audiossl.core.registry import REGISTRIES
from audiossl.core.settings import Setting, comment_lines, only, section, settings_of, yaml_lines
from audiossl.encoders.hub import published
from audiossl.experiments.config import Experiment, PretrainExperiment, read_setting, setting_names

BY_KIND = {registry.kind: registry for registry in REGISTRIES}
EXPERIMENTS = {"train": Experiment, "pretrain": PretrainExperiment}
# The key of an experiment under which the options of a plug-in of that kind are.
OPTIONS = {
    "upstream": "upstream_options",
    "downstream": "task",
    "interface": "interface_options",
    "objective": "objective_options",
}


@dataclass(frozen=True)
class SettingsSheet:
    """What `audiossl config` shows.

    name: what was asked for.
    kind: `experiment`, `section`, or the kind of the plug-in.
    title, notes: lines of comment above the settings.
    chosen: what names the plug-in, for instance `downstream: asr`.
    settings: all there is to set.
    of_checkpoint: whether a checkpoint says what they are, so that the defaults are there to read and not to be set.
    """

    name: str
    kind: str
    title: str
    settings: tuple[Setting, ...]
    chosen: tuple[Setting, ...] = ()
    notes: tuple[str, ...] = ()
    of_checkpoint: bool = False

    def as_yaml(self) -> str:
        """A commented recipe."""
        settings = yaml_lines(self.settings)
        if self.of_checkpoint:
            settings = (f"# {line}" for line in settings)
        comments = [line for text in (self.title, *self.notes) for line in comment_lines(text)]
        return "\n".join([*comments, *yaml_lines(self.chosen), *settings]) + "\n"


def settings_sheet(name: str, setting: str = "") -> SettingsSheet:
    """The settings of `train`, `pretrain`, a section of theirs such as `trainer`, or a plug-in.

    name: a plug-in's may be KIND:NAME. Without a kind it is the first that has the name.
    setting: of a downstream, a YAML of its folder whose values are shown. Empty for the defaults.
    Raises UnknownNameError for a name that nothing has, and ConfigError for a setting that there is not.
    """
    kind, _, plain = name.partition(":")
    if kind in BY_KIND and plain:
        BY_KIND[kind].card(plain)  # raises for a name that it has not
        return _of_plugin(plain, [kind], setting)
    sections = _sections()
    if name in EXPERIMENTS or name in sections:
        if setting:
            raise ConfigError(f"Settings such as {setting!r} are those of a downstream, and {name} is none.")
        return _of_experiment(name) if name in EXPERIMENTS else _of_section(name, sections[name])
    owners = [kind for kind, registry in BY_KIND.items() if name in registry]
    if not owners:
        known = [*EXPERIMENTS, *sections, *(known for registry in REGISTRIES for known in registry.names())]
        raise UnknownNameError(
            f"There is nothing named {name!r} that has settings. {did_you_mean(name, known)}".strip()
        )
    return _of_plugin(name, owners, setting)


def plugin_settings(kind: str, name: str) -> tuple[Setting, ...]:
    """What a plug-in lets one set, with what its card sets. () for one without a Config of its own."""
    registry, key = BY_KIND[kind], OPTIONS[kind]
    schema = getattr(registry.load(name), "Config", None)
    if not (isinstance(schema, type) and dataclasses.is_dataclass(schema)):
        return ()
    return settings_of(schema, registry.card(name).options, within=key, where=f"options of {kind} {name}")


def _sections() -> dict[str, tuple[type, str]]:
    """The dataclass of each section of an experiment, and what it is. Where both have one, it is that of `train`."""
    return {
        name: (kind, field_docs(schema).get(name, ""))
        for schema in reversed(EXPERIMENTS.values())
        for name, kind in field_types(schema).items()
        if isinstance(kind, type) and dataclasses.is_dataclass(kind)
    }


def _of_experiment(name: str) -> SettingsSheet:
    schema = EXPERIMENTS[name]
    return SettingsSheet(name, "experiment", f"{name}: {_first_line(schema)}", settings_of(schema))


def _of_section(name: str, found: tuple[type, str]) -> SettingsSheet:
    schema, doc = found
    inner = settings_of(schema, within=name)
    return SettingsSheet(name, "section", f"{name}: {doc}", (section(name, inner),))


def _of_plugin(name: str, owners: list[str], setting: str) -> SettingsSheet:
    kind = owners[0]
    card = BY_KIND[kind].card(name)
    chosen = [_choice(kind, name)]
    inner = plugin_settings(kind, name)
    notes = list(_notes(name, kind, owners[1:], has_settings=bool(inner)))
    settings = [section(OPTIONS[kind], inner)]
    if setting:
        if kind != "downstream":
            raise ConfigError(f"Settings such as {setting!r} are those of a downstream, and {name} is an {kind}.")
        chosen.append(_choice("setting", setting))
        settings = list(_with_setting(name, setting))
    of_checkpoint = isinstance(card, UpstreamCard) and published(card.weights)
    if of_checkpoint:
        notes.append("The checkpoint decides what is commented out. Shown is what the card or the code has.")
    title = f"{name}: {card.summary}" if card.summary else name
    return SettingsSheet(name, kind, title, tuple(settings), tuple(chosen), tuple(notes), of_checkpoint)


def _notes(name: str, kind: str, others: list[str], *, has_settings: bool) -> Iterator[str]:
    for other in others:
        yield f"There is also {other}:{name}."
    if not has_settings:
        yield "It has no settings of its own."
    if kind == "downstream" and (known := setting_names(name)):
        yield f"--setting shows the values of one of its settings: {', '.join(known)}."


def _with_setting(downstream: str, setting: str) -> Iterator[Setting]:
    """All options of the task, and of the other sections what the setting says."""
    layer = with_long_forms(Experiment, read_setting(downstream, setting))
    where = f"setting {setting} of {downstream}"
    schema = BY_KIND["downstream"].load(downstream).Config
    yield section("task", settings_of(schema, layer.get("task") or {}, within="task", where=where))
    others = {str(key): value for key, value in layer.items() if key != "task"}
    yield from only(settings_of(Experiment, others, where=where), others)


def _choice(key: str, name: str) -> Setting:
    return Setting(key, "text", name, (), "")


def _first_line(schema: type) -> str:
    return (schema.__doc__ or "").strip().split("\n")[0]
