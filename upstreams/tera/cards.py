"""Names of the TERA family."""

from audiossl.cards import UpstreamCard

_TERA = "audiossl.upstreams.tera.model:Tera"
_OBJECTIVE = "audiossl.upstreams.tera.objective:TeraPretraining"
_TERA_PAPER = "https://arxiv.org/abs/2007.06028"
_MOCKINGJAY_PAPER = "https://arxiv.org/abs/1910.12638"
_ALBERT_PAPER = "https://arxiv.org/abs/2005.08575"

CARDS = (
    UpstreamCard(
        "tera",
        _TERA,
        "TERA base: 3 blocks of 768 on log mel frames (architecture)",
        paper=_TERA_PAPER,
        architecture=True,
        objective=_OBJECTIVE,
        num_parameters=21_327_360,
    ),
    UpstreamCard(
        "mockingjay",
        _TERA,
        "Mockingjay: TERA's encoder, pre-trained by masking along time only (architecture)",
        paper=_MOCKINGJAY_PAPER,
        architecture=True,
        objective=_OBJECTIVE,
        num_parameters=21_327_360,
    ),
    UpstreamCard(
        "audio_albert",
        _TERA,
        "AudioALBERT: one block applied 3 times (architecture)",
        paper=_ALBERT_PAPER,
        options={"share_layers": True},
        architecture=True,
        objective=_OBJECTIVE,
        num_parameters=7_151_616,
    ),
)
