"""Speech recognition with CTC (Graves et al., 2006) on hidden states, as in SUPERB's ASR (arXiv:2105.01051)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

import torch
from lhotse.cut import Cut
from torch import Tensor, nn

from audiossl.core.errors import ConfigError, LabelError
from audiossl.core.ranges import NonNegative, Positive
from audiossl.core.types import Batch, Loss, Metric, Table
from audiossl.data.fields import read_field, rows_without
from audiossl.data.reading import num_samples_of
from audiossl.data.text import TextConfig, TextError, TextUnits, UnknownSymbolError, fit_units
from audiossl.downstreams.asr.augmentation import SpecAugmentConfig, spec_augment
from audiossl.downstreams.asr.decoding import Clock
from audiossl.downstreams.asr.heads import CtcHead, HeadConfig, frames_joined
from audiossl.downstreams.asr.long import Recogniser, long_log_probs
from audiossl.downstreams.asr.normalizers import check_name, compared
from audiossl.downstreams.asr.search.config import DecodingConfig
from audiossl.downstreams.asr.search.decoder import Decoder
from audiossl.downstreams.asr.transcripts import TranscriptJudge
from audiossl.encoders.long_audio import fitting_chunks
from audiossl.encoders.upstream import Upstream
from audiossl.nn.alignment import steps_needed
from audiossl.training.downstream import Downstream
from audiossl.training.interface import Interface
from audiossl.training.task import Monitor, Prediction, RowsOf

_CROP_S = 0.05  # by how much a supervision may exceed its row before the row counts as a part of what was said


@dataclass(frozen=True)
class AsrConfig:
    """Units, head and augmentation."""

    text_field: str = "text"
    """What is recognised: 'text' (the transcript) or another column of the manifest."""
    text: TextConfig = field(default_factory=TextConfig)
    """Units, and the normalisation of transcripts."""
    head: HeadConfig = field(default_factory=HeadConfig)
    """From the sequence to a score for every unit."""
    spec_augment: SpecAugmentConfig = field(default_factory=SpecAugmentConfig)
    """Masks of the sequence in training."""
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    """How scores become text. It may be changed at any evaluation."""
    normalizer: str = ""
    """What is done to transcripts and to what was recognised before they are compared: a normaliser of the package
    whisper-normalizer, such as whisper-english, or whisper-basic for any language. Empty for `text` alone. It may be
    changed at any evaluation."""
    folding: dict[str, str] = field(default_factory=dict)
    """What units count as when they are compared, such as {ax: ah, q: ''} for phones that are trained apart and scored
    as one. '' for nothing. Empty for units as they are. It may be changed at any evaluation."""
    unknown_symbols: Literal["error", "count"] = "error"
    """What a symbol outside the units is in the transcripts that are scored: an 'error' that names it, or 'count', an
    error of the recogniser like any other. In training it is always the former."""
    average: Literal["units", "items"] = "units"
    """Over what the loss is a mean: all 'units' of a step's targets, or 'items', each divided by its number of units,
    so that a unit of a short target counts for more (torch's and SUPERB's mean)."""
    append_space: bool = False
    """Whether a space ends every target, as in SUPERB."""
    append_eos: bool = False
    """Whether an end of sentence, a class of its own, comes after that."""
    longest_s: Positive | None = 60.0
    """Longer recordings are recognised in windows. Null for always whole."""
    window_s: Positive = 30.0
    """Seconds of such a window."""
    overlap_s: NonNegative = 5.0
    """Seconds that neighbouring windows share."""

    def __post_init__(self) -> None:
        check_name(self.normalizer)
        if self.normalizer and self.text.kind == "phones":
            raise ConfigError(f"task.normalizer={self.normalizer} is for words, and text.kind is phones; leave it out.")
        if self.folding and self.text.kind != "phones":
            raise ConfigError(f"task.folding is for text.kind=phones, and this is {self.text.kind!r}; leave it out.")
        moved = {old: new for old, new in self.folding.items() if old != new}
        if chained := sorted(moved.keys() & moved.values()):
            raise ConfigError(
                f"task.folding makes {chained[0]!r} of a unit, and {moved[chained[0]]!r} of that; name what the first "
                f"counts as in the end."
            )
        if self.append_space and self.text.kind != "characters":
            raise ConfigError(f"append_space needs text.kind=characters, and this is {self.text.kind!r}.")
        if not 0 <= self.overlap_s < self.window_s or (self.longest_s or self.window_s) < self.window_s:
            raise ConfigError(
                f"window_s={self.window_s:g}, overlap_s={self.overlap_s:g}, longest_s={self.longest_s}: a window must "
                f"be longer than the overlap and no longer than longest_s."
            )


class Asr(Downstream):
    """A head over units and the blank, trained with CTC, decoded by the best path or by a search.

    While training, dev is decoded by the best path, whatever the configuration says. Judge: what scores predictions.
    """

    Config: ClassVar[Any] = AsrConfig
    Judge: ClassVar[type[TranscriptJudge]] = TranscriptJudge
    monitor = Monitor("wer", "min")

    def __init__(self, upstream: Upstream, interface: Interface, config: AsrConfig) -> None:
        super().__init__(upstream, interface)
        self.config, self.units = config, TextUnits(config.text)
        if not len(self.units):
            raise ConfigError(
                "text.symbols: a recogniser needs units; `complete` takes them from training transcripts."
            )
        self.judge, self.decoder = self.Judge(self.units), Decoder(self.units, config.decoding)
        if config.normalizer and self.Judge is not TranscriptJudge:
            raise ConfigError(f"task.normalizer={config.normalizer} is for plain transcripts; leave it out.")
        self._best_path, self._emits, self._trains = Decoder(self.units, DecodingConfig()), False, False
        self.monitor = self.judge.monitor
        joined = frames_joined(config.head.frame_s, upstream.frame_rate_hz)
        num_classes = 1 + len(self.units) + config.append_eos
        self.head = CtcHead(interface.width, num_classes, joined, config.head)

    @classmethod
    def complete(cls, config: AsrConfig, cuts: Iterable[Cut]) -> AsrConfig:
        """Fill in the units from the training transcripts. Raises LabelError for one that cannot be written in them."""
        plain, rows = TextUnits(config.text), list(cuts)
        if all(read_field(cut, config.text_field) is None for cut in rows):
            cls._check_texts(config, rows, "training")
        tokens = [
            _named(cut, "training", plain.tokens, said)
            for cut in rows
            if (said := read_field(cut, config.text_field)) is not None
        ]
        text = fit_units(config.text, tokens)
        if config.append_space and " " not in text.symbols:  # no training item has two words
            text = replace(text, symbols=[" ", *text.symbols])
        config = replace(config, text=text)
        units = TextUnits(config.text)
        for cut in rows:
            if (said := read_field(cut, config.text_field)) is not None:
                _named(cut, "training", units.encode, said)
        return config

    def check_cuts(self, cuts: Iterable[Cut], where: str) -> None:
        """Raises LabelError for a row without a transcript, or with one outside the units or the lexicon.

        Before training also for one that CTC cannot align: with more units, and a blank between equal neighbours, than
        there are steps.
        """
        rows = list(cuts)
        self._check_texts(self.config, rows, where)
        for cut in rows:
            try:
                target = self.target(cut, where)
            except UnknownSymbolError:
                if self.config.unknown_symbols == "error":
                    raise
                continue  # no training row, as `complete` has seen those, and nothing else is aligned
            if self.training and getattr(cut, "recording", None) is not None:
                samples = num_samples_of(cut, self.upstream.sample_rate_hz)
                self._check_length(cut, where, target, self.head.num_steps(self.upstream.num_frames(samples)))

    @staticmethod
    def _check_texts(config: AsrConfig, cuts: Sequence[Cut], where: str) -> None:
        if lacking := rows_without(cuts, config.text_field, where):
            raise LabelError(
                f"{lacking}; fill it in, drop them, or set task.text_field to the column that holds the transcripts."
            )

    @property
    def longest_s(self) -> float | None:
        """As set, and no more than the encoder reads."""
        most = self.upstream.max_samples
        limits = [self.config.longest_s, None if most is None else most / self.upstream.sample_rate_hz]
        return min((limit for limit in limits if limit is not None), default=None)

    def target(self, cut: Cut, where: str = "training") -> list[int]:
        """The classes that the transcript of a row is. Raises LabelError, which says where the row is."""
        numbers = [1 + number for number in _named(cut, where, self.units.encode, self._text(cut))]
        if self.config.append_space:
            numbers.append(1 + self.units.index[" "])
        return [*numbers, 1 + len(self.units)] if self.config.append_eos else numbers

    def loss(self, batch: Batch) -> Loss:
        """CTC, a mean over the units or the items."""
        x, lengths = self.sequence(batch)
        if self.training:
            epoch = batch.position.epoch if batch.position else 0
            x = spec_augment(x, lengths.tolist(), [cut.id for cut in batch.cuts], epoch, self.config.spec_augment)
        log_probs, steps = self.head.log_probs(x, lengths)
        targets = [self.target(cut) for cut in batch.cuts]
        for cut, target, available in zip(batch.cuts, targets, steps.tolist(), strict=True):
            _check_whole(cut)
            self._check_length(cut, "training", target, available)
        sizes = torch.tensor([len(target) for target in targets])
        flat = torch.tensor([number for target in targets for number in target])
        losses = nn.functional.ctc_loss(
            log_probs.transpose(0, 1), flat.to(x.device), steps.cpu(), sizes, reduction="none"
        )
        units = sizes.to(losses)
        if self.config.average == "units":
            return Loss(losses.sum() / units.sum(), units.sum())
        return Loss((losses / units).mean(), units.new_tensor(float(len(units))))

    def outputs(self, sequence: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """The emissions: `log_probs` (B, T', C) of the blank and the units, of which `predict` takes the best path."""
        return {"log_probs": self.head.log_probs(sequence, lengths)[0]}

    def output_facts(self) -> dict[str, Any]:
        """The classes as `labels`, '' for the blank and for the end of a sentence, and the seconds of a step."""
        labels = ["", *self.config.text.symbols, *([""] if self.config.append_eos else [])]
        return {"labels": labels, "step_s": self.head.joined / self.upstream.frame_rate_hz}

    def predict(self, batch: Batch) -> list[Prediction]:
        """An item each, as in `prediction`."""
        with torch.no_grad():
            log_probs, steps = self.head.log_probs(*self.sequence(batch))
        return [
            self.prediction(cut, log_probs[item, :count])
            for item, (cut, count) in enumerate(zip(batch.cuts, steps.tolist(), strict=True))
        ]

    def predict_long(self, cut: Cut) -> Prediction:
        with torch.no_grad():
            log_probs = torch.cat([part.cpu() for part in self.long_log_probs(cut)])
        return self.prediction(cut, log_probs)

    def long_log_probs(self, cut: Cut) -> Iterator[Tensor]:
        """(T_i, C) log probabilities of consecutive parts of a row."""
        recogniser = Recogniser(self.upstream, self.interface, self.head)
        most_s, _ = fitting_chunks(self.upstream) if self.upstream.max_samples else (self.config.window_s, 0.0)
        window_s = min(self.config.window_s, most_s)
        return long_log_probs(recogniser, cut, window_s, min(self.config.overlap_s, window_s / 2))

    def prediction(self, cut: Cut, log_probs: Tensor) -> Prediction:
        """What the head says about an item.

        cut: the item's row.
        log_probs: (T, C) of its steps.
        Returns id, target (None if the item has no transcript), predicted, words ([word, start_s, end_s, confidence]),
        speaker and duration_s. With a target also num_units, num_errors and its parts, in words (or phones). A search
        adds `acoustic` and `language`, and `nbest` where several texts are asked for. Where emissions are kept,
        `log_probs` and `clock`, when steps are.
        """
        text = read_field(cut, self.config.text_field)
        facts = {
            "id": cut.id,
            "target": None if text is None else " ".join(_named(cut, "the input", self.units.tokens, text)),
            "speaker": read_field(cut, "speaker"),
            "duration_s": round(float(cut.duration), 4),
        }
        clock = Clock.of(self.upstream, self.head.joined, float(cut.duration))
        emits = self._emits or self.keeps_emissions
        row = self.judge.counted((self._best_path if emits or self._trains else self.decoder)(log_probs, clock, facts))
        return {**row, "log_probs": log_probs.float().cpu().numpy(), "clock": list(clock)} if emits else row

    def prepare(self, rows_of: RowsOf) -> None:
        """Let dev choose the weights of a search that has none."""
        if self.decoder.weights is None:
            self._emits = True
            self.decoder.tune(rows_of("dev"))
            self._emits = False

    def keep_emissions(self) -> None:
        self.keeps_emissions = True

    def begin_step(self, step: int) -> None:
        super().begin_step(step)
        self._trains = True

    def assemble(self, predictions: Sequence[Prediction], split: str) -> Sequence[Prediction]:
        """The predictions without the emissions that an evaluation keeps, decoded as the configuration says."""
        return self.revise([self.decoder.of_emissions(row) if "log_probs" in row else row for row in predictions])

    def revise(self, predictions: Sequence[Prediction]) -> Sequence[Prediction]:
        """Texts as `normalizer` or `folding` has them, which may be another one than before."""
        return [self.judge.counted(compared(row, self.config.normalizer, self.config.folding)) for row in predictions]

    def score(self, predictions: Sequence[Prediction]) -> dict[str, Metric]:
        """wer (or per), its parts as shares of the reference units, and cer, over the items that have a target."""
        return self.judge.score(predictions)

    def facts(self, predictions: Sequence[Prediction]) -> dict[str, Any]:
        """Counts over the split (units, substitutions, deletions, insertions), and how it was decoded."""
        how = self.config
        return self.Judge(self.units, self.decoder.facts(), how.normalizer, how.folding).facts(predictions)

    def tables(self, predictions: Sequence[Prediction]) -> list[Table]:
        return self.judge.tables(predictions)

    def columns(self, prediction: Prediction) -> dict[str, str]:
        return {"text": prediction["predicted"]}

    def _text(self, cut: Cut) -> str:
        return read_field(cut, self.config.text_field) or ""

    def _check_length(self, cut: Cut, where: str, target: Sequence[int], steps: int) -> None:
        needed = steps_needed(target)
        if needed > steps:
            raise LabelError(
                f"Item {cut.id!r} of {where} needs {needed} steps for its {len(target)} units and has {steps} in its "
                f"{cut.duration:g} s, so CTC cannot align it; lower task.head.frame_s (now {self.head.joined} frame(s) "
                f"a step), take larger units, or drop the item."
            )


def _named(cut: Cut, where: str, step: Any, text: str) -> Any:
    """step(text), with the item in front of what is wrong with its transcript.

    cut: the row that the text is of.
    where: its split, for messages.
    step: what reads the text, and may raise TextError.
    text: the transcript.
    Raises LabelError for a text that `step` cannot use.
    """
    try:
        return step(text)
    except TextError as problem:
        # A word outside the lexicon has no phones to be counted, a symbol outside the units is what it is.
        unknown = isinstance(problem, UnknownSymbolError)
        count = ", or count it as an error of the recogniser with task.unknown_symbols=count"
        raise (UnknownSymbolError if unknown else LabelError)(
            f"Item {cut.id!r} of {where} {problem}; correct the transcript, drop the item, let task.text.case and "
            f"task.text.punctuation normalise it{count if unknown and where != 'training' else ''}."
        ) from None


def _check_whole(cut: Cut) -> None:
    """A row that was cropped still has the transcript of the whole."""
    said = cut.supervisions[0]
    if said.start < -_CROP_S or said.end > cut.duration + _CROP_S:
        raise LabelError(
            f"Item {cut.id!r} is a part ({cut.duration:g} s) of what its transcript says ({said.duration:g} s); leave "
            f"data.max_crop_s out, as a transcript cannot be cropped with the sound."
        )
