"""The one way to name layers."""

from __future__ import annotations

from audiossl.core.errors import ConfigError
from audiossl.encoders.upstream import Upstream


def parse_layers(layers: str, upstream: Upstream) -> list[int]:
    """'all', 'last', or numbers and ranges as in '0,6-8'. Raises ConfigError."""
    last = upstream.num_layers - 1
    if layers in ("all", "last"):
        return list(range(last + 1)) if layers == "all" else [last]
    chosen: set[int] = set()
    for part in layers.split(","):
        first, dash, end = part.strip().partition("-")
        if not first.isdecimal() or (dash and not end.isdecimal()):
            raise ConfigError(f"--layers {layers}: write all, last, or numbers and ranges such as 0,6-8.")
        chosen.update(range(int(first), int(end or first) + 1))
    if not chosen or max(chosen) > last:
        raise ConfigError(f"--layers {layers}: this upstream has layers 0 to {last}.")
    return sorted(chosen)
