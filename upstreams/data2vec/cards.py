"""Names of the data2vec family (audio, first version)."""

from functools import partial

from audiossl.core.cards import UpstreamCard
from audiossl.encoders.waveform.cards import WAVEFORM_TOY, Shape, published_waveform_card

_TARGET = "audiossl.upstreams.data2vec.model:Data2Vec"
_PAPER = "https://arxiv.org/abs/2202.03555"
_FAIRSEQ = "https://dl.fbaipublicfiles.com/fairseq/data2vec"
_MIT = "MIT"
_BOTH = "MIT; on Hugging Face Apache-2.0"
_STYLE = {
    "conv_norm": "layer",
    "pre_norm": False,
    "position_norm": "layer",
    "position_kernel": 95,
    "position_depth": 5,
}

BASE = Shape(93_164_288, "layer_norm", {"width": 768, "num_layers": 12, "num_heads": 12, "ffn_width": 3072, **_STYLE})
LARGE = Shape(
    313_276_416, "layer_norm", {"width": 1024, "num_layers": 24, "num_heads": 16, "ffn_width": 4096, **_STYLE}
)

_card = partial(published_waveform_card, target=_TARGET, paper=_PAPER, licence=_MIT)


def _fine_tuned(size: str, shape: Shape, file: str, licences: dict[str, str]) -> list[UpstreamCard]:
    """The cards of one size's encoders that were fine-tuned for recognition.

    size: 'base' or 'large'.
    shape: what the size stands for.
    file: how fairseq's file names begin.
    licences: of those, by hours, whose licence differs.
    """
    labelled = {"10m": "10 minutes", "100h": "100 h", "960h": "960 h"}
    return [
        _card(
            f"data2vec_audio_{size}_{hours}",
            f"data2vec {size}, fine-tuned for ASR on {words}",
            f"hf:facebook/data2vec-audio-{size}-{hours}",
            shape,
            also=f"{_FAIRSEQ}/{file}_{hours}.pt.",
            licence=licences.get(hours, _MIT),
        )
        for hours, words in labelled.items()
    ]


CARDS = (
    UpstreamCard(
        "data2vec",
        _TARGET,
        "data2vec for audio, base size (architecture)",
        paper=_PAPER,
        architecture=True,
        num_parameters=BASE.num_parameters,
        toy={**WAVEFORM_TOY, "position_kernel": 15},
    ),
    _card(
        "data2vec_audio_base",
        "data2vec base, LibriSpeech 960 h",
        "hf:facebook/data2vec-audio-base",
        BASE,
        also=f"{_FAIRSEQ}/audio_base_ls.pt.",
        licence=_BOTH,
    ),
    *_fine_tuned("base", BASE, "audio_base_ls", {"10m": _BOTH, "960h": _BOTH}),
    _card(
        "data2vec_audio_large",
        "data2vec large, Libri-Light 60 000 h",
        "hf:facebook/data2vec-audio-large",
        LARGE,
        also=f"{_FAIRSEQ}/vox_pretrained.pt.",
    ),
    *_fine_tuned("large", LARGE, "vox", {}),
)
