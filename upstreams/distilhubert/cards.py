"""Name of the distilhubert family: the published weights have the family's own name."""

from audiossl.encoders.waveform.cards import WAVEFORM_TOY, Shape, published_waveform_card

DISTILHUBERT = Shape(
    23_491_200,
    "none",
    {
        "width": 768,
        "num_layers": 2,
        "num_heads": 12,
        "ffn_width": 3072,
        "conv_norm": "group",
        "pre_norm": False,
        "feature_norm": False,
    },
)

CARDS = (
    published_waveform_card(
        "distilhubert",
        "DistilHuBERT: HuBERT base distilled into 2 blocks, LibriSpeech 960 h",
        "hf:ntu-spml/distilhubert",
        DISTILHUBERT,
        target="audiossl.upstreams.distilhubert.model:DistilHubert",
        paper="https://arxiv.org/abs/2110.01900",
        licence="Apache-2.0",
        also="s3prl's distilhubert_ls960_4-8-12.ckpt.",
        preprocessor=False,
        toy=WAVEFORM_TOY,
    ),
)
