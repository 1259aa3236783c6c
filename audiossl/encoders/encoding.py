"""The one loop that runs a frozen encoder over rows, for whatever is made of its hidden states.

    for batch, features in encode_rows(upstream, cuts, LoaderConfig(batch_size=8), up_to_layer=3):
        for index, cut in enumerate(batch.cuts):
            states = features.item(index)  # layers 0 to 3 of this recording, each (T, D_l), without padding

Recordings that are too long for the memory of one batch go through `audiossl.encoders.long_audio`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from audiossl.core.errors import AudioError
from audiossl.core.terminal import progress
from audiossl.core.types import Batch, Features
from audiossl.data.augmenting import CopyChange
from audiossl.data.config import LoaderConfig
from audiossl.data.loader import collate, make_loader
from audiossl.data.reading import place_of
from audiossl.data.stream import StreamPlan
from audiossl.encoders.devices import place
from audiossl.encoders.layers import last_layer
from audiossl.encoders.long_states import long_states
from audiossl.encoders.upstream import Upstream

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut


class Encoded(NamedTuple):
    """A batch of recordings as it was read, on the CPU, and its hidden states, where the encoder is."""

    batch: Batch
    features: Features


def encode_rows(
    upstream: Upstream,
    cuts: CutSet,
    config: LoaderConfig,
    *,
    up_to_layer: int | None = None,
    device: torch.device | str | None = None,
    precision: str = "fp32",
    title: str = "",
    change: CopyChange | None = None,
) -> Iterator[Encoded]:
    """Hidden states of every row, batch by batch.

    The rows come in the order in which the loader evaluates them: the longest first among as many as it looks at
    together, each row once, and the same in every call. Before them come those that are longer than the encoder reads
    at once, chunk by chunk (`audiossl.encoders.long_states`). The states are tensors of inference mode, which have no
    gradient: clone what a head is to be trained on.

    upstream: in eval mode. It is moved to `device`.
    cuts: the rows.
    config: how rows are made into batches, and how many processes read ahead.
    up_to_layer: the last layer that is needed, all of them where it is left out.
    device: the best one where it is left out (see `audiossl.encoders.devices.place`).
    precision: 'bf16' for autocast. For weights in bfloat16 see `load_upstream`.
    title: of a progress bar, which appears where a terminal looks. None without it.
    change: makes the sound of marked copies. None where no row is one.
    Raises ManifestError, AudioError, ConfigError for a layer that is not there.
    """
    where = place(upstream, device)
    how: dict[str, Any] = {"up_to_layer": up_to_layer, "precision": precision}
    too_long, cuts = without_long(cuts, upstream)
    for cut in too_long:
        batch = collate([cut], upstream.sample_rate_hz)
        yield Encoded(batch, _encode_in_chunks(upstream, batch, where, **how))
    if too_long and not cuts:
        return
    batches: Iterable[Batch] = make_loader(cuts, StreamPlan.of(upstream, config), change=change)
    if title:
        batches = progress(batches, title, total=num_batches(cuts, config))
    for batch in batches:
        yield Encoded(batch, encode_batch(upstream, batch, device=where, **how))


def without_long(cuts: CutSet, upstream: Upstream) -> tuple[list[Cut], CutSet]:
    """The rows that are longer than the encoder reads at once, the longest first, and the others."""
    from lhotse import CutSet

    most = upstream.max_samples
    if most is None:
        return [], cuts
    short: list[Cut] = []
    long: list[Cut] = []
    for cut in cuts:
        (long if round(cut.duration * upstream.sample_rate_hz) > most else short).append(cut)
    return sorted(long, key=lambda cut: (-cut.duration, cut.id)), CutSet.from_cuts(short)


def _encode_in_chunks(
    upstream: Upstream, batch: Batch, device: torch.device, *, up_to_layer: int | None, precision: str
) -> Features:
    """Hidden states of one recording of any length."""
    layers = range(last_layer(up_to_layer, upstream.num_layers) + 1)
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        features = long_states(upstream, batch.wavs[0], layers, name=batch.cuts[0].id)
    check_finite(batch, features)
    return features


@torch.inference_mode()
def encode_batch(
    upstream: Upstream,
    batch: Batch,
    *,
    up_to_layer: int | None = None,
    device: torch.device | str | None = None,
    precision: str = "fp32",
) -> Features:
    """Hidden states of recordings that were read already.

    upstream: in eval mode. It is moved to `device`.
    batch: the recordings, wherever their tensors are.
    up_to_layer: the last layer that is needed, all of them where it is left out.
    device: the best one where it is left out.
    precision: 'bf16' for autocast.
    Raises ConfigError for a layer that is not there, AudioError for a recording too short for one frame, and for one of
    which the encoder makes NaN or infinity.
    """
    where = place(upstream, device)
    moved = batch.to(where)
    with torch.autocast(where.type, torch.bfloat16, enabled=precision == "bf16"):
        features = upstream.of_batch(moved, up_to_layer=up_to_layer)
    check_finite(batch, features)
    return features


def check_finite(batch: Batch, features: Features) -> None:
    """Raise AudioError for the first recording of which the encoder made NaN or infinity, with its peak."""
    # One question to the device. Only where the answer is no, frames of padding are told from those of recordings.
    if bool(torch.stack([layer.isfinite().all() for layer in features.layers]).all()):
        return
    for index in range(len(batch)):
        if all(bool(states.isfinite().all()) for states in features.item(index)):
            continue
        peak = float(batch.wavs[index].abs().max())
        row = f"row {batch.cuts[index].id} ({place_of(batch.cuts[index])})" if batch.cuts else f"item {index}"
        mend = "scale the recording, or leave it out" if peak > 1 else "check its weights, and compute in fp32"
        reach = f"samples reach {peak:.3g} (sound lies in [-1, 1])"
        raise AudioError(f"The encoder makes NaN or infinity of {row}, whose {reach}; {mend}.")


def num_batches(cuts: CutSet, config: LoaderConfig) -> int | None:
    """How many batches the loader makes of the rows. None where that depends on how long they are."""
    if config.batch_size is None or config.max_duration_s is not None:
        return None
    return -(-len(cuts) // config.batch_size)
