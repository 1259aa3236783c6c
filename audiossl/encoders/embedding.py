"""Hidden states of recordings, written for other programs to read: what `audiossl embed` does."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from audiossl.core.errors import ManifestError
from audiossl.core.outputs import check_out
from audiossl.core.tensors import fingerprint
from audiossl.core.terminal import progress
from audiossl.core.untrusted import file_names
from audiossl.data.config import LoaderConfig
from audiossl.data.inputs import cuts_of
from audiossl.data.reading import path_of
from audiossl.encoders.config import EmbedOptions
from audiossl.encoders.devices import device_of, place
from audiossl.encoders.embedding_tables import TABLE_SUFFIXES, TableWriter
from audiossl.encoders.encoding import encode_rows
from audiossl.encoders.layers import parse_layers
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.long_audio import chunk_frames, encode_long, plan, recording_of
from audiossl.encoders.npz import ARCHIVE_SUFFIX, NpzWriter
from audiossl.encoders.spans import Place, Spans
from audiossl.encoders.upstream import Upstream
from audiossl.encoders.zarr_folder import ZARR_SUFFIX, EncoderAttributes, ZarrWriter, check_zarr

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut

_LONG_S = 600.0
_BEGINS = {ARCHIVE_SUFFIX: b"PK", **TABLE_SUFFIXES}
_log = logging.getLogger(__name__)
Writer = NpzWriter | TableWriter | ZarrWriter


class Embedded(NamedTuple):
    """What was written: how many recordings, which of their layers, and where to."""

    num_recordings: int
    layers: list[int]
    out: str


def embed_inputs(
    name: str,
    inputs: Sequence[str],
    out: Path,
    options: EmbedOptions,
    upstream_options: Mapping[str, Any] | None = None,
) -> Embedded:
    """Write hidden states of all inputs.

    name: of an encoder, as `load_upstream` takes it.
    inputs: sound files, folders, patterns or manifests.
    out: a .csv or .parquet table (`TableWriter`), a .zarr folder (`ZarrWriter`), else see `NpzWriter`.
    options: which layers, how they are pooled, and how recordings are read.
    upstream_options: the encoder's own.
    Raises ConfigError, and what loading the encoder and reading the sound raise.
    """
    check_embedding_out(out, inputs)
    settings = {"precision": options.precision, "engine": options.engine, **(upstream_options or {})}
    upstream, cuts = load_upstream(name, **settings), cuts_of(inputs)
    if out.suffix not in (*_BEGINS, ZARR_SUFFIX):
        file_names([cut.id for cut in cuts], ARCHIVE_SUFFIX)  # known before anything is encoded
    return embed_rows(upstream, cuts, out, options)


def check_embedding_out(out: Path, inputs: Sequence[str | Path]) -> None:
    """Raise an error, before anything is encoded, where `out` can be no file or folder of embeddings of the inputs."""
    begins = _BEGINS.get(out.suffix)
    check_out(out, "file" if begins else "folder", inputs, begins=begins)
    if out.suffix == ZARR_SUFFIX:
        check_zarr(out)


def embed_rows(
    upstream: Upstream,
    cuts: CutSet,
    out: str | Path,
    options: EmbedOptions,
    *,
    device: torch.device | str | None = None,
) -> Embedded:
    """Write hidden states of manifest rows by an encoder that is there already.

    upstream: the encoder. It is moved to `device`.
    cuts: the rows.
    out: a .csv or .parquet table (`TableWriter`), a .zarr folder (`ZarrWriter`), else see `NpzWriter`.
    options: of which precision and engine say nothing here, since the encoder has its own.
    device: where the encoder runs, the best one where it is left out.
    Raises ConfigError, ManifestError, AudioError.
    """
    chosen = parse_layers(options.layer, upstream.num_layers, option="--layer")
    place(upstream, device)
    with open_writer(upstream, cuts, Path(out), options, chosen) as writer:
        if options.chunk_s:
            num_recordings = _embed_chunks(upstream, cuts, options, writer)
        else:
            num_recordings = _embed_batches(upstream, cuts, options, writer)
    return Embedded(num_recordings, chosen, str(out))


def open_writer(upstream: Upstream, cuts: CutSet, out: Path, options: EmbedOptions, layers: Sequence[int]) -> Writer:
    """What writes states of rows, as a context.

    upstream: whose frames they are.
    cuts: the rows.
    out: the file or folder, whose suffix says the form.
    options: how states are pooled.
    layers: the numbers of those that every row brings.
    """
    spans = Spans(upstream, options.window_s, options.hop_s, whole=options.pool == "mean")
    places = {cut.id: Place(str(path_of(cut) or ""), cut.start, cut.duration) for cut in cuts}
    if out.suffix in TABLE_SUFFIXES:
        return TableWriter(out, layers, spans, places)
    if out.suffix == ZARR_SUFFIX:
        facts = EncoderAttributes(upstream.display_name, fingerprint(upstream), upstream.frame_rate_hz)
        return ZarrWriter(out, layers, spans, places, facts)
    return NpzWriter(out, layers, pool=options.pool, windows=spans if options.window_s else None, places=places)


def _embed_batches(upstream: Upstream, cuts: CutSet, options: EmbedOptions, writer: Writer) -> int:
    config = LoaderConfig(batch_size=options.batch_size)
    longest_s = max((cut.duration for cut in cuts), default=0.0)
    if longest_s > _LONG_S:
        _log.warning("A recording lasts %.0f minutes; --chunk-s 30 bounds the memory that it takes.", longest_s / 60)
    num_recordings = 0
    for batch, features in encode_rows(
        upstream, cuts, config, up_to_layer=max(writer.layers), device=device_of(upstream), title="Embedding"
    ):
        for index, cut in enumerate(batch.cuts):
            states = features.item(index)
            writer.write(cut.id, [states[number] for number in writer.layers])
            num_recordings += 1
    return num_recordings


def _embed_chunks(upstream: Upstream, cuts: CutSet, options: EmbedOptions, writer: Writer) -> int:
    """One recording after the other, chunk by chunk. What is held is one chunk."""
    size, shared = chunk_frames(upstream, options.chunk_s, options.overlap_s)
    ids = [cut.id for cut in cuts]
    if len(set(ids)) < len(ids):
        raise ManifestError("The manifest has two rows with the same id; ids must be unique: make it again.")
    frames = {cut.id: upstream.num_frames(recording_of(cut, upstream.sample_rate_hz).num_samples) for cut in cuts}
    total = sum(1 for count in frames.values() for _ in plan(count, size, shared))

    def chunks() -> Iterator[tuple[Cut, int, Sequence[Tensor]]]:
        lengths: Any = {"chunk_s": options.chunk_s, "overlap_s": options.overlap_s}
        for cut in cuts:
            for first, features in encode_long(upstream, cut, up_to_layer=max(writer.layers), **lengths):
                states = features.item(0)
                yield cut, first, [states[number] for number in writer.layers]

    for cut, first, states in progress(chunks(), "Embedding", total=total):
        if first == 0:
            recording = writer.in_parts(cut.id, frames[cut.id])
        recording.add(first, states)
    return len(ids)
