"""Which encoders of `transformers` are known: the class of each, and what of a checkpoint it is a part of."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from audiossl.core.errors import ConfigError, did_you_mean
from audiossl.core.registry import import_target
from audiossl.upstreams.huggingface import frontends
from audiossl.upstreams.huggingface.frontends import FrontEnd


@dataclass(frozen=True)
class Kind:
    """One architecture.

    folder: its folder in transformers.models.
    encoder: the class that is run.
    extractor: the class of the preprocessor.
    front_end: builds the frame arithmetic from the configuration and the preprocessor.
    depth: the field of the configuration that counts blocks.
    loader: the class that reads a checkpoint, where the encoder is a part of it.
    part: which part.
    unread: fields of the configuration that shrink what the encoder does not need.
    renamed: patterns in the names of weights, and their replacements.
    cut: submodules that no state depends on, and whether each is replaced by the identity or by zero (a branch that is
    added).
    file: what its module is called, where not as the folder.
    """

    folder: str
    encoder: str
    extractor: str
    front_end: Callable[[Any, Any], FrontEnd]
    depth: str = "num_hidden_layers"
    loader: str = ""
    part: str = ""
    unread: Mapping[str, Any] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    cut: Mapping[str, str] = field(default_factory=dict)
    file: str = ""

    @property
    def takes_waveform(self) -> bool:
        return self.front_end in (frontends.conv_stem, frontends.moonshine)

    def load_class(self, name: str) -> Any:
        """A class of this architecture's modelling module. Raises ConfigError where transformers is too old."""
        transformers = import_transformers()
        module = f"transformers.models.{self.folder}.modeling_{self.file or self.folder}"
        try:
            return import_target(f"{module}:{name}")
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"transformers {transformers.__version__} has no {name}; update it: pip install -U transformers."
            ) from error


def _conv(folder: str, encoder: str, **more: Any) -> Kind:
    return Kind(folder, encoder, "Wav2Vec2FeatureExtractor", frontends.conv_stem, **more)


_PARAKEET = Kind("parakeet", "ParakeetEncoder", "ParakeetFeatureExtractor", frontends.parakeet)
# SEW's blocks run at a lower rate than its stem; what brings its last state back to the stem's rate comes after them.
_UPSAMPLING = {"encoder.upsample": "identity"}

KINDS: dict[str, Kind] = {
    "wav2vec2-bert": Kind(
        "wav2vec2_bert", "Wav2Vec2BertModel", "SeamlessM4TFeatureExtractor", frontends.stacked_filterbank
    ),
    # Its checkpoints hold a positional convolution, which nothing runs: positions are relative or rotary.
    "wav2vec2-conformer": _conv(
        "wav2vec2_conformer", "Wav2Vec2ConformerModel", cut={"encoder.pos_conv_embed": "identity"}
    ),
    "unispeech": _conv("unispeech", "UniSpeechModel"),
    "sew": _conv("sew", "SEWModel", cut=_UPSAMPLING),
    # transformers 4.57 looks for the encoder of a recogniser under "sew-d.", and it is under "sew_d.".
    "sew-d": _conv("sew_d", "SEWDModel", cut=_UPSAMPLING, renamed={r"^sew_d\.": ""}),
    "speecht5": Kind(
        "speecht5",
        "SpeechT5EncoderWithSpeechPrenet",
        "SpeechT5FeatureExtractor",
        frontends.conv_stem,
        depth="encoder_layers",
        loader="SpeechT5ForSpeechToText",
        part="speecht5.encoder",
        unread={"decoder_layers": 0},
    ),
    "moonshine": Kind(
        "moonshine",
        "MoonshineEncoder",
        "Wav2Vec2FeatureExtractor",
        frontends.moonshine,
        depth="encoder_num_hidden_layers",
        loader="MoonshineModel",
        part="encoder",
        unread={"decoder_num_hidden_layers": 0},
    ),
    "whisper": Kind(
        "whisper",
        "WhisperEncoder",
        "WhisperFeatureExtractor",
        frontends.whisper,
        depth="encoder_layers",
        loader="WhisperModel",
        part="encoder",
        unread={"decoder_layers": 0},
    ),
    "audio-spectrogram-transformer": Kind(
        "audio_spectrogram_transformer", "ASTModel", "ASTFeatureExtractor", frontends.spectrogram_patches
    ),
    "seamless_m4t_v2": Kind(
        "seamless_m4t_v2",
        "SeamlessM4Tv2SpeechEncoder",
        "SeamlessM4TFeatureExtractor",
        frontends.stacked_filterbank,
        depth="speech_encoder_layers",
        loader="SeamlessM4Tv2ForSpeechToText",
        part="speech_encoder",
        unread={"decoder_layers": 0},
        # Between the blocks and these, the model shortens the sequence eightfold for its text decoder.
        cut={"intermediate_ffn": "zero", "inner_layer_norm": "identity"},
    ),
    "parakeet_encoder": _PARAKEET,
    "parakeet_ctc": _PARAKEET,
    "parakeet_tdt": _PARAKEET,
    "parakeet_rnnt": _PARAKEET,
    # audiossl has families of its own for these; here they are a second implementation to compare with.
    "wav2vec2": _conv("wav2vec2", "Wav2Vec2Model"),
    "hubert": _conv("hubert", "HubertModel"),
    "wavlm": _conv("wavlm", "WavLMModel"),
    "data2vec-audio": _conv("data2vec", "Data2VecAudioModel", file="data2vec_audio"),
    "unispeech-sat": _conv("unispeech_sat", "UniSpeechSatModel"),
}


def kind_of(model_type: object) -> Kind:
    """The architecture of a `model_type`. Raises ConfigError for one that is not known."""
    if not isinstance(model_type, str) or model_type not in KINDS:
        raise ConfigError(
            f"The huggingface upstream does not know the model_type {model_type!r}. "
            f"{did_you_mean(str(model_type), KINDS) or 'Known: ' + ', '.join(sorted(KINDS)) + '.'}"
        )
    return KINDS[model_type]


def import_transformers() -> ModuleType:
    """The optional package. Raises ConfigError where it is missing."""
    try:
        return importlib.import_module("transformers")
    except ImportError as error:
        raise ConfigError(
            "Encoders of Hugging Face need the transformers package: pip install audiossl-toolkit[hf]."
        ) from error
