"""The name of the bandwidth front end."""

from audiossl.core.cards import UpstreamCard

CARDS = (
    UpstreamCard(
        "bandwidth",
        "audiossl.upstreams.bandwidth.model:Bandwidth",
        "Another encoder on sound of a higher rate: mode=resample, time_expand or band_split (encoder=tera_mini)",
        licence="that of the encoder",
        sample_rate_hz=32000,
        num_parameters=1_054_848,
        notes="Options: encoder, encoder_options, mode, sample_rate_hz, bands. Nothing to learn but the encoder.",
    ),
)
