"""Names of the TERA family."""

from audiossl.core.cards import UpstreamCard

_TERA = "audiossl.upstreams.tera.model:Tera"
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
        objective="tera",
        num_parameters=21_327_360,
    ),
    UpstreamCard(
        "mockingjay",
        _TERA,
        "Mockingjay: TERA's encoder, pre-trained by masking along time only (architecture)",
        paper=_MOCKINGJAY_PAPER,
        architecture=True,
        objective="tera",
        num_parameters=21_327_360,
    ),
    UpstreamCard(
        "audio_albert",
        _TERA,
        "AudioALBERT: one block applied 3 times (architecture)",
        paper=_ALBERT_PAPER,
        options={"share_layers": True},
        architecture=True,
        objective="tera",
        num_parameters=7_151_616,
    ),
    UpstreamCard(
        "tera_mini",
        _TERA,
        "TERA with 3 blocks of 192, pre-trained on 1.5 hours of English speech; ships with the package",
        paper=_TERA_PAPER,
        options={
            "width": 192,
            "num_layers": 3,
            "num_heads": 4,
            "ffn_width": 512,
            "dropout": 0.0,
            "attention_dropout": 0.0,
            "normalize": "global",
            "log_eps": 1e-4,
            "input_init_std": 0.1,
        },
        weights="tera_mini.safetensors",
        sha256="62d52decd7b6b5e9c61dc46b15f3d56d82c782e05c063d3d90f4fb59020d60b8",
        objective="tera",
        licence="CC BY-SA 4.0",
        num_parameters=1_054_848,
        training={
            "data": "train splits of Free Spoken Digit Dataset (CC BY-SA 4.0), a LibriSpeech excerpt (CC BY 4.0), "
            "Asterisk core sounds (CC BY-SA 3.0), Picovoice wake words (Apache-2.0)",
            "hours": 1.51,
            "steps": "2400, 3600, then 2400 with two views of each utterance, 540 with views that share the voice",
            "seed": 0,
            "command": "recipes/pretrain/run.sh",
        },
        notes="English, read and prompted speech only. Inputs over 15 s meet positions that training did not.",
    ),
)
