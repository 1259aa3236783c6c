"""Names of the wavlm family."""

from functools import partial

from audiossl.core.cards import UpstreamCard
from audiossl.encoders.waveform.cards import WAVEFORM_TOY, Shape, published_waveform_card

_TARGET = "audiossl.upstreams.wavlm.model:WavLM"
_PAPER = "https://arxiv.org/abs/2110.13900"
_POSITIONS = {"num_buckets": 320, "max_distance": 800}

BASE = Shape(
    94_381_936,
    "none",
    {
        "width": 768,
        "num_layers": 12,
        "num_heads": 12,
        "ffn_width": 3072,
        "conv_norm": "group",
        "pre_norm": False,
        **_POSITIONS,
    },
)
LARGE = Shape(
    315_453_120,
    "layer_norm",
    {
        "width": 1024,
        "num_layers": 24,
        "num_heads": 16,
        "ffn_width": 4096,
        "conv_norm": "layer",
        "pre_norm": True,
        **_POSITIONS,
    },
)

_card = partial(
    published_waveform_card,
    target=_TARGET,
    paper=_PAPER,
    licence="MIT (unilm, torchaudio), CC BY-SA 3.0 (UniSpeech repository): sources differ",
)

CARDS = (
    UpstreamCard(
        "wavlm",
        _TARGET,
        "WavLM: HuBERT with gated relative positions, base size (architecture)",
        paper=_PAPER,
        architecture=True,
        num_parameters=BASE.num_parameters,
        toy=WAVEFORM_TOY,
    ),
    _card(
        "wavlm_base",
        "WavLM base, LibriSpeech 960 h",
        "hf:microsoft/wavlm-base",
        BASE,
        also="Microsoft's WavLM-Base.pt.",
        unverified="that Hugging Face's preprocessor does not normalise",
    ),
    _card(
        "wavlm_base_plus",
        "WavLM base, 94 000 h of English",
        "hf:microsoft/wavlm-base-plus",
        BASE,
        also="Microsoft's WavLM-Base+.pt.",
        notes="378 MB. Fine-tuned for speakers: hf:microsoft/wavlm-base-plus-sv and -sd.",
        unverified="that Hugging Face's preprocessor does not normalise",
    ),
    _card(
        "wavlm_large",
        "WavLM large, 94 000 h of English",
        "hf:microsoft/wavlm-large",
        LARGE,
        also="Microsoft's WavLM-Large.pt.",
        notes="1.26 GB.",
        unverified="that Hugging Face's preprocessor normalises",
    ),
)
