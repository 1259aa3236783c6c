"""The name of the Transformer on units or frames."""

from audiossl.core.cards import UpstreamCard

CARDS = (
    UpstreamCard(
        "bert",
        "audiossl.upstreams.bert.model:Bert",
        "A Transformer on units or frames of another encoder (encoder=log_mel), base size (architecture)",
        paper="https://arxiv.org/abs/1911.03912",
        architecture=True,
        num_parameters=89_838_624,
        toy={
            "num_units": 7,
            "width": 16,
            "num_layers": 2,
            "num_heads": 2,
            "ffn_width": 32,
            "position_kernel": 16,
            "position_groups": 2,
        },
        notes="Options: encoder, encoder_options, layer, units (a folder of `audiossl units fit`), which do not train.",
    ),
)
