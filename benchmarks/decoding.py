"""Decoding of kept emissions: the best path, our search, and other libraries' on the same scores.

    audiossl evaluate RUN --keep-emissions --split train        # and dev and test
    audiossl lm train data/asterisk/train.jsonl.gz --run RUN --out lm.arpa
    python -m benchmarks.decoding --run RUN --lm lm.arpa --write

Every contestant has the same beam, model and weights. Word errors are of dev and test, which nothing was trained on.
Differences are from our search with nothing pruned but by its beam, over the same recordings, on which alone
that one is timed. speechbrain's search and pyctcdecode's have no lexicon, and their scores of words are their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch

from audiossl.data.text import TextUnits
from audiossl.downstreams.asr.search.beam import BeamSearch, Weights
from audiossl.downstreams.asr.search.config import DecodingConfig
from audiossl.downstreams.asr.search.decoding_again import emissions_of
from audiossl.metrics.error_rate import count_edits
from audiossl.metrics.ratios import paired_difference, score_ratio
from benchmarks.common import interleaved, parser, publish, table

Decode = Callable[[torch.Tensor], str]
WEIGHTS = Weights(1.0, 1.0)
OURS, WHOLE = "ours, words and model", "ours, nothing pruned"
WHOLE_TEXT = "ours, any text, nothing pruned"
HELD_OUT = ("dev", "test")
UNPRUNED: dict[str, Any] = {"beam_units": None, "threshold": None, "sure_blank": None}


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

    decoder: Any = build_ctcdecoder(["", *units.config.symbols], lm or None, alpha=1.0, beta=1.0)
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
    with_model: dict[str, Any] = {"method": "beam", "lm": arguments.lm, "beam": arguments.beam}
    any_text = {**with_model, "lm": ""}
    contestants: dict[str, Decode] = {
        "best path": best_path_of(units),
        OURS: ours(units, DecodingConfig(**with_model)),
        "ours, any text": ours(units, DecodingConfig(**any_text)),
    }
    references: dict[str, Decode] = {
        WHOLE: ours(units, DecodingConfig(**with_model, **UNPRUNED)),
        WHOLE_TEXT: ours(units, DecodingConfig(**any_text, **UNPRUNED)),
    }
    for name, build, lm in (
        ("speechbrain, model", speechbrains, arguments.lm),
        ("pyctcdecode, model", pyctcdecodes, arguments.lm),
        ("pyctcdecode, any text", pyctcdecodes, ""),
    ):
        try:
            contestants[name] = build(units, lm, arguments.beam)
        except (ImportError, ValueError) as error:
            print(f"{name} is left out: {error}")
    seconds = sum(row["duration_s"] for row in rows)
    timed = interleaved(
        {name: _all(decode, sounds) for name, decode in contestants.items()}, arguments.rounds, warmup=0
    )
    held_out = [row for split in HELD_OUT for row in found[split].rows]
    cpu = {name: timing.cpu / seconds for name, timing in timed.items()}
    errors = {}
    for name, decode in {**contestants, **references}.items():
        begun = process_time()
        errors[name] = _word_errors(decode, held_out)
        cpu.setdefault(name, (process_time() - begun) / sum(row["duration_s"] for row in held_out))
    lines = [
        [name, f"{each:.5f}", f"{each / cpu[OURS]:.2f}", *_told(errors, name, held_out)] for name, each in cpu.items()
    ]
    publish(
        arguments,
        f"Decoding {seconds / 60:.0f} minutes of speech",
        f"{len(rows)} recordings, {sum(len(each) for each in sounds)} steps of {1 + len(units)} classes, beam "
        f"{arguments.beam}, one thread. CPU seconds for each second of sound, medians of {arguments.rounds} rounds "
        f"(with nothing pruned, once over dev and test). WER of the {len(held_out)} recordings of dev and test, with "
        "95 % intervals over them, and its difference from the same search with nothing pruned but by the beam.",
        table(["decoder", "CPU s a second", "times ours", "WER (%)", "minus nothing pruned"], lines),
    )


def _all(decode: Decode, sounds: Sequence[torch.Tensor]) -> Callable[[], object]:
    return lambda: [decode(each) for each in sounds]


def _word_errors(decode: Decode, rows: Sequence[Any]) -> list[int]:
    """Of each row."""
    return [
        count_edits(row["target"].split(), decode(torch.as_tensor(row["log_probs"])).split()).num_errors for row in rows
    ]


def _told(errors: Mapping[str, Sequence[int]], name: str, rows: Sequence[Any]) -> list[str]:
    """The cells of a contestant: its word error rate, and its difference from the search with nothing pruned."""
    words = [len(row["target"].split()) for row in rows]
    rate = score_ratio(errors[name], words)
    told = f"{100 * rate.value:.1f} [{_percent(rate.low)}, {_percent(rate.high)}]"
    whole = WHOLE_TEXT if "any text" in name else WHOLE
    if name in (whole, "best path"):
        return [told, ""]
    gap = paired_difference(errors[name], errors[whole], units=words)
    return [told, f"{100 * gap.value:+.1f} [{_percent(gap.low, '+')}, {_percent(gap.high, '+')}]"]


def _percent(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{100 * value:{sign}.1f}"


if __name__ == "__main__":
    main()
