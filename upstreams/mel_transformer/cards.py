"""Names of the log mel Transformer."""

from audiossl.core.cards import UpstreamCard

CARDS = (
    UpstreamCard(
        "mel_transformer",
        "audiossl.upstreams.mel_transformer.model:MelTransformer",
        "4 pre-norm blocks of 256 on log mel frames, 50 frames a second, any length (architecture)",
        architecture=True,
        num_parameters=3_426_560,
    ),
    UpstreamCard(
        "distil_mini",
        "audiossl.upstreams.mel_transformer.model:MelTransformer",
        "mel_transformer distilled from Whisper tiny.en and tera_mini on 1.5 hours of English; ships with the package",
        paper="https://arxiv.org/abs/2110.01900",
        options={"dropout": 0.0, "attention_dropout": 0.0, "feature_dropout": 0.0},
        weights="distil_mini.safetensors",
        sha256="e5454dfe806aa618395b4396a5a86bb307593c9ee729ec720e123ccbac2a6735",
        licence="CC BY-SA 4.0",
        num_parameters=3_426_560,
        training={
            "data": "train splits of Free Spoken Digit Dataset (CC BY-SA 4.0), a LibriSpeech excerpt (CC BY 4.0), "
            "Asterisk core sounds (CC BY-SA 3.0), Picovoice wake words (Apache-2.0)",
            "teacher": "the encoder of Whisper tiny.en (MIT), which was trained with transcripts, and tera_mini",
            "hours": 1.51,
            "steps": "4600 of 32 s by Whisper alone, then 300 of 48 s by both",
            "seed": 0,
            "command": "recipes/pretrain/run.sh --task distil_mini_first --upstream mel_transformer "
            "objective_options.states=online trainer.steps=4600; "
            "recipes/pretrain/run.sh --task distil_mini --upstream mel_transformer",
        },
        notes="Not self-supervised: its teacher learnt from 680,000 hours with transcripts. English speech only.",
    ),
)
