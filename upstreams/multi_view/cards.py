"""The name of the encoder of several views."""

from audiossl.core.cards import UpstreamCard

CARDS = (
    UpstreamCard(
        "multi_view",
        "audiossl.upstreams.multi_view.model:MultiView",
        "A small encoder for each of several views: the means over time of frozen encoders (architecture)",
        "Saeed et al., Pairwise-CL, 2024, arXiv:2406.07900",
        architecture=True,
        objective="multi_view",
        num_parameters=0,
        notes="Options: members, member_options, width, hidden.",
        toy={"members": ["log_mel", "mfcc"], "width": 8, "hidden": 8},
    ),
)
