"""Names of the unispeech_sat family."""

from audiossl.cards import UpstreamCard

CARDS = (UpstreamCard("unispeech_sat", "audiossl.upstreams.unispeech_sat.model:UniSpeechSat", "unispeech_sat (architecture)", architecture=True),)
