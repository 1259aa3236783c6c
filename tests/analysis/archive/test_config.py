"""Settings of an index and of clusters: what makes no sense is one sentence."""

from __future__ import annotations

import pytest

from audiossl.analysis.archive.config import ClusterOptions, IndexOptions
from audiossl.core.errors import ConfigError


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ConfigError, match="--pool 'max': choose mean or statistics"):
        IndexOptions(pool="max")
    with pytest.raises(ConfigError, match="--method 'kmeans'"):
        ClusterOptions(method="kmeans")
    with pytest.raises(ConfigError, match="--num-clusters is for --method agglomerative"):
        ClusterOptions(num_clusters=3)
    with pytest.raises(ConfigError, match="at least 2 windows"):
        ClusterOptions(smallest=1)
