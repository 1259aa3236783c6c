"""A split decoded again from the emissions that an evaluation kept: no encoder is loaded and no sound is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from audiossl.core.errors import AudiosslError
from audiossl.core.files import write_jsonl
from audiossl.core.types import Metric
from audiossl.data.text import TextUnits
from audiossl.downstreams.asr.normalizers import compared
from audiossl.downstreams.asr.search.config import DecodingConfig
from audiossl.downstreams.asr.search.decoder import Decoder
from audiossl.downstreams.asr.search.runs import recogniser_of
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


class Emissions(NamedTuple):
    """What is kept of a split.

    config: of the run.
    judge: what scores its predictions.
    units: of the recogniser.
    decoding: how the configuration says that it is decoded.
    normalizer: what texts go through before they are compared.
    folding: what units count as then.
    rows: predictions by the best path, each with `log_probs` (T, C) and `clock`.
    """

    config: Experiment
    judge: type[TranscriptJudge]
    units: TextUnits
    decoding: DecodingConfig
    normalizer: str
    folding: Mapping[str, str]
    rows: Sequence[Prediction]


class DecodedAgain(NamedTuple):
    """What came out.

    metrics: of the split.
    facts: how it was decoded, as metrics.json says it.
    gain: its error rate minus that of the best path, paired over the same speakers.
    measure: which errors that counts, where it is not the first metric.
    """

    metrics: dict[str, Metric]
    facts: Mapping[str, Any]
    gain: Difference
    measure: str = ""


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
    judge = kept.judge(units, decoder.facts(), kept.normalizer, kept.folding)
    predictions, before = (
        [judge.counted(compared(each.of_emissions(row), kept.normalizer, kept.folding)) for row in kept.rows]
        for each in (decoder, plain)
    )
    write_jsonl(run.split(split).predictions, predictions)
    metrics = write_scored(folder, kept.config, judge, split, predictions)
    measure = next((str(row["measure"]) for row in predictions if "measure" in row), "")
    return DecodedAgain(metrics, decoder.facts(), _gain(predictions, before), measure)


def emissions_of(folder: Path, split: str, checkpoint: str = "", overrides: Sequence[str] = ()) -> Emissions:
    """What an evaluation kept of a split.

    folder: of a run of asr.
    split: whose rows they are of.
    checkpoint: best, last or averaged. '' for what the run is configured to use.
    overrides: changes to its configuration.
    Raises AudiosslError for another run, and for emissions that are not there.
    """
    run = RunFolder(folder)
    config = run.final_config(overrides)
    if run.kind != "single":
        raise AudiosslError(f"{folder} is no single run of asr; give one, or a member of a sweep.")
    kind, task = recogniser_of(config, folder)
    weights = checkpoint or config.checkpoint
    rows = EmissionStore(run.path, run.checkpoint(weights), split, config.data.rows(split)).read()
    if rows is None:
        raise AudiosslError(
            f"{run} has no emissions of {split} by its {weights} weights; make them: `audiossl evaluate {run} "
            f"--split {split} --keep-emissions`."
        )
    return Emissions(config, kind.Judge, TextUnits(task.text), task.decoding, task.normalizer, task.folding, rows)


def _gain(found: Sequence[Prediction], plain: Sequence[Prediction]) -> Difference:
    """Errors a unit of the first minus those of the second, on the items with a target."""
    known = [(one, other) for one, other in zip(found, plain, strict=True) if one["target"] is not None]
    errors = [[row["num_errors"] for row in each] for each in zip(*known, strict=True)]
    sizes = [one["num_units"] for one, _ in known]
    return paired_difference(errors[0], errors[1], clusters_of_rows([one for one, _ in known]), units=sizes)
