"""From encoders, manifests and an alignment to figures of every layer, without training.

study_discrimination(["tera_mini"], [Path("test.jsonl.gz")], Path("discrimination"))
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from audiossl.analysis.discrimination.asking import ComparedSegments, ask
from audiossl.analysis.discrimination.config import DiscriminationOptions
from audiossl.analysis.discrimination.distances import SegmentFrames, iter_layers, mean_distances, path_distances
from audiossl.analysis.discrimination.keeping import KeptLayers, ScoreName, question_of
from audiossl.analysis.discrimination.likeness import WordRating, read_ratings, similarity_estimate
from audiossl.analysis.layerwise.encoders import RANDOM, Studied, all_studied
from audiossl.core.comma_lists import comma_list
from audiossl.core.outputs import check_out
from audiossl.core.untrusted import file_names
from audiossl.encoders.layers import parse_layers
from audiossl.encoders.upstream import Upstream
from audiossl.features.config import CacheConfig
from audiossl.metrics.abx import abx_estimate
from audiossl.metrics.jackknife import Difference, Estimate, difference_of
from audiossl.metrics.same_different import precision_estimate

SIMILARITY = "similarity"


class EncoderScores(NamedTuple):
    """What an encoder gave: the figures of each layer."""

    studied: Studied
    layers: dict[int, dict[ScoreName, Estimate]]

    @property
    def names(self) -> list[ScoreName]:
        return list(next(iter(self.layers.values())))

    def best(self, name: ScoreName) -> int:
        """The layer with the best figure, on the segments that it is reported on. The first of equals."""
        sign = -1.0 if name.smaller_is_better else 1.0
        return max(self.layers, key=lambda layer: (sign * self.layers[layer][name].value, -layer))


class DiscriminationStudy(NamedTuple):
    """All encoders on the same segments.

    comparison: what is compared.
    ratings: of words. Empty for none.
    encoders: in the order of the figures.
    differences: of the best layer of an encoder from others, by what is compared, for each figure.
    """

    comparison: ComparedSegments
    ratings: list[WordRating]
    encoders: list[EncoderScores]
    differences: dict[ScoreName, dict[str, Difference]]


def study_discrimination(
    encoders: Sequence[str],
    manifests: Sequence[Path],
    out: Path,
    options: DiscriminationOptions | None = None,
    cache: CacheConfig | None = None,
) -> DiscriminationStudy:
    """Compare the segments of all encoders. What is finished in the folder is not done again.

    encoders: as a user writes them, with options in brackets.
    manifests: of the recordings.
    out: the folder that results are written to.
    options: which segments, and how they are compared.
    cache: where hidden states are read and kept. None for nowhere.
    Raises ConfigError for an encoder that is asked for twice, LabelError, and what reading and encoding raise.
    """
    options = options or DiscriminationOptions()
    studied = all_studied(encoders, random=options.random)
    check_out(out, "folder", [*manifests])
    comparison = ask(manifests, options)
    labels = [each.label for each in comparison.segments]
    ratings = read_ratings(Path(options.ratings), labels) if options.ratings else []
    question = question_of(comparison, ratings, options, cache.dtype_of("frames") if cache else "fp32")
    folders = [out / "encoders" / path.stem for path in file_names([one.written for one in studied], ".folder")]
    found = []
    for one, folder in zip(studied, folders, strict=True):
        encoder = one.load()
        if one.role != RANDOM or next(encoder.upstream.parameters(), None) is not None:
            kept = KeptLayers(folder, encoder.fingerprint, question)
            found.append(_scores_of(one, encoder.upstream, comparison, ratings, options, cache, kept))
    differences = {name: _differences(found, name, comparison) for name in found[0].names}
    return DiscriminationStudy(comparison, ratings, found, differences)


def _scores_of(
    one: Studied,
    upstream: Upstream,
    comparison: ComparedSegments,
    ratings: Sequence[WordRating],
    options: DiscriminationOptions,
    cache: CacheConfig | None,
    kept: KeptLayers,
) -> EncoderScores:
    """The figures of all layers, of which those that are kept are read."""
    distances = comma_list(options.distances)
    layers = parse_layers(options.layers, upstream.num_layers)
    found = {layer: figures for layer in layers if (figures := kept.read(layer)) is not None}
    read = iter_layers(
        upstream,
        comparison.cuts,
        comparison.segments,
        [layer for layer in layers if layer not in found],
        frames="dtw" in distances,
        standardize=options.standardize,
        cache=cache,
        title=f"Encoding, {one.written}",
    )
    for layer, own in read:
        found[layer] = dict(_of_layer(own, comparison, ratings, distances))
        kept.write(layer, found[layer])
    return EncoderScores(one, {layer: found[layer] for layer in layers})


def _of_layer(
    own: SegmentFrames, comparison: ComparedSegments, ratings: Sequence[WordRating], distances: Sequence[str]
) -> Iterator[tuple[ScoreName, Estimate]]:
    clusters, speakers = comparison.clusters, comparison.speakers
    for kind in distances:
        matrix = mean_distances(own.means) if kind == "mean" else path_distances(own)
        for name, pairs in comparison.pairs.items():
            yield ScoreName(name, kind), precision_estimate(matrix[pairs.first, pairs.second], pairs, clusters)
        for name, cells in comparison.cells.items():
            yield ScoreName(name, kind), abx_estimate(cells, matrix, clusters, speakers)
    if ratings:
        labels = [each.label for each in comparison.segments]
        yield ScoreName(SIMILARITY, "mean"), similarity_estimate(own.means, labels, ratings, clusters)


def _differences(
    found: Sequence[EncoderScores], name: ScoreName, comparison: ComparedSegments
) -> dict[str, Difference]:
    """Each encoder's best layer against that of what stands beside it, and against that of the first encoder."""
    clusters, made = comparison.clusters.merged(), {}
    by_name = {each.studied.written: each for each in found}
    first = found[0]
    for each in found:
        one = each.studied
        against = by_name.get(one.beside) if one.beside else (first if each is not first else None)
        if against is None:
            continue
        pair = (against, each) if one.beside else (each, against)
        values = [side.layers[side.best(name)][name] for side in pair]
        title = f"{pair[0].studied.written} - {pair[1].studied.written}"
        made[title] = difference_of(values[0], values[1], clusters)
    return made
