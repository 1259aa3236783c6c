"""Names of the data2vec family."""

from audiossl.cards import UpstreamCard

CARDS = (UpstreamCard("data2vec", "audiossl.upstreams.data2vec.model:Data2Vec", "data2vec (architecture)", architecture=True),)
