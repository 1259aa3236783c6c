"""Names of the wav2vec2 family: wav2vec 2.0 and the models of its shape."""

from functools import partial

from audiossl.core.cards import UpstreamCard
from audiossl.encoders.waveform.cards import WAVEFORM_TOY, Shape, published_waveform_card

_TARGET = "audiossl.upstreams.wav2vec2.model:Wav2Vec2"
_ARXIV = "https://arxiv.org/abs/"
_PAPER = f"{_ARXIV}2006.11477"
_FAIRSEQ = "https://dl.fbaipublicfiles.com/fairseq/wav2vec"
_MMS = "https://dl.fbaipublicfiles.com/mms"
_TORCHAUDIO = "https://download.pytorch.org/torchaudio/models"
_MIT = "MIT"
_BOTH = "MIT; on Hugging Face Apache-2.0"
_NC = "CC BY-NC 4.0"

_GROUP = {"conv_norm": "group", "pre_norm": False}
_LAYER = {"conv_norm": "layer", "pre_norm": True, "conv_bias": True}
_768 = {"width": 768, "num_layers": 12, "num_heads": 12, "ffn_width": 3072}
_1024 = {"width": 1024, "num_layers": 24, "num_heads": 16, "ffn_width": 4096}
_1280 = {"width": 1280, "num_layers": 48, "num_heads": 16, "ffn_width": 5120}
_1920 = {"width": 1920, "num_layers": 48, "num_heads": 16, "ffn_width": 7680}
_NO_MASK = {"mask_embedding": False}  # torchaudio's files leave it out

BASE = Shape(94_371_712, "none", {**_768, **_GROUP})
BASE_TORCHAUDIO = Shape(94_370_944, "none", {**_768, **_GROUP, **_NO_MASK})
LARGE_GROUP = Shape(315_428_992, "none", {**_1024, **_GROUP})
LARGE = Shape(315_438_720, "layer_norm", {**_1024, **_LAYER})
LARGE_TORCHAUDIO = Shape(315_437_696, "layer_norm", {**_1024, **_LAYER, **_NO_MASK})
LARGE_UNKNOWN_NORMS = Shape(315_428_992, "", _1024)
XLARGE = Shape(962_497_408, "layer_norm", {**_1280, **_LAYER})
XLARGE_ADAPTERS = Shape(964_648_576, "layer_norm", {**_1280, **_LAYER, "adapter_width": 16})
XXLARGE = Shape(2_159_259_648, "layer_norm", {**_1920, **_LAYER})

_card = partial(published_waveform_card, target=_TARGET, paper=_PAPER, licence=_MIT)
_mms = partial(published_waveform_card, target=_TARGET, paper=f"{_ARXIV}2305.13516", licence=_NC)
_voxpopuli = partial(published_waveform_card, target=_TARGET, paper=f"{_ARXIV}2101.00390", licence=_NC)

_NO_REPOSITORY = "whether Hugging Face has it too"


def _repository(name: str) -> str:
    return f"that {name} on Hugging Face holds the same weights"


_ENGLISH = (
    _card(
        "wav2vec2_base",
        "wav2vec 2.0 base, LibriSpeech 960 h",
        "hf:facebook/wav2vec2-base",
        BASE,
        also=f"{_FAIRSEQ}/wav2vec_small.pt.",
        preprocessor=True,
        notes="378 MB.",
        licence=_BOTH,
    ),
    _card(
        "wav2vec2_base_10m",
        "wav2vec 2.0 base, fine-tuned for ASR on 10 minutes",
        f"{_FAIRSEQ}/wav2vec_small_10m.pt",
        BASE,
        unverified=_NO_REPOSITORY,
    ),
    _card(
        "wav2vec2_base_100h",
        "wav2vec 2.0 base, fine-tuned for ASR on 100 h",
        "hf:facebook/wav2vec2-base-100h",
        BASE,
        also=f"{_FAIRSEQ}/wav2vec_small_100h.pt.",
    ),
    _card(
        "wav2vec2_base_960h",
        "wav2vec 2.0 base, fine-tuned for ASR on 960 h",
        "hf:facebook/wav2vec2-base-960h",
        BASE,
        also=f"{_FAIRSEQ}/wav2vec_small_960h.pt.",
        preprocessor=True,
    ),
    _card(
        "wav2vec2_large",
        "wav2vec 2.0 large, LibriSpeech 960 h",
        "hf:facebook/wav2vec2-large",
        LARGE_GROUP,
        also=f"{_FAIRSEQ}/libri960_big.pt.",
        preprocessor=True,
        licence=_BOTH,
    ),
    *(
        _card(
            f"wav2vec2_large_{hours}",
            f"wav2vec 2.0 large, fine-tuned for ASR on {words}",
            f"{_FAIRSEQ}/wav2vec_big_{hours}.pt",
            LARGE_GROUP,
            unverified=_NO_REPOSITORY,
        )
        for hours, words in (("10m", "10 minutes"), ("100h", "100 h"))
    ),
    _card(
        "wav2vec2_large_960h",
        "wav2vec 2.0 large, fine-tuned for ASR on 960 h",
        "hf:facebook/wav2vec2-large-960h",
        LARGE_GROUP,
        also=f"{_FAIRSEQ}/wav2vec_big_960h.pt.",
        licence=_BOTH,
    ),
    _card(
        "wav2vec2_large_lv60",
        "wav2vec 2.0 large, Libri-Light 60 000 h",
        "hf:facebook/wav2vec2-large-lv60",
        LARGE,
        also=f"{_FAIRSEQ}/wav2vec_vox_new.pt.",
    ),
    *(
        _card(
            f"wav2vec2_lv60_{hours}",
            f"wav2vec 2.0 large of Libri-Light, fine-tuned for ASR on {words}",
            f"{_FAIRSEQ}/wav2vec_vox_{hours}_new.pt",
            LARGE,
            unverified=_NO_REPOSITORY,
        )
        for hours, words in (("10m", "10 minutes"), ("100h", "100 h"))
    ),
    _card(
        "wav2vec2_lv60_960h",
        "wav2vec 2.0 large of Libri-Light, fine-tuned for ASR on 960 h",
        "hf:facebook/wav2vec2-large-960h-lv60",
        LARGE,
        also=f"{_FAIRSEQ}/wav2vec2_vox_960h_new.pt.",
        licence=_BOTH,
    ),
    _card(
        "wav2vec2_lv60_960h_self",
        "wav2vec 2.0 large of Libri-Light, self-trained and fine-tuned for ASR on 960 h",
        f"{_FAIRSEQ}/wav2vec_vox_960h_pl.pt",
        LARGE,
        paper=f"{_ARXIV}2010.11430",
        notes="wav2vec_vox_10m_pl.pt and wav2vec_vox_100h_pl.pt lie beside it.",
        unverified=_repository("facebook/wav2vec2-large-960h-lv60-self"),
    ),
    _card(
        "wav2vec2_robust",
        "wav2vec 2.0 large, Libri-Light, Fisher, Switchboard and Common Voice",
        "hf:facebook/wav2vec2-large-robust",
        LARGE,
        paper=f"{_ARXIV}2104.01027",
        also=f"{_FAIRSEQ}/w2v_large_lv_fsh_swbd_cv.pt.",
        unverified="the shape (that of wav2vec2_large_lv60 is expected)",
    ),
    *(
        _card(
            f"wav2vec2_robust_ft_{name}",
            f"wav2vec2_robust, fine-tuned for ASR on {words}",
            f"{_FAIRSEQ}/w2v_large_lv_fsh_swbd_cv_{file}_updated.pt",
            LARGE,
            paper=f"{_ARXIV}2104.01027",
            unverified=f"the shape (that of wav2vec2_large_lv60 is expected), and {_repository(repository)}",
        )
        for name, file, words, repository in (
            ("ls960", "ftls960", "LibriSpeech 960 h", "facebook/wav2vec2-large-robust-ft-libri-960h"),
            ("swbd", "ftsb300", "Switchboard 300 h", "facebook/wav2vec2-large-robust-ft-swbd-300h"),
        )
    ),
)

_MULTILINGUAL = (
    _card(
        "xlsr_53",
        "XLSR-53: wav2vec 2.0 large, 56 000 h of 53 languages",
        "hf:facebook/wav2vec2-large-xlsr-53",
        LARGE,
        paper=f"{_ARXIV}2006.13979",
        also=f"{_FAIRSEQ}/xlsr_53_56k.pt.",
    ),
    _card(
        "xlsr_53_espeak",
        "XLSR-53, fine-tuned for phones of 26 languages",
        f"{_FAIRSEQ}/zero_shot/espeak_26lang_m10.pt",
        LARGE,
        paper=f"{_ARXIV}2109.11680",
        unverified=f"the shape, and {_repository('facebook/wav2vec2-xlsr-53-espeak-cv-ft')}",
    ),
    *(
        _card(
            f"xls_r_{size}",
            f"XLS-R: wav2vec 2.0 with {blocks} blocks of {width}, 128 languages",
            f"hf:facebook/wav2vec2-xls-r-{size}",
            shape,
            paper=f"{_ARXIV}2111.09296",
            licence="Apache-2.0",
            also=f"{_FAIRSEQ}/{file}.",
            notes=notes,
            unverified=unverified,
        )
        for size, blocks, width, shape, file, notes, unverified in (
            ("300m", 24, 1024, LARGE, "xlsr2_300m.pt", "1.27 GB.", ""),
            ("1b", 48, 1280, XLARGE, "xlsr2_960m_1000k.pt", "", "the licence (that of xls_r_300m is given)"),
            ("2b", 48, 1920, XXLARGE, "xlsr2_2B_1000k.pt", "", "the licence (that of xls_r_300m is given)"),
        )
    ),
    _card(
        "xls_r_300m_voxlingua",
        "XLS-R 300M, fine-tuned to identify the 107 languages of VoxLingua",
        f"{_FAIRSEQ}/xlsr_300m_voxlingua107_ft.pt",
        LARGE,
        paper=f"{_ARXIV}2111.09296",
        unverified=f"the shape, and {_NO_REPOSITORY}",
    ),
    _card(
        "unispeech_large",
        "UniSpeech large, Common Voice 1500 h with phone labels",
        "hf:microsoft/unispeech-large-1500h-cv",
        LARGE,
        paper=f"{_ARXIV}2101.07597",
        licence="CC BY-SA 3.0 (repository)",
    ),
)

_MMS_CARDS = (
    _mms(
        "mms_300m",
        "MMS: wav2vec 2.0 large, over 1400 languages",
        "hf:facebook/mms-300m",
        LARGE,
        also=f"{_MMS}/pretraining/base_300m.pt.",
    ),
    _mms(
        "mms_1b",
        "MMS: wav2vec 2.0 with 48 blocks of 1280, over 1400 languages",
        "hf:facebook/mms-1b",
        XLARGE,
        also=f"{_MMS}/pretraining/base_1b.pt.",
    ),
    *(
        _mms(
            f"mms_1b_{name}",
            f"MMS 1B, fine-tuned for ASR in {languages} languages, with the English adapters",
            f"hf:facebook/mms-1b-{name}",
            shape,
            also=f"{_MMS}/asr/mms1b_{name}.pt, a file that stacks the adapters of all languages, which is not read.",
            unverified=unverified,
        )
        for name, languages, shape, unverified in (
            ("fl102", 102, XLARGE, "the width of the adapters, which num_parameters leaves out"),
            ("l1107", 1107, XLARGE, "the width of the adapters, which num_parameters leaves out"),
            ("all", 1162, XLARGE_ADAPTERS, ""),
        )
    ),
    *(
        _mms(
            f"mms_lid_{languages}",
            f"MMS 1B, fine-tuned to identify {languages} languages",
            f"hf:facebook/mms-lid-{languages}",
            XLARGE,
            also=f"{_MMS}/lid/mms1b_l{languages}.pt.",
        )
        for languages in (126, 256, 512, 1024, 2048, 4017)
    ),
    _mms(
        "mms_fa",
        "MMS 300M, fine-tuned for forced alignment on romanised text",
        f"{_MMS}/torchaudio/ctc_alignment_mling_uroman/model.pt",
        LARGE_TORCHAUDIO,
        also="torchaudio:MMS_FA.",
    ),
)

_VOXPOPULI = (
    _voxpopuli(
        "voxpopuli_large_100k",
        "wav2vec 2.0 large, VoxPopuli 100 000 h",
        "hf:facebook/wav2vec2-large-100k-voxpopuli",
        LARGE_UNKNOWN_NORMS,
        also="https://dl.fbaipublicfiles.com/voxpopuli/models/wav2vec2_large_100k.pt.",
        notes="1.26 GB.",
        unverified="norms, biases of the stem (num_parameters is that of the base style) and normalisation",
    ),
    *(
        _voxpopuli(
            f"voxpopuli_base_10k_{language}",
            f"wav2vec 2.0 base, VoxPopuli 10 000 h, fine-tuned for ASR in {name}",
            f"{_TORCHAUDIO}/wav2vec2_voxpopuli_base_10k_asr_{language}.pt",
            BASE_TORCHAUDIO,
            also=f"torchaudio:VOXPOPULI_ASR_BASE_10K_{language.upper()}.",
            unverified=_repository(f"facebook/wav2vec2-base-10k-voxpopuli-ft-{language}"),
        )
        for language, name in (
            ("de", "German"),
            ("en", "English"),
            ("es", "Spanish"),
            ("fr", "French"),
            ("it", "Italian"),
        )
    ),
)

CARDS = (
    UpstreamCard(
        "wav2vec2",
        _TARGET,
        "wav2vec 2.0: convolutional stem and Transformer, base size (architecture)",
        paper=_PAPER,
        architecture=True,
        num_parameters=BASE.num_parameters,
        toy=WAVEFORM_TOY,
    ),
    *_ENGLISH,
    *_MULTILINGUAL,
    *_MMS_CARDS,
    *_VOXPOPULI,
)
