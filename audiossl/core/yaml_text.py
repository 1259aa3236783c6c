"""YAML as configurations have it: PyYAML's safe subset, with `1e-4` as a number, dates as text and no key twice."""

from __future__ import annotations

import re
from typing import Any

import yaml

_FLOAT = re.compile(
    r"[-+]?(\d[\d_]*\.[\d_]*|\.\d[\d_]*|\d[\d_]*(?=[eE]))([eE][-+]?\d+)?$"
    r"|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$"
)
_OWN_TAGS = ("tag:yaml.org,2002:float", "tag:yaml.org,2002:timestamp")


def _resolvers(of: type[Any]) -> dict[Any, list[tuple[str, Any]]]:
    """What a plain word may be, by its first character: as in YAML 1.1, but for floats and dates."""
    kept = {
        first: [(tag, pattern) for tag, pattern in rules if tag not in _OWN_TAGS]
        for first, rules in of.yaml_implicit_resolvers.items()
    }
    for first in "-+.0123456789":
        kept[first] = [(_OWN_TAGS[0], _FLOAT), *kept.get(first, [])]
    return kept


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = _resolvers(yaml.SafeLoader)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        for number, key in enumerate(keys):
            if key in keys[:number] and key != "<<":
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is there twice", node.start_mark)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    yaml_implicit_resolvers = _resolvers(yaml.SafeDumper)  # so that the text '1e4' gets its quotes


def _text(dumper: _Dumper, text: str) -> Any:
    """Text with the line ends of Unicode in double quotes, in which they are escaped: else they come back as others."""
    style = '"' if set(text) & set("\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)


def load_yaml(text: str) -> Any:
    """The value of a YAML text. Raises YAMLError, and ValueError for a date or a number that is none."""
    return yaml.load(text, Loader=_Loader)


def dump_yaml(value: Any) -> str:
    """A value as a YAML text, which `load_yaml` gives back."""
    return yaml.dump(value, Dumper=_Dumper, default_flow_style=False, allow_unicode=True, sort_keys=False)
