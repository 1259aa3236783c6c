"""Names of the unispeech_sat family."""

from functools import partial

from audiossl.core.cards import UpstreamCard
from audiossl.encoders.waveform.cards import WAVEFORM_TOY, Shape, published_waveform_card

_TARGET = "audiossl.upstreams.unispeech_sat.model:UniSpeechSat"
_PAPER = "https://arxiv.org/abs/2110.05752"

BASE = Shape(
    94_371_712,
    "",
    {"width": 768, "num_layers": 12, "num_heads": 12, "ffn_width": 3072, "conv_norm": "group", "pre_norm": False},
)
LARGE = Shape(
    315_435_136,
    "layer_norm",
    {"width": 1024, "num_layers": 24, "num_heads": 16, "ffn_width": 4096, "conv_norm": "layer", "pre_norm": True},
)

_card = partial(published_waveform_card, target=_TARGET, paper=_PAPER, licence="CC BY-SA 3.0 (repository)")

CARDS = (
    UpstreamCard(
        "unispeech_sat",
        _TARGET,
        "UniSpeech-SAT: HuBERT trained with contrasts of speakers, base size (architecture)",
        paper=_PAPER,
        architecture=True,
        num_parameters=BASE.num_parameters,
        toy=WAVEFORM_TOY,
    ),
    _card(
        "unispeech_sat_base",
        "UniSpeech-SAT base, LibriSpeech 960 h",
        "hf:microsoft/unispeech-sat-base",
        BASE,
        also="Microsoft's UniSpeech-SAT-Base.pt.",
        unverified="normalisation",
    ),
    _card(
        "unispeech_sat_base_plus",
        "UniSpeech-SAT base, 94 000 h of English",
        "hf:microsoft/unispeech-sat-base-plus",
        BASE,
        also="Microsoft's UniSpeech-SAT-Base+.pt.",
        unverified="normalisation",
    ),
    _card(
        "unispeech_sat_large",
        "UniSpeech-SAT large, 94 000 h of English",
        "hf:microsoft/unispeech-sat-large",
        LARGE,
        also="Microsoft's UniSpeech-SAT-Large.pt.",
        notes="1.28 GB.",
    ),
)
