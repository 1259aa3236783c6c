"""Names of the paralinguistic descriptors."""

from audiossl.core.cards import UpstreamCard

_MODEL = "audiossl.upstreams.paralinguistic.model"
_PAPER = "Eyben et al., 2016, doi:10.1109/TAFFC.2015.2457417"
_LICENCE = "openSMILE: free for research, not for commercial use"
_NOTES = "Needs `pip install audiossl-toolkit[paralinguistic]`. openSMILE runs on the CPU."

CARDS = (
    UpstreamCard(
        "paralinguistic",
        f"{_MODEL}:EgemapsDescriptors",
        "eGeMAPSv02: 25 descriptors of voice and spectrum, 100 frames a second",
        _PAPER,
        licence=_LICENCE,
        notes=_NOTES,
    ),
    UpstreamCard(
        "paralinguistic_functionals",
        f"{_MODEL}:EgemapsFunctionals",
        "eGeMAPSv02: 88 functionals, one frame a recording",
        _PAPER,
        licence=_LICENCE,
        notes=_NOTES,
    ),
)
