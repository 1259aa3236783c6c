"""Expectation maximisation: the likelihood never falls, and what was drawn is found."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from audiossl.nn.factor_fitting import FactorConfig, Totals, fit_factors
from audiossl.nn.factors import FactorAnalysis
from audiossl.nn.kmeans import nearest_centre

WIDTH, CLUSTERS, RANK, FRAMES = 4, 3, 2, 12


class Corpus:
    """Utterances drawn from a model, of which one cluster may have no frame."""

    def __init__(self, seed: int, num_utterances: int = 20, *, empty: bool = False, speakers: int = 0) -> None:
        draw = torch.Generator().manual_seed(seed)
        self.centres = 5 * torch.randn(CLUSTERS, WIDTH, generator=draw)
        loadings = torch.randn(CLUSTERS, WIDTH, RANK, generator=draw)
        self.factors = torch.randn(num_utterances, RANK, generator=draw)
        if speakers:
            self.factors = self.factors[torch.arange(num_utterances) % speakers]
        units = torch.randint(CLUSTERS - empty, (num_utterances, FRAMES), generator=draw)
        noise = 0.3 * torch.randn(num_utterances, FRAMES, WIDTH, generator=draw)
        self.x = self.centres[units] + torch.einsum("utdr,ur->utd", loadings[units], self.factors) + noise
        if empty:
            self.centres[-1] = 1e3
        labels = nearest_centre(self.x, self.centres)
        offsets = self.x - self.centres[labels]
        aligned = torch.nn.functional.one_hot(labels, CLUSTERS).float()
        self.counts, self.sums = aligned.sum(1), aligned.mT @ offsets
        squares = (aligned.mT @ offsets.square()).sum(0).double()
        self.totals = Totals(self.counts.sum(0).double(), self.sums.sum(0).double(), squares)

    def read(self) -> Iterator[tuple[Tensor, Tensor]]:
        for part in (slice(7), slice(7, None)):
            yield self.counts[part], self.sums[part]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.booleans())
def test_the_likelihood_never_falls(seed: int, minimum_divergence: bool, empty: bool) -> None:
    corpus = Corpus(seed, empty=empty)
    config = FactorConfig(rank=RANK, iterations=6, minimum_divergence=minimum_divergence, seed=seed)
    found = fit_factors(corpus.centres, corpus.totals, corpus.read, config).log_likelihoods
    assert len(found) == 7
    assert all(later >= earlier - 1e-9 * abs(earlier) for earlier, later in pairwise(found))


@torch.no_grad()
def test_the_likelihood_is_the_evidence_and_factors_are_found() -> None:
    corpus = Corpus(0, num_utterances=60)
    found = fit_factors(corpus.centres, corpus.totals, corpus.read, FactorConfig(rank=RANK, iterations=15))
    model = FactorAnalysis(WIDTH, CLUSTERS, RANK)
    model.adopt(found.parameters)
    lengths = torch.full((60,), FRAMES)
    evidence = float(model.evidence(corpus.x, lengths).double().sum()) / (60 * FRAMES)
    assert evidence == pytest.approx(found.log_likelihoods[-1], abs=1e-4)
    # Factors are known up to a rotation.
    estimated = model(corpus.x, lengths)
    rotation = torch.linalg.lstsq(estimated, corpus.factors).solution
    assert float((estimated @ rotation - corpus.factors).square().mean()) < 0.1


@torch.no_grad()
def test_factors_tell_speakers_that_means_do_not() -> None:
    corpus, speakers = Corpus(0, num_utterances=80, speakers=8), torch.arange(80) % 8
    found = fit_factors(corpus.centres, corpus.totals, corpus.read, FactorConfig(rank=RANK, iterations=15))
    model = FactorAnalysis(WIDTH, CLUSTERS, RANK)
    model.adopt(found.parameters)

    def nearest(vectors: Tensor) -> float:
        away = torch.cdist(vectors, vectors).fill_diagonal_(torch.inf)
        return float((speakers[away.argmin(dim=1)] == speakers).float().mean())

    assert nearest(model(corpus.x, torch.full((80,), FRAMES))) > 0.9 > 0.7 > nearest(corpus.x.mean(dim=1))


def test_a_cluster_without_frames_says_nothing() -> None:
    corpus = Corpus(1, empty=True)
    found = fit_factors(corpus.centres, corpus.totals, corpus.read, FactorConfig(rank=RANK)).parameters
    assert not found.loadings[-1].any()
    assert bool((found.variances > 0).all()) and torch.equal(found.means[-1], corpus.centres[-1])
