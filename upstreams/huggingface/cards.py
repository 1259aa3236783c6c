"""The name under which encoders of `transformers` are saved."""

from audiossl.core.cards import UpstreamCard

CARDS = (
    UpstreamCard(
        "huggingface",
        "audiossl.upstreams.huggingface.model:HuggingFace",
        "An audio encoder of transformers: w2v-BERT 2.0, Whisper, AST, SEW, Parakeet, ... (architecture)",
        architecture=True,
        notes="Needs `pip install audiossl-toolkit[hf]`. The size is that of the folder that it is loaded from.",
        toy={
            "model": {
                "model_type": "wav2vec2-bert",
                "hidden_size": 16,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "intermediate_size": 32,
                "feature_projection_input_dim": 160,
                "conv_depthwise_kernel_size": 7,
            },
        },
    ),
)
