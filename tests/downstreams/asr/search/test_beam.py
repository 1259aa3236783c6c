"""Beam search against an exhaustive search, the best path and forced alignment; words, models and hot words."""

from __future__ import annotations

from itertools import groupby, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from audiossl.core.errors import ConfigError
from audiossl.data.text import TextConfig, TextUnits
from audiossl.downstreams.asr.search.beam import BeamSearch, Weights
from audiossl.downstreams.asr.search.config import DecodingConfig
from audiossl.downstreams.asr.search.ngrams import NgramModel, estimate, write_arpa
from audiossl.nn.alignment import align_classes

pytest.importorskip("flashlight.lib.text.decoder")

LETTERS = TextUnits(TextConfig(symbols=[" ", "a", "b", "c"]))
UNPRUNED: dict[str, Any] = {"beam_units": None, "threshold": None, "sure_blank": None}
WORDS = [line.split() for line in ("ab c", "c ab", "ab ab", "c", "ca ab")]


def emissions(num_steps: int, num_classes: int, seed: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((num_steps, num_classes)) * 2).log_softmax(-1)


def texts_of(log_probs: Tensor) -> dict[tuple[int, ...], float]:
    """The logarithm of the probability of every text, by all paths."""
    values, found = log_probs.double().numpy(), dict[tuple[int, ...], float]()
    for path in product(range(values.shape[1]), repeat=len(values)):
        text = tuple(number for number, _ in groupby(path) if number)
        score = float(sum(values[step, number] for step, number in enumerate(path)))
        found[text] = float(np.logaddexp(found.get(text, -np.inf), score))
    return found


def language_of(model: NgramModel, words: list[str]) -> float:
    padded = ["<s>", *words, "</s>"]
    tens = sum(model.log10_prob(word, padded[:place]) for place, word in enumerate(padded) if place)
    return tens * float(np.log(10))


@pytest.fixture
def arpa(tmp_path: Path) -> tuple[Path, NgramModel]:
    made = estimate(WORDS, 2)
    write_arpa(tmp_path / "lm.arpa", made)
    return tmp_path / "lm.arpa", made


@pytest.mark.parametrize("seed", range(5))
def test_without_words_it_is_an_exhaustive_search(seed: int) -> None:
    units = TextUnits(TextConfig(symbols=["a", "b", "c"]))
    log_probs = emissions(6, 4, seed)
    ranked = sorted(texts_of(log_probs).items(), key=lambda pair: -pair[1])
    search = BeamSearch(units, DecodingConfig("beam", beam=1000, nbest=5, **UNPRUNED), Weights(0.0, 0.0))
    for found, (text, score) in zip(search(log_probs), ranked, strict=False):
        assert found.text == "".join("abc"[number - 1] for number in text)
        assert found.score == pytest.approx(score, abs=1e-3)
        assert found.acoustic == pytest.approx(score, abs=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_with_words_and_a_model_it_is_an_exhaustive_search(arpa: tuple[Path, NgramModel], seed: int) -> None:
    path, model = arpa
    log_probs = emissions(6, 5, seed)
    weights = Weights(0.7, 0.5)
    scores: dict[str, tuple[float, float]] = {}
    for text, acoustic in texts_of(log_probs).items():
        spelled = "".join(" abc"[number - 1] for number in text)
        words = spelled.split()
        # No second writing of a text counts: spaces stand between words alone.
        if spelled == " ".join(words) and set(words) <= {"ab", "c", "ca"}:
            language = language_of(model, words)
            scores[spelled] = acoustic + 0.7 * language + 0.5 * len(words), language
    best = max(scores, key=lambda text: scores[text])
    config = DecodingConfig("beam", str(path), beam=1000, **UNPRUNED)
    (found,) = BeamSearch(LETTERS, config, weights)(log_probs)
    assert found.text == best
    assert found.language == pytest.approx(scores[best][1], abs=1e-3)


def test_of_sure_blanks_one_keeps_equal_units_apart() -> None:
    units = TextUnits(TextConfig(symbols=["a", "b"]))
    rows = [[0.997, 0.002, 0.001]] * 3 + [[0.1, 0.8, 0.1]] + [[0.997, 0.001, 0.002]] * 4 + [[0.2, 0.7, 0.1]]
    log_probs = torch.tensor(rows).log()
    plain, whole = (
        BeamSearch(units, DecodingConfig("beam", sure_blank=share), Weights(0.0, 0.0))(log_probs)[0]
        for share in (0.99, None)
    )
    assert (plain.text, plain.score) == (whole.text, whole.score) == ("aa", plain.acoustic)  # scored by all steps
    assert len(plain.classes) == len(rows)


@pytest.mark.parametrize("sure_blank", [0.0, 0.5, 1.0])
def test_pruning_leaves_a_text(arpa: tuple[Path, NgramModel], sure_blank: float) -> None:
    config = DecodingConfig("beam", str(arpa[0]), beam_units=1, threshold=0.1, sure_blank=sure_blank)
    (found,) = BeamSearch(LETTERS, config, Weights(0.5, 0.0))(emissions(12, 5, 0))
    assert len(found.classes) == 12
    assert found.score <= found.acoustic


@pytest.mark.parametrize("seed", range(8))
def test_it_is_never_worse_than_the_best_path(seed: int) -> None:
    log_probs = emissions(40, 5, seed)
    (found,) = BeamSearch(LETTERS, DecodingConfig("beam", beam=50), Weights(0.0, 0.0))(log_probs)
    best = [number for number, _ in groupby(log_probs.argmax(-1).tolist()) if number]
    loss = torch.nn.functional.ctc_loss(
        log_probs[:, None], torch.tensor(best), torch.tensor([40]), torch.tensor([len(best)]), reduction="sum"
    )
    assert found.acoustic >= -float(loss) - 1e-3


def test_times_are_those_of_forced_alignment(arpa: tuple[Path, NgramModel]) -> None:
    functional = pytest.importorskip("torchaudio.functional")
    log_probs = emissions(30, 5, 3).float()
    (found,) = BeamSearch(LETTERS, DecodingConfig("beam", str(arpa[0])), Weights(0.5, 0.0))(log_probs)
    text = [number for number, _ in groupby(found.classes.tolist()) if number]
    path, _ = functional.forced_align(log_probs[None], torch.tensor([text]), blank=0)
    ours = align_classes(log_probs[None], torch.tensor([30]), [text])
    assert torch.equal(found.classes, ours[0])
    assert torch.equal(path[0].long(), found.classes)


def test_hot_words_are_found_though_the_model_has_never_heard_them(arpa: tuple[Path, NgramModel]) -> None:
    spelled = "bac c"
    log_probs = torch.full((10, 5), 0.005)
    for step, letter in enumerate(spelled):
        log_probs[2 * step, " abc".index(letter) + 1] = 0.9
        log_probs[2 * step + 1, 0] = 0.9
    log_probs = (log_probs / log_probs.sum(-1, keepdim=True)).log()
    plain = BeamSearch(LETTERS, DecodingConfig("beam", str(arpa[0])), Weights(0.5, 0.0))
    assert "bac" not in plain(log_probs)[0].text
    hot = DecodingConfig("beam", str(arpa[0]), hot_words=["bac"])
    for weight in (0.5, 0.0):
        assert BeamSearch(LETTERS, hot, Weights(weight, 0.0))(log_probs)[0].text == spelled


def test_units_may_be_modelled_themselves(tmp_path: Path) -> None:
    letters = [["a", "b", "|", "a", "b"], ["a", "b"], ["c", "|", "a", "b"]]
    write_arpa(tmp_path / "units.arpa", estimate(letters, 3))
    config = DecodingConfig("beam", str(tmp_path / "units.arpa"), "none")
    flat = torch.full((5, 5), 0.2).log()
    assert BeamSearch(LETTERS, config, Weights(3.0, 2.0))(flat)[0].text in ("ab", "ab ab", "c ab")
    write_arpa(tmp_path / "words.arpa", estimate(WORDS, 2))
    with pytest.raises(ConfigError, match="words of .* are none of the units of this recogniser"):
        BeamSearch(LETTERS, DecodingConfig("beam", str(tmp_path / "words.arpa"), "none"), Weights(1.0, 0.0))


def test_a_lexicon_may_spell_and_silence_is_no_word(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("one a b\ntwo b a\n")
    units = TextUnits(TextConfig(kind="phones", symbols=["a", "b"]))
    search = BeamSearch(units, DecodingConfig("beam", lexicon=str(tmp_path / "words.txt")), Weights(0.0, 0.0))
    log_probs = torch.tensor([[0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.8, 0.1, 0.1]]).log()
    assert search(log_probs)[0].text == "a b"
    (empty,) = search(torch.tensor([[0.98, 0.01, 0.01]]).log())
    assert (empty.text, empty.classes.tolist()) == ("", [0])


def test_bad_models_and_lexicons_are_one_sentence(tmp_path: Path, arpa: tuple[Path, NgramModel]) -> None:
    path, _ = arpa
    write_arpa(tmp_path / "other.arpa", estimate([["XYZ", "QRS"]], 2))
    with pytest.raises(ConfigError, match=r"2 of 2 words of .*other.arpa cannot be spelled in the units"):
        BeamSearch(LETTERS, DecodingConfig("beam", str(tmp_path / "other.arpa")), Weights(1.0, 0.0))
    text = path.read_text().replace("ngram 2=", "ngram 2=9")
    path.write_text(text)
    with pytest.raises(ConfigError, match="The language model .* cannot be read"):
        BeamSearch(LETTERS, DecodingConfig("beam", str(path)), Weights(1.0, 0.0))
    with pytest.raises(ConfigError, match="The lexicon .* cannot be read"):
        BeamSearch(LETTERS, DecodingConfig("beam", lexicon=str(tmp_path / "no.txt")), Weights(1.0, 0.0))


def test_what_units_add_counts_once() -> None:
    units = TextUnits(TextConfig(symbols=["a", "b"]))
    weights = Weights(0.0, 0.7)
    (found,) = BeamSearch(units, DecodingConfig("beam", word_score=0.7), weights)(emissions(8, 3, 1))
    assert found.text
    assert found.language == 0.0
    assert found.score == pytest.approx(found.acoustic + 0.7 * len(found.text))


def test_a_word_that_cannot_be_spelled_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "words.txt").write_text("ab\nc\nxyz\n")
    BeamSearch(LETTERS, DecodingConfig("beam", lexicon=str(tmp_path / "words.txt")), Weights(0.0, 0.0))
    assert "1 of 3 words of" in caplog.text
    assert "'xyz'; they are never found" in caplog.text
