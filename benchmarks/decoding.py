"""Decoding of kept emissions: the best path, our search, and other libraries' on the same scores.

    audiossl evaluate RUN --keep-emissions --split train        # and dev and test
    audiossl lm train data/asterisk/train.jsonl.gz --run RUN --out lm.arpa
    python -m benchmarks.decoding --run RUN --lm lm.arpa --write

Every contestant has the same beam, model and weights. Word errors are of the split test. speechbrain's search has no
lexicon, and its score of words is its own, so that its errors are there to show that it works and are not compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from audiossl.data.text import TextUnits
from audiossl.downstreams.asr.search.beam import BeamSearch, Weights
from audiossl.downstreams.asr.search.config import DecodingConfig
from audiossl.downstreams.asr.search.decoding_again import emissions_of
from audiossl.metrics.error_rate import count_edits
from benchmarks.common import interleaved, parser, publish, table

Decode = Callable[[torch.Tensor], str]
WEIGHTS = Weights(1.0, 1.0)


def best_path_of(units: TextUnits) -> Decode:
    def decode(log_probs: torch.Tensor) -> str:
        kept = torch.unique_consecutive(log_probs.argmax(-1)).tolist()
        return units.decode([number - 1 for number in kept if number])

    return decode


def ours(units: TextUnits, config: DecodingConfig) -> Decode:
    search = BeamSearch(units, config, Weights(1.0, 0.0) if config.is_free else WEIGHTS)
    return lambda log_probs: search(log_probs)[0].text


def speechbrains(units: TextUnits, lm: str, beam: int) -> Decode:
    from speechbrain.decoders.ctc import CTCBeamSearcher

    names = ["<blank>", *(" " if symbol == " " else symbol for symbol in units.config.symbols)]
    searcher = CTCBeamSearcher(
        blank_index=0, vocab_list=names, kenlm_model_path=lm, space_token=" ", beam_size=beam, alpha=1.0, beta=1.0
    )

    def decode(log_probs: torch.Tensor) -> str:
        text: str = searcher(log_probs[None], torch.ones(1))[0][0].text
        return " ".join(text.replace("▁", " ").split())

    return decode


def pyctcdecodes(units: TextUnits, lm: str, beam: int) -> Decode:
    from pyctcdecode import build_ctcdecoder

    decoder: Any = build_ctcdecoder(["", *units.config.symbols], lm, alpha=1.0, beta=1.0)
    return lambda log_probs: str(decoder.decode(log_probs.numpy().astype(np.float32), beam_width=beam))


def main() -> None:
    made = parser(__doc__)
    made.set_defaults(rounds=3)
    made.add_argument("--run", type=Path, required=True, help="of asr, with emissions of the splits")
    made.add_argument("--lm", required=True, help="an ARPA file of words")
    made.add_argument("--splits", nargs="+", default=["train", "dev", "test"])
    made.add_argument("--beam", type=int, default=100)
    arguments = made.parse_args()
    torch.set_num_threads(1)
    found = {split: emissions_of(arguments.run, split) for split in arguments.splits}
    units = found[arguments.splits[0]].units
    rows = [row for split in found.values() for row in split.rows]
    sounds = [torch.as_tensor(row["log_probs"]) for row in rows]
    config = DecodingConfig("beam", arguments.lm, beam=arguments.beam)
    contestants: dict[str, Decode] = {
        "best path": best_path_of(units),
        "ours, words and model": ours(units, config),
        "ours, any text": ours(units, DecodingConfig("beam", beam=arguments.beam)),
    }
    for name, build in (("speechbrain", speechbrains), ("pyctcdecode", pyctcdecodes)):
        try:
            contestants[name] = build(units, arguments.lm, arguments.beam)
        except (ImportError, ValueError) as error:
            print(f"{name} is left out: {error}")
    seconds = sum(row["duration_s"] for row in rows)
    timed = interleaved(
        {name: _all(decode, sounds) for name, decode in contestants.items()}, arguments.rounds, warmup=0
    )
    base = timed["ours, words and model"].cpu
    lines = [
        [
            name,
            f"{timing.cpu / seconds:.5f}",
            f"{timing.cpu / base:.2f}",
            f"{100 * _word_errors(contestants[name], found['test'].rows):.1f}" if "test" in found else "",
        ]
        for name, timing in timed.items()
    ]
    publish(
        arguments,
        f"Decoding {seconds / 60:.0f} minutes of speech",
        f"{len(rows)} recordings, {sum(len(each) for each in sounds)} steps of {1 + len(units)} classes, beam "
        f"{arguments.beam}, one thread. CPU seconds for each second of sound, medians of {arguments.rounds} rounds.",
        table(["decoder", "CPU s a second", "times ours with words", "WER of test (%)"], lines),
    )


def _all(decode: Decode, sounds: Sequence[torch.Tensor]) -> Callable[[], object]:
    return lambda: [decode(each) for each in sounds]


def _word_errors(decode: Decode, rows: Sequence[Any]) -> float:
    edits = [count_edits(row["target"].split(), decode(torch.as_tensor(row["log_probs"])).split()) for row in rows]
    return sum(each.num_errors for each in edits) / sum(each.num_units for each in edits)


if __name__ == "__main__":
    main()
