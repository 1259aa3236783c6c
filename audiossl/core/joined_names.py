"""Several plug-ins under one name: "hubert_base + log_mel", which is what the list [hubert_base, log_mel] becomes.

Options of a part are under its name, or under its number where two parts have the same name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from audiossl.core.errors import ConfigError, did_you_mean

SEPARATOR = " + "


def names_in(text: str) -> list[str]:
    """The names that a text stands for, in order.

    >>> names_in("hubert_base + log_mel"), names_in("log_mel")
    (['hubert_base', 'log_mel'], ['log_mel'])
    """
    return [name.strip() for name in text.split(SEPARATOR)]


def joined_name(names: Sequence[Any], key: str) -> str:
    """One text for several names. Raises ConfigError for what is no name, with the `key` that has it.

    >>> joined_name(["hubert_base", "log_mel"], "upstream")
    'hubert_base + log_mel'
    """
    for name in names:
        if not isinstance(name, str) or not name.strip() or SEPARATOR in name:
            raise ConfigError(f"{key} has {name!r} in its list; write names, as in {key}=[hubert_base,log_mel].")
    if not names:
        raise ConfigError(f"{key} is an empty list; name at least one.")
    return SEPARATOR.join(names)


def labels_of(names: Sequence[str]) -> list[str]:
    """What tells parts apart for a reader.

    >>> labels_of(["log_mel", "tera_mini"]), labels_of(["log_mel", "log_mel"])
    (['log_mel', 'tera_mini'], ['log_mel (1)', 'log_mel (2)'])
    """
    counts = Counter(names)
    return [name if counts[name] == 1 else f"{name} ({number})" for number, name in enumerate(names, start=1)]


def options_of_parts(names: Sequence[str], options: Mapping[str, Any], *, key: str) -> list[dict[str, Any]]:
    """The options of each part: those of all, then those under its name, then those under its number from 1.

    names: of the parts.
    options: as the user gave them.
    key: which setting they are, for the error.
    Raises ConfigError for options of a part that is no mapping.

    >>> options_of_parts(["tera_mini", "log_mel"], {"width": 64, "log_mel": {"width": 80}}, key="interface_options")
    [{'width': 64}, {'width': 80}]
    """
    numbers = [str(number) for number in range(1, len(names) + 1)]
    own = {name: options[name] for name in {*names, *numbers} if name in options}
    for name, value in own.items():
        if not isinstance(value, Mapping):
            raise ConfigError(f"{key}.{name}={value!r}: options of one part are a mapping, as in {key}.{name}.NAME=...")
    shared = {name: value for name, value in options.items() if name not in own}
    parts = zip(names, numbers, strict=True)
    return [{**shared, **own.get(name, {}), **own.get(number, {})} for name, number in parts]


def require_known(options: Mapping[str, Any], known: Sequence[str], names: Sequence[str], *, key: str) -> None:
    """Raise ConfigError for an option that is neither of all parts nor under the name or number of one.

    options: as the user gave them.
    known: those that may be for all.
    names: of the parts.
    key: which setting they are.
    """
    numbers = [str(number) for number in range(1, len(names) + 1)]
    for name in options:
        if name not in (*known, *names, *numbers):
            raise ConfigError(
                f"{key}.{name}: there are several encoders; write whose it is, as in {key}.{names[0]}.{name}=... "
                f"{did_you_mean(name, [*known, *names])}".rstrip()
            )


def positions_of(chosen: Sequence[str], names: Sequence[str], *, key: str) -> list[int]:
    """Which parts are chosen, by name or by number from 1. Raises ConfigError for one that is not there."""
    found: set[int] = set()
    for text in chosen:
        here = [place for place, name in enumerate(names) if text in (name, str(place + 1))]
        if not here:
            raise ConfigError(f"{key} has {text!r}, and the upstreams are {', '.join(names)}; choose among these.")
        found.update(here)
    return sorted(found)


def with_joined_names(layer: Mapping[str, Any]) -> dict[str, Any]:
    """A layer of an experiment's configuration in which lists of encoders and interfaces are written as one name.

    >>> with_joined_names({"upstream": ["tera_mini", "log_mel"], "upstream_options": [{}, {"num_features": 40}]})
    {'upstream': 'tera_mini + log_mel', 'upstream_options': {'1': {}, '2': {'num_features': 40}}}
    """
    changed = dict(layer)
    for key in ("upstream", "interface"):
        if isinstance(changed.get(key), list):
            changed[key] = joined_name(changed[key], key)
        if isinstance(options := changed.get(f"{key}_options"), list):
            changed[f"{key}_options"] = {str(number): each for number, each in enumerate(options, start=1)}
    sweep = changed.get("sweep")
    if isinstance(sweep, Mapping) and isinstance(sweep.get("interface"), list):
        choices = [
            joined_name(each, "sweep.interface") if isinstance(each, list) else each for each in sweep["interface"]
        ]
        changed["sweep"] = {**sweep, "interface": choices}
    return changed
