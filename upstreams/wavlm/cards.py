"""Names of the wavlm family."""

from audiossl.cards import UpstreamCard

CARDS = (UpstreamCard("wavlm", "audiossl.upstreams.wavlm.model:WavLM", "wavlm (architecture)", architecture=True),)
