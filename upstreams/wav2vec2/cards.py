"""Names of the wav2vec2 family."""

from audiossl.cards import UpstreamCard

CARDS = (UpstreamCard("wav2vec2", "audiossl.upstreams.wav2vec2.model:Wav2Vec2", "wav2vec2 (architecture)", architecture=True),)
