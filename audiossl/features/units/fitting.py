"""Units of an encoder's layer, fitted on a share of recordings in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import sklearn
import torch

from audiossl.core.config import as_dict
from audiossl.core.errors import ConfigError, ManifestError
from audiossl.core.tensors import fingerprint
from audiossl.data.frame_labels import first_centre_s
from audiossl.data.manifests import read_manifest
from audiossl.encoders.layers import parse_layers
from audiossl.encoders.loading import load_upstream
from audiossl.encoders.upstream import Upstream
from audiossl.features.config import CacheConfig
from audiossl.features.units.config import UnitsOptions
from audiossl.features.units.quantizer import Units, UnitsCard
from audiossl.features.units.sampling import DistinctFrames, FrameSample, capacity_of
from audiossl.features.units.states import layer_states
from audiossl.nn.draws import keyed_generator
from audiossl.nn.kmeans import Clustering, KMeansConfig, fit_kmeans

if TYPE_CHECKING:
    from lhotse import CutSet
    from lhotse.cut import Cut


def fit_units(
    name: str,
    manifests: Sequence[str | Path],
    options: UnitsOptions | None = None,
    *,
    upstream_options: Mapping[str, Any] | None = None,
    cache: CacheConfig | None = None,
    command: str = "",
) -> Units:
    """Cluster the frames of an encoder's layer, or take the codes of one that quantises (`clusters=0`).

    name: of the encoder, as `load_upstream` takes it.
    manifests: of the recordings.
    options: which layer, how many clusters, and how they are found.
    upstream_options: the encoder's own.
    cache: where hidden states are kept, so that the encoder runs once. None for nowhere.
    command: that asked for it, for the card.
    Raises ConfigError for a layer that is not there, fewer frames than clusters, or an encoder without codes,
    ManifestError, AudioError.

        units = fit_units("hubert_base", ["train.jsonl.gz"], UnitsOptions(layer="6", clusters=500))
        units.save(Path("units"))
    """
    options, given = options or UnitsOptions(), dict(upstream_options or {})
    upstream = load_upstream(name, **given)
    cuts = _share(manifests, options)
    sample: FrameSample | DistinctFrames
    if options.clusters:
        layer = one_layer(options.layer, upstream.num_layers)
        sample = FrameSample(capacity_of(options.max_gb, upstream.widths[layer]), upstream.widths[layer], options.seed)
    else:
        layer, sample = _layer_of_codes(upstream, options.layer), DistinctFrames()
    num_recordings, audio_s = 0, 0.0
    for cut, states in layer_states(upstream, cuts, layer, cache=cache):
        sample.add(cut.id, states)
        num_recordings, audio_s = num_recordings + 1, audio_s + cut.duration
    frames = sample.drawn()
    found = fit_kmeans(frames, _kmeans(options)) if options.clusters else Clustering(frames, 0.0, 0)
    card = UnitsCard(
        upstream=name,
        upstream_options=given,
        upstream_class=type(upstream).__name__,
        upstream_fingerprint=fingerprint(upstream),
        layer=layer,
        clusters=len(found.centres),
        width=upstream.widths[layer],
        sample_rate_hz=upstream.sample_rate_hz,
        rate_hz=upstream.frame_rate_hz,
        centre_s=first_centre_s(upstream),
        seed=options.seed,
        num_recordings=num_recordings,
        audio_s=round(audio_s, 3),
        num_frames=len(frames) if options.clusters else sample.num_seen,
        distortion=found.distortion,
        settings=as_dict(options),
        manifests=[str(path) for path in manifests],
        command=command,
        made_with={"torch": torch.__version__, "scikit-learn": sklearn.__version__, "numpy": numpy.__version__},
    )
    return Units(found.centres, card)


def one_layer(text: str, num_layers: int) -> int:
    """The number of a layer from what a user writes. Raises ConfigError for none or several."""
    layers = parse_layers(text, num_layers, option="--layer")
    if len(layers) != 1:
        raise ConfigError(f"--layer {text}: units are of one layer, for instance --layer 6.")
    return layers[0]


def _layer_of_codes(upstream: Upstream, text: str) -> int:
    """The number of the hidden state that is quantised. Raises ConfigError where there is none, or another is asked."""
    layer = getattr(upstream, "quantized_layer", None)
    if layer is None:
        raise ConfigError(
            f"--clusters 0: {upstream.display_name} has no codes of its own, as vq_wav2vec has; give a number of "
            f"clusters."
        )
    if text != "last" and one_layer(text, upstream.num_layers) != layer:
        raise ConfigError(f"--clusters 0 --layer {text}: the codes of {upstream.display_name} are layer {layer}.")
    return int(layer)


def _kmeans(options: UnitsOptions) -> KMeansConfig:
    names = ("clusters", "starts", "batch_frames", "max_epochs", "patience", "seed")
    return KMeansConfig(**{name: getattr(options, name) for name in names})


def _share(manifests: Sequence[str | Path], options: UnitsOptions) -> CutSet:
    """The rows that are encoded, drawn by their ids. Raises ManifestError where none is."""
    from lhotse import CutSet

    def chosen() -> Iterable[Cut]:
        for path in manifests:
            for cut in read_manifest(path):
                draw = keyed_generator(options.seed, cut.id, "share")
                if options.share == 1 or float(torch.rand((), generator=draw)) < options.share:
                    yield cut

    rows = list(chosen())
    if not rows:
        raise ManifestError(f"A share of {options.share:g} of the recordings is none of them; take a larger --share.")
    return CutSet.from_cuts(rows)
