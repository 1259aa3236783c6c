"""Names of wav2vec and vq-wav2vec."""

from functools import partial

from audiossl.core.cards import UpstreamCard

_TARGET = "audiossl.upstreams.wav2vec.model:Wav2Vec"
_WAV2VEC, _VQ = "https://arxiv.org/abs/1904.05862", "https://arxiv.org/abs/1910.05453"
_FAIRSEQ = "https://dl.fbaipublicfiles.com/fairseq/wav2vec"

_VQ_SHAPE = {
    "conv_widths": (512,) * 8,
    "conv_kernels": (10, 8, 4, 4, 4, 1, 1, 1),
    "conv_strides": (5, 4, 2, 2, 2, 1, 1, 1),
    "activation": "gelu",
    "log_compression": False,
}
_TOY = {
    "conv_widths": (16,) * 3,
    "conv_kernels": (10, 8, 4),
    "conv_strides": (10, 8, 2),
    "codes": 8,
    "code_width": 16,
    "logits_width": 16,
    "aggregator_kernels": (2, 3),
    "width": 16,
}
_GUMBEL, _KMEANS = {**_VQ_SHAPE, "quantizer": "gumbel"}, {**_VQ_SHAPE, "quantizer": "kmeans"}

_card = partial(UpstreamCard, target=_TARGET, objective="cpc", toy=_TOY)

CARDS = (
    _card(
        "wav2vec",
        summary="wav2vec: 7 convolutions, then 12 causal ones, all of 512 (architecture)",
        paper=_WAV2VEC,
        architecture=True,
        num_parameters=29_390_848,
        notes="Options: quantizer=gumbel or kmeans.",
    ),
    _card(
        "wav2vec_large",
        summary="wav2vec large, LibriSpeech 960 h",
        paper=_WAV2VEC,
        weights=f"{_FAIRSEQ}/wav2vec_large.pt",
        licence="MIT",
        num_parameters=29_390_848,
        notes="Trained on waveforms as they are. With what predicts, which is left behind, 32.5 million parameters.",
    ),
    _card(
        "vq_wav2vec",
        summary="vq-wav2vec by a Gumbel softmax, 2 groups of 320 codes, LibriSpeech 960 h",
        paper=_VQ,
        options=_GUMBEL,
        weights=f"{_FAIRSEQ}/vq-wav2vec.pt",
        licence="MIT",
        num_parameters=30_917_248,
        notes="Trained on waveforms as they are.",
        unverified="the shape of the file (that of its published training is expected)",
    ),
    _card(
        "vq_wav2vec_kmeans",
        summary="vq-wav2vec by nearest entries, 2 groups of 320 codes, LibriSpeech 960 h",
        paper=_VQ,
        options=_KMEANS,
        weights=f"{_FAIRSEQ}/vq-wav2vec_kmeans.pt",
        licence="MIT",
        num_parameters=29_868_032,
        notes="Trained on waveforms as they are.",
        unverified="the shape of the file (that of its published training is expected)",
    ),
)
