"""DistilHuBERT checkpoints of fairseq, s3prl, Microsoft, torchaudio and transformers."""

from audiossl.encoders.waveform.checkpoints import converter, to_original
from audiossl.encoders.waveform.names import fairseq_to_ours as from_original

__all__ = ["from_original", "load", "recognises", "to_original"]

recognises, load = converter("distilhubert")
