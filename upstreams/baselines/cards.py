"""Names of the spectral features."""

from audiossl.core.cards import UpstreamCard

_MODEL = "audiossl.upstreams.baselines.model"

CARDS = (
    UpstreamCard("log_mel", f"{_MODEL}:LogMel", "Log mel power spectrum, 80 bands, 25 / 10 ms"),
    UpstreamCard("spectrogram", f"{_MODEL}:Spectrogram", "Log power spectrum, 201 bins, 25 / 10 ms"),
    UpstreamCard(
        "fbank",
        f"{_MODEL}:Fbank",
        "Kaldi filterbank: 80 bands, first and second deltas, mean and variance normalised (SUPERB's FBANK)",
        paper="https://arxiv.org/abs/2105.01051",
    ),
    UpstreamCard(
        "mfcc",
        f"{_MODEL}:Mfcc",
        "Kaldi cepstra: 13 coefficients, first and second deltas, mean and variance normalised",
    ),
)
