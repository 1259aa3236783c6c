"""The name of the encoder that reads vectors."""

from audiossl.core.cards import UpstreamCard

CARDS = (
    UpstreamCard(
        "column",
        "audiossl.upstreams.column.model:ColumnVectors",
        "A column of the manifest with a vector in each row, one frame a recording",
        notes="Options: field, width.",
    ),
)
