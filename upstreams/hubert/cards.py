"""Names of the hubert family."""

from audiossl.cards import UpstreamCard

CARDS = (UpstreamCard("hubert", "audiossl.upstreams.hubert.model:Hubert", "hubert (architecture)", architecture=True),)
