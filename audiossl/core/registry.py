"""Finding plugins by name: folders of this package, entry points of installed packages, and a decorator.

Names are known from cards, which import nothing heavy. The code behind a name is imported when it is first asked for.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import pkgutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, TypeVar

from audiossl.core.cards import Card, UpstreamCard
from audiossl.core.errors import ConfigError, UnknownNameError, did_you_mean

T = TypeVar("T")


@dataclass(frozen=True)
class RegistryEntry:
    """A name, who owns it, and either its target's address or (from the decorator) the target itself."""

    card: Card
    owner: str
    target: Any = None

    def load(self) -> Any:
        """What the name stands for. Raises ConfigError where its address leads nowhere."""
        target = self._imported() if self.target is None else self.target
        if isinstance(target, Card):
            raise ConfigError(
                f"{self.owner} gives {self.card.name!r} by a card outside a module named cards ({self.card.target}); "
                f"move its cards there, so that listing names imports nothing heavy."
            )
        return target

    def _imported(self) -> Any:
        try:
            return import_target(self.card.target)
        except (ImportError, AttributeError) as error:
            module = self.card.target.partition(":")[0]
            # What the plug-in itself fails to import, or does wrong when it is imported, is its author's to read.
            if isinstance(error, ImportError) and not module.startswith(error.name or "?"):
                raise
            if isinstance(error, AttributeError) and module not in sys.modules:
                raise
            raise ConfigError(
                f"{self.owner} gives {self.card.name!r} by the address {self.card.target!r}, at which there is "
                f"nothing: {error}. Correct the address, or uninstall {self.owner}."
            ) from error


class Registry:
    """All names of one kind (upstream, downstream, interface or objective).

    package: each folder in it with a `cards.py` that has `CARDS` adds those names.
    group: the entry-point group through which other distributions add theirs. The entry point's name is the plugin's
    name. Its value is what makes it, or a Card in a module named `cards`, which is imported to list names and must
    import nothing heavy.
    """

    def __init__(self, kind: str, package: str, group: str) -> None:
        self.kind = kind
        self.package = package
        self.group = group
        self._decorated: dict[str, RegistryEntry] = {}

    def register(self, name: str, **fields: Any) -> Callable[[T], T]:
        """Class or function decorator that adds `name`.

        fields: of the card (summary, paper, ...). The summary is else the first line of the docstring.
        Raises ConfigError for a name that is taken.
        """

        def decorate(target: T) -> T:
            module, attribute = getattr(target, "__module__", ""), getattr(target, "__qualname__", "")
            fields.setdefault("summary", (getattr(target, "__doc__", None) or "").strip().split("\n")[0])
            card_type = UpstreamCard if self.kind == "upstream" else Card
            entry = RegistryEntry(card_type(name, f"{module}:{attribute}", **fields), owner=module, target=target)
            if "_discovered" in self.__dict__:
                self._add(dict(self._discovered), entry)  # raises for a name that is taken
            self._add(self._decorated, entry)
            return target

        return decorate

    def names(self, pattern: str = "*") -> list[str]:
        """Sorted names that match a shell pattern. A pattern without wildcards matches anywhere in the name."""
        pattern = pattern if any(sign in pattern for sign in "*?[") else f"*{pattern}*"
        return sorted(name for name in self._entries() if fnmatchcase(name, pattern))

    def __contains__(self, name: str) -> bool:
        return name in self._entries()

    def card(self, name: str) -> Card:
        return self._entry(name).card

    def load(self, name: str) -> Any:
        """Import and return what `name` stands for. Raises UnknownNameError with the closest names."""
        return self._entry(name).load()

    def owner(self, name: str) -> str:
        """The module or distribution that the name comes from."""
        return self._entry(name).owner

    def _entry(self, name: str) -> RegistryEntry:
        entries = self._entries()
        if name not in entries:
            hint = did_you_mean(name, entries)
            raise UnknownNameError(f"There is no {self.kind} named {name!r}. {hint} See `audiossl list {self.kind}s`.")
        return entries[name]

    def _entries(self) -> dict[str, RegistryEntry]:
        return {**self._discovered, **self._decorated}

    @cached_property
    def _discovered(self) -> dict[str, RegistryEntry]:
        entries: dict[str, RegistryEntry] = {}
        for module in self._card_modules():
            for card in importlib.import_module(module).CARDS:
                self._add(entries, RegistryEntry(card, owner=module.removesuffix(".cards")))
        for point in importlib.metadata.entry_points(group=self.group):
            self._add(entries, _entry_of(point, self.kind))
        for entry in self._decorated.values():
            self._add(dict(entries), entry)
        return entries

    def _card_modules(self) -> list[str]:
        package = importlib.import_module(self.package)
        folders = [info.name for info in pkgutil.iter_modules(package.__path__) if info.ispkg]
        modules = [f"{self.package}.{folder}.cards" for folder in folders]
        return [module for module in modules if importlib.util.find_spec(module)]

    def _add(self, entries: dict[str, RegistryEntry], entry: RegistryEntry) -> None:
        name, old = entry.card.name, entries.get(entry.card.name)
        if old is not None and (old.owner, old.card.target) != (entry.owner, entry.card.target):
            raise ConfigError(
                f"Two plugins claim the {self.kind} name {name!r}: {old.owner} ({old.card.target}) and {entry.owner} "
                f"({entry.card.target}). Rename one of them, or uninstall its package."
            )
        entries[name] = entry


def import_target(address: str) -> Any:
    """The object at 'module:attribute'."""
    module, _, attribute = address.partition(":")
    value: Any = importlib.import_module(module)
    for part in attribute.split("."):
        value = getattr(value, part)
    return value


def _entry_of(point: importlib.metadata.EntryPoint, kind: str) -> RegistryEntry:
    """A card from a module named `cards`. Of anything else only the address is read."""
    package, _, module = point.module.rpartition(".")
    if module == "cards":
        card = import_target(point.value)
        if not isinstance(card, Card):
            raise ConfigError(f"The entry point {point.name} = {point.value} must name a Card, as its module is cards.")
        return RegistryEntry(replace(card, name=point.name), owner=package)
    summary = (point.dist.metadata["Summary"] or "") if point.dist else ""
    card_type = UpstreamCard if kind == "upstream" else Card
    owner = point.dist.name if point.dist else point.value
    return RegistryEntry(card_type(point.name, point.value, summary=summary), owner=owner)


UPSTREAMS = Registry("upstream", "audiossl.upstreams", "audiossl.upstreams")


DOWNSTREAMS = Registry("downstream", "audiossl.downstreams", "audiossl.downstreams")


INTERFACES = Registry("interface", "audiossl.interfaces", "audiossl.interfaces")


OBJECTIVES = Registry("objective", "audiossl.objectives", "audiossl.objectives")


REGISTRIES = (UPSTREAMS, DOWNSTREAMS, INTERFACES, OBJECTIVES)
