"""What an exported file says of itself, so that `onnx:` reads it without being told anything."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from audiossl.core.tensors import fingerprint
from audiossl.encoders.exported.program import METADATA
from audiossl.encoders.upstream import Upstream

_VERSION = 1


def metadata_of(
    upstream: Upstream, layers: Sequence[str], shortest: int, more: Mapping[str, Any] | None = None
) -> dict[str, str]:
    """Text by key, for the metadata of a file: ours as JSON, and the rate as other toolkits call it.

    upstream: the encoder in the file.
    layers: the names of the outputs that are its layers.
    shortest: fewest samples that the graph takes.
    more: what else there is to say, such as the labels of a head.
    """
    said = {
        "version": _VERSION,
        "name": upstream.name,
        "fingerprint": fingerprint(upstream),
        "encoder": {"sample_rate_hz": upstream.sample_rate_hz, "outputs": list(layers), "min_samples": shortest},
        **(more or {}),
    }
    said["encoder"] |= _geometry(upstream, shortest)
    if upstream.max_samples is not None:
        said["encoder"]["max_samples"] = upstream.max_samples
    return {METADATA: json.dumps(said), "sample_rate": str(upstream.sample_rate_hz)}


def _geometry(upstream: Upstream, shortest: int) -> dict[str, int]:
    """How frames lie in a recording, or {} where it is not (samples + margin - receptive_field) // stride + 1."""
    frames, stride = upstream.num_frames, upstream.stride
    longest = min(shortest + 3 * stride, upstream.max_samples or shortest + 3 * stride)
    lengths = range(shortest, longest + 1)
    first = next((n for n in lengths[1:] if frames(n) > frames(n - 1)), None)
    if first is None:
        return {}
    offset = (frames(first) - 1) * stride - first
    more = [] if upstream.max_samples is not None else [17 * stride + 5, 1001 * stride - 1]
    if any(frames(n) != (n + offset) // stride + 1 for n in [*lengths, *more] if n >= shortest):
        return {}
    receptive_field = max(upstream.receptive_field, -offset)
    return {"stride": stride, "receptive_field": receptive_field, "margin": receptive_field + offset}
