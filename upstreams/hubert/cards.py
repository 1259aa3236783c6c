"""Names of the hubert family: HuBERT and the models of its shape."""

from functools import partial

from audiossl.core.cards import UpstreamCard
from audiossl.encoders.waveform.cards import WAVEFORM_TOY, Shape, published_waveform_card

_TARGET = "audiossl.upstreams.hubert.model:Hubert"
_WAV2VEC2 = "audiossl.upstreams.wav2vec2.model:Wav2Vec2"
_ARXIV = "https://arxiv.org/abs/"
_PAPER = f"{_ARXIV}2106.07447"
_FACEBOOK = "https://dl.fbaipublicfiles.com/hubert"
_S3PRL = "https://huggingface.co/s3prl/converted_ckpts/resolve/main"
_EARTH_SPECIES = "https://storage.googleapis.com/esp-public-files"
_MIT = "MIT"
_BOTH = "MIT; on Hugging Face Apache-2.0"

_GROUP = {"conv_norm": "group", "pre_norm": False}
_LAYER = {"conv_norm": "layer", "pre_norm": True}  # conv_bias: see _BIASES
_768 = {"width": 768, "num_layers": 12, "num_heads": 12, "ffn_width": 3072}
_1024 = {"width": 1024, "num_layers": 24, "num_heads": 16, "ffn_width": 4096}
_1280 = {"width": 1280, "num_layers": 48, "num_heads": 16, "ffn_width": 5120}
_25_HZ = {
    "conv_widths": (512,) * 8,
    "conv_kernels": (10, 3, 3, 3, 3, 2, 2, 2),
    "conv_strides": (5, 2, 2, 2, 2, 2, 2, 2),
    "position_norm": "batch",
}
_NO_MASK = {"mask_embedding": False}  # torchaudio's files leave it out

BASE = Shape(94_371_712, "none", {**_768, **_GROUP})
BASE_UNKNOWN_INPUT = Shape(94_371_712, "", {**_768, **_GROUP})
BASE_25_HZ = Shape(94_897_408, "", {**_768, **_GROUP, **_25_HZ})
BASE_TORCHAUDIO = Shape(94_370_944, "none", {**_768, **_GROUP, **_NO_MASK})
LARGE = Shape(315_435_136, "layer_norm", {**_1024, **_LAYER})
LARGE_GROUP_TORCHAUDIO = Shape(315_427_968, "none", {**_1024, **_GROUP, **_NO_MASK})
XLARGE = Shape(962_493_824, "layer_norm", {**_1280, **_LAYER})

_BIASES = "The original stem has no biases; Hugging Face's configuration asks for some, 3584 parameters more."
_BIASES_UNKNOWN = "whether the stem has biases on Hugging Face (the original has none)"

_card = partial(published_waveform_card, target=_TARGET, paper=_PAPER, licence=_MIT)
# torchaudio's files do not say their family and are read as wav2vec2, whose rule for real frames is torchaudio's, too.
_aves = partial(
    published_waveform_card, target=_WAV2VEC2, paper=f"{_ARXIV}2210.14493", licence="MIT (code)", notes="Animal sounds."
)

_HUBERT = (
    _card(
        "hubert_base",
        "HuBERT base, LibriSpeech 960 h",
        "hf:facebook/hubert-base-ls960",
        BASE,
        licence=_BOTH,
        also=f"{_FACEBOOK}/hubert_base_ls960.pt.",
        unverified="that Hugging Face's preprocessor normalises",
    ),
    _card(
        "hubert_large",
        "HuBERT large, Libri-Light 60 000 h",
        "hf:facebook/hubert-large-ll60k",
        LARGE,
        licence=_BOTH,
        also=f"{_FACEBOOK}/hubert_large_ll60k.pt.",
        notes=_BIASES,
    ),
    _card(
        "hubert_xlarge",
        "HuBERT extra large, Libri-Light 60 000 h",
        "hf:facebook/hubert-xlarge-ll60k",
        XLARGE,
        licence=_BOTH,
        also=f"{_FACEBOOK}/hubert_xtralarge_ll60k.pt.",
        unverified=_BIASES_UNKNOWN,
    ),
    _card(
        "hubert_large_ls960_ft",
        "HuBERT large, fine-tuned for ASR on LibriSpeech 960 h",
        "hf:facebook/hubert-large-ls960-ft",
        LARGE,
        licence=_BOTH,
        also=f"{_FACEBOOK}/hubert_large_ll60k_finetune_ls960.pt.",
        notes=f"{_BIASES} 1.26 GB.",
    ),
    _card(
        "hubert_xlarge_ls960_ft",
        "HuBERT extra large, fine-tuned for ASR on LibriSpeech 960 h",
        "hf:facebook/hubert-xlarge-ls960-ft",
        XLARGE,
        licence=_BOTH,
        also=f"{_FACEBOOK}/hubert_xtralarge_ll60k_finetune_ls960.pt.",
        unverified=_BIASES_UNKNOWN,
    ),
    _card(
        "mhubert_vp_en_es_fr",
        "mHuBERT: HuBERT base, English, Spanish and French of VoxPopuli",
        f"{_FACEBOOK}/mhubert_base_vp_en_es_fr_it3.pt",
        BASE,
        paper=f"{_ARXIV}2112.08352",
        also=f"{_S3PRL}/mhubert_base_vp_en_es_fr_it3.pt.",
        unverified="that voidful/mhubert-base on Hugging Face holds the same weights",
    ),
    _card(
        "mhubert_147",
        "mHuBERT-147: HuBERT base, 147 languages",
        "hf:utter-project/mHuBERT-147",
        BASE_UNKNOWN_INPUT,
        paper=f"{_ARXIV}2406.06371",
        licence="CC BY-NC-SA 4.0",
        also="a fairseq checkpoint in the same repository; the iterations before it have repositories of their own.",
        unverified="normalisation",
    ),
    _card(
        "mhubert_25hz",
        "mHuBERT at 25 frames a second, of TWIST",
        "hf:slprl/mhubert-base-25hz",
        BASE_25_HZ,
        paper=f"{_ARXIV}2305.13009",
        notes="380 MB.",
        unverified="normalisation, and the kernel of the eighth convolution (2 is expected)",
    ),
    _card(
        "hubert_robust_mgr",
        "HuBERT base, adapted to noise and reverberation",
        f"{_S3PRL}/HuBERT_base_robust_mgr_best_loss_2.7821.pt",
        BASE,
        paper=f"{_ARXIV}2203.16104",
        licence="",
        unverified="licence, shape and normalisation",
    ),
    _card(
        "contentvec_100",
        "ContentVec: HuBERT base with the speaker taken out, 100 classes",
        f"{_S3PRL}/contentvec_km100.pt",
        BASE,
        paper=f"{_ARXIV}2204.09224",
        notes="Its authors' file is checkpoint_best_legacy_100.pt.",
    ),
    _card(
        "contentvec_500",
        "ContentVec: HuBERT base with the speaker taken out, 500 classes",
        "hf:lengyue233/content-vec-best",
        BASE,
        paper=f"{_ARXIV}2204.09224",
        notes="Its authors' file is checkpoint_best_legacy_500.pt.",
    ),
)

_AVES = (
    *(
        _aves(
            f"aves_{data}",
            f"AVES: HuBERT base, {hours} h of {words}",
            f"{_EARTH_SPECIES}/ported_aves/aves-base-{data}.torchaudio.pt",
            BASE_TORCHAUDIO,
        )
        for data, hours, words in (
            ("core", 153, "FSD50K and AudioSet"),
            ("bio", 360, "FSD50K, AudioSet and VGGSound, with animals"),
            ("nonbio", 360, "FSD50K, AudioSet and VGGSound, without animals"),
            ("all", 5054, "FSD50K, AudioSet and VGGSound"),
        )
    ),
    *(
        _aves(
            f"birdaves_{data}_{size}",
            f"BirdAVES: HuBERT {size}, AVES bio and {words}",
            f"{_EARTH_SPECIES}/birdaves/birdaves-{data}-{size}.torchaudio.pt",
            shape,
        )
        for data, size, words, shape in (
            ("biox", "base", "xeno-canto", BASE_TORCHAUDIO),
            ("biox", "large", "xeno-canto", LARGE_GROUP_TORCHAUDIO),
            ("bioxn", "large", "xeno-canto and iNaturalist", LARGE_GROUP_TORCHAUDIO),
        )
    ),
)

CARDS = (
    UpstreamCard(
        "hubert",
        _TARGET,
        "HuBERT: the encoder of wav2vec 2.0, base size (architecture)",
        paper=_PAPER,
        architecture=True,
        num_parameters=BASE.num_parameters,
        toy=WAVEFORM_TOY,
    ),
    *_HUBERT,
    *_AVES,
)
