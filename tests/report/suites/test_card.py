"""A card is what huggingface_hub reads from a README."""

from __future__ import annotations

from huggingface_hub import ModelCard
from toys.suite_results import KINDS

from audiossl.report.suites.card import card
from audiossl.report.suites.reading import SuiteResults
from audiossl.report.suites.standings import Standings


def test_the_hub_reads_what_was_measured(found: SuiteResults, ranked: Standings) -> None:
    read = ModelCard(card(found, ranked, "hf:models/wave-base"))
    assert read.data.model_name == "hf:models/wave-base"
    results = read.data.eval_results or []
    assert len(results) == len(KINDS)
    words = next(each for each in results if each.metric_type == "wer")
    figure = ranked.tasks["reading/words"].figures["hf:models/wave-base"].metric
    assert (words.task_type, words.task_name) == ("automatic-speech-recognition", "read English words")
    assert words.metric_value == round(figure.value, 6)
    assert words.metric_args is not None
    assert words.metric_args["interval_95"] == [round(figure.low or 0, 6), round(figure.high or 0, 6)]
    assert words.metric_args["interval_over"] == "10 speakers"
    trials = next(each for each in results if each.metric_type == "eer")
    assert (trials.dataset_name, trials.dataset_type, trials.dataset_split) == ("Toy Voices", "voices", "test")


def test_the_text_says_what_the_numbers_do_not(found: SuiteResults, ranked: Standings) -> None:
    said = card(found, ranked, "wave_large")
    assert "are said to be of Toy Commands too" in said
    assert "| one speaker or two | Toy Voices | eer (%) | 8.0 |" in said
    assert "Partial score (4 of 5 tasks)" in card(found, ranked, "hf:broken")
