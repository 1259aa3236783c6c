"""The name of the encoder of transcripts."""

from audiossl.core.cards import UpstreamCard

CARDS = (
    UpstreamCard(
        "text",
        "audiossl.upstreams.text.model:TranscriptEncoder",
        "The transcript of a row by a text encoder of transformers, one frame a recording",
        notes="Needs `pip install audiossl-toolkit[hf]`. Options: model (a folder or hf:...), field, pooling.",
    ),
)
