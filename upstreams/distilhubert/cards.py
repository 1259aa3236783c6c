"""Names of the distilhubert family."""

from audiossl.cards import UpstreamCard

CARDS = (UpstreamCard("distilhubert", "audiossl.upstreams.distilhubert.model:DistilHubert", "distilhubert (architecture)", architecture=True),)
