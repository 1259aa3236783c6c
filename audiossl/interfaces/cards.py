"""Names of the interfaces (data only: no torch)."""

from __future__ import annotations

from audiossl.core.cards import Card

_STUDY = "Shih and Harwath, Interface design for self-supervised speech models, 2024, arXiv:2406.12209"
_SUPERB = "Yang et al., SUPERB, 2021, arXiv:2105.01051"

CARDS: tuple[Card, ...] = (
    Card("last", "audiossl.interfaces.weighting:Last", "The last layer as it is."),
    Card("layer", "audiossl.interfaces.weighting:Layer", "One layer, by its index."),
    Card("weighted_sum", "audiossl.interfaces.weighting:WeightedSum", "A learnt weighted mean of all layers.", _SUPERB),
    Card(
        "grouped_weighted_sum",
        "audiossl.interfaces.weighting:GroupedWeightedSum",
        "One weighted mean for each group of neighbouring layers, concatenated and projected.",
        _STUDY,
    ),
    Card("concat", "audiossl.interfaces.fusion:Concat", "All layers concatenated, with a learnt projection.", _STUDY),
    Card(
        "hierarchical_conv",
        "audiossl.interfaces.fusion:HierarchicalConv",
        "Strided convolutions over the layer axis, frame by frame.",
        _STUDY,
    ),
    Card(
        "cls_pooling",
        "audiossl.interfaces.fusion:ClsPooling",
        "A learnt query attends to the layers of each frame.",
        _STUDY,
    ),
    Card("pca", "audiossl.interfaces.projection:Pca", "Principal components of each layer, concatenated.", _STUDY),
)
