"""Names of the log mel Transformer."""

from audiossl.core.cards import UpstreamCard

CARDS = (
    UpstreamCard(
        "mel_transformer",
        "audiossl.upstreams.mel_transformer.model:MelTransformer",
        "4 pre-norm blocks of 256 on log mel frames, 50 frames a second, any length (architecture)",
        architecture=True,
        num_parameters=3_426_560,
    ),
)
