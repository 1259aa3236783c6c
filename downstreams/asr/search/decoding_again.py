"""A split decoded again from the emissions that an evaluation kept: no encoder is loaded and no sound is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from audiossl.core.config import structured
from audiossl.core.errors import AudiosslError
from audiossl.core.files import write_jsonl
from audiossl.core.types import Metric
from audiossl.data.text import TextUnits
from audiossl.downstreams.asr.normalizers import compared
from audiossl.downstreams.asr.search.config import DecodingConfig
from audiossl.downstreams.asr.search.decoder import Decoder
from audiossl.downstreams.asr.task import AsrConfig
from audiossl.downstreams.asr.transcripts import TranscriptJudge
from audiossl.experiments.config import Experiment
from audiossl.experiments.embedding_store import EmissionStore
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.loading import run_folder
from audiossl.experiments.run import check_evaluable, write_scored
from audiossl.metrics.clusters import clusters_of_rows
from audiossl.metrics.jackknife import Difference
from audiossl.metrics.ratios import paired_difference
from audiossl.training.task import Prediction

TASK = "asr"


class Emissions(NamedTuple):
    """What is kept of a split.

    config: of the run.
    units: of the recogniser.
    decoding: how the configuration says that it is decoded.
    normalizer: what texts go through before they are compared.
    rows: predictions by the best path, each with `log_probs` (T, C) and `clock`.
    """

    config: Experiment
    units: TextUnits
    decoding: DecodingConfig
    normalizer: str
    rows: Sequence[Prediction]


class DecodedAgain(NamedTuple):
    """What came out.

    metrics: of the split.
    facts: how it was decoded, as metrics.json says it.
    gain: its error rate minus that of the best path, paired over the same speakers.
    """

    metrics: dict[str, Metric]
    facts: Mapping[str, Any]
    gain: Difference


def decode_again(
    folder: Path, split: str = "test", checkpoint: str = "", overrides: Sequence[str] = ()
) -> DecodedAgain:
    """Decode a split by other settings, and write what an evaluation writes.

    folder: of a run of asr, of which the split and, where dev chooses weights, dev have emissions.
    split: what is decoded.
    checkpoint: best, last or averaged. '' for what the run is configured to use.
    overrides: changes to its configuration, for instance task.decoding.lm=lm.arpa.
    Raises AudiosslError for another run, and for emissions that are not there.
    """
    folder = run_folder(folder)
    run = RunFolder(folder)
    check_evaluable(run, split)
    kept = emissions_of(folder, split, checkpoint, overrides)
    units = kept.units
    decoder, plain = Decoder(units, kept.decoding), Decoder(units, DecodingConfig())
    if decoder.weights is None:
        decoder.tune(emissions_of(folder, "dev", checkpoint, overrides).rows)
    predictions, before = (
        [compared(each.of_emissions(row), kept.normalizer) for row in kept.rows] for each in (decoder, plain)
    )
    write_jsonl(run.split(split).predictions, predictions)
    judge = TranscriptJudge(units, decoder.facts(), kept.normalizer)
    metrics = write_scored(folder, kept.config, judge, split, predictions)
    return DecodedAgain(metrics, decoder.facts(), _gain(predictions, before))


def emissions_of(folder: Path, split: str, checkpoint: str = "", overrides: Sequence[str] = ()) -> Emissions:
    """What an evaluation kept of a split.

    folder: of a run of asr.
    split: whose rows they are of.
    checkpoint: best, last or averaged. '' for what the run is configured to use.
    overrides: changes to its configuration.
    Raises AudiosslError for another run, and for emissions that are not there.
    """
    run = RunFolder(folder)
    config = run.config(overrides)
    if run.kind != "single" or config.downstream != TASK:
        raise AudiosslError(f"{folder} is no single run of {TASK}; give one, or a member of a sweep.")
    weights = checkpoint or config.checkpoint
    rows = EmissionStore(run.path, run.checkpoint(weights), split, config.data.rows(split)).read()
    if rows is None:
        raise AudiosslError(
            f"{run} has no emissions of {split} by its {weights} weights; make them: `audiossl evaluate {run} "
            f"--split {split} --keep-emissions`."
        )
    task: AsrConfig = structured(AsrConfig, config.task, where=f"task options of {TASK}")
    return Emissions(config, TextUnits(task.text), task.decoding, task.normalizer, rows)


def _gain(found: Sequence[Prediction], plain: Sequence[Prediction]) -> Difference:
    """Errors a unit of the first minus those of the second, on the items with a target."""
    known = [(one, other) for one, other in zip(found, plain, strict=True) if one["target"] is not None]
    errors = [[row["num_errors"] for row in each] for each in zip(*known, strict=True)]
    sizes = [one["num_units"] for one, _ in known]
    return paired_difference(errors[0], errors[1], clusters_of_rows([one for one, _ in known]), units=sizes)
