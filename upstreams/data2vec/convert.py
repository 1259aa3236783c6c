"""data2vec checkpoints of fairseq, s3prl, Microsoft, torchaudio and transformers."""

from audiossl.originals.names import fairseq_to_ours as from_original
from audiossl.originals.waveform import converter, to_original

__all__ = ["from_original", "load", "recognises", "to_original"]

recognises, load = converter("data2vec")
