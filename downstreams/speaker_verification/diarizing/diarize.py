"""Who speaks when in a long recording: `audiossl diarize`, by any run of speaker verification."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lhotse import CutSet
from lhotse.cut import Cut

from audiossl.core.errors import AudioError, AudiosslError, ConfigError
from audiossl.data.annotations import read_annotations
from audiossl.data.inputs import cuts_of
from audiossl.data.reading import place_of
from audiossl.data.turns import Turn, rttm_name
from audiossl.downstreams.diarization.task import FrameDiarization
from audiossl.downstreams.speaker_verification.diarizing.clustering import (
    Ints,
    Speakers,
    agglomerative,
    centres_of,
    groups_of,
    means_of,
    merged,
    spectral,
    without_mixtures,
)
from audiossl.downstreams.speaker_verification.diarizing.config import DiarizeOptions
from audiossl.downstreams.speaker_verification.diarizing.speech import (
    Levels,
    Stretch,
    audible_in,
    levels_of,
    speech_of,
    united_stretches,
)
from audiossl.downstreams.speaker_verification.diarizing.thresholds import window_threshold
from audiossl.downstreams.speaker_verification.diarizing.turns import turns_in
from audiossl.downstreams.speaker_verification.diarizing.windows import embed_windows, windows_in
from audiossl.downstreams.speaker_verification.task import SpeakerVerification
from audiossl.downstreams.speaker_verification.trials import normalised
from audiossl.encoders.long_audio import recording_of
from audiossl.experiments.run import Run
from audiossl.metrics.clusters import Floats


@dataclass(frozen=True)
class FoundTurns:
    """Who speaks when.

    recording: the id of the row, for a file its name without ending.
    duration_s: of the recording.
    turns: by time. Those of clustering do not overlap.
    """

    recording: str
    duration_s: float
    turns: list[Turn]

    @property
    def speakers(self) -> list[str]:
        """In the order in which they are first heard."""
        return list(dict.fromkeys(turn.speaker for turn in self.turns))

    def speaks_s(self, speaker: str) -> float:
        """Seconds in all."""
        return sum(turn.end_s - turn.start_s for turn in self.turns if turn.speaker == speaker)

    def as_json(self) -> dict[str, Any]:
        """Times in milliseconds' precision."""
        return {
            "id": self.recording,
            "duration_s": round(self.duration_s, 3),
            "num_speakers": len(self.speakers),
            "speakers": {speaker: round(self.speaks_s(speaker), 3) for speaker in self.speakers},
            "turns": [[round(turn.start_s, 3), round(turn.end_s, 3), turn.speaker] for turn in self.turns],
        }


def diarize(run: Run, recording: Cut | str | Path, options: DiarizeOptions | None = None) -> FoundTurns:
    """Who speaks when in a recording of any length, of which a chunk is in memory.

    run: of speaker_verification, or of diarization, which finds turns frame by frame and reads no options.
    recording: a sound file, or a row of a manifest.
    options: how speech is found, embedded and clustered.
    Raises AudiosslError for a run of another task, AudioError for a recording without speech, ConfigError for more
    speakers than windows, or agglomerative clustering without a threshold.
    """
    task, options = run.task, options or DiarizeOptions()
    cut = _row_of(recording) if isinstance(recording, str | Path) else recording
    if isinstance(task, FrameDiarization):
        (row,) = run.predict(CutSet.from_cuts([cut]))
        return FoundTurns(cut.id, cut.duration, [Turn(*turn) for turn in row["predicted"]])
    if not isinstance(task, SpeakerVerification):
        raise AudiosslError(
            f"{run.folder} is a run of {run.config.downstream}, which knows no speakers; give one of "
            f"speaker_verification."
        )
    rate_hz = task.upstream.sample_rate_hz
    levels = levels_of(recording_of(cut, rate_hz).blocks(), rate_hz)
    speech = _named_speech(cut, options) if options.speech else _speech(cut, levels, options)
    windows = windows_in(speech, options.window_s, options.hop_s, cut.duration)
    if options.num_speakers and options.num_speakers > len(windows):
        raise ConfigError(
            f"{place_of(cut)} has {len(windows)} windows of speech, too few for num_speakers={options.num_speakers}; "
            f"give fewer speakers, or shorter windows."
        )
    whole, audible = options.context == "recording", audible_in(levels, options)
    units = normalised(task.compared(embed_windows(task, cut, windows, audible=audible, whole=whole)))
    centres = centres_of(units, _clusters(run, units, options))
    return FoundTurns(cut.id, cut.duration, turns_in(speech, windows, units @ centres.T, options.min_turn_s))


def _row_of(path: str | Path) -> Cut:
    """Raises AudioError for what stands for several recordings."""
    cuts = list(cuts_of([str(path)]))
    if len(cuts) != 1:
        raise AudioError(f"{path} stands for {len(cuts)} recordings; name one file.")
    return cuts[0]


def _speech(cut: Cut, levels: Levels, options: DiarizeOptions) -> list[Stretch]:
    """When anybody speaks. Raises AudioError where nobody does."""
    found = speech_of(levels, options)
    if not found:
        lasts = f"lasts {cut.duration:g} s, in which" if len(levels) else f"lasts {cut.duration:g} s only:"
        raise AudioError(
            f"{place_of(cut)} {lasts} nothing stands out from the rest as speech does; name the speech with --speech "
            f"TABLE, or give another recording."
        )
    return found


def _named_speech(cut: Cut, options: DiarizeOptions) -> list[Stretch]:
    """The speech of a table, in which a file may be named with or without its folder and ending."""
    names = {"", str(cut.id), rttm_name(str(cut.id)), Path(place_of(cut)).stem}
    own = [row for row in read_annotations(options.speech) if row.path in names or Path(row.path).stem in names]
    if not own:
        raise AudioError(f"{options.speech} has no line for {cut.id}; check the names in it.")
    late = max(row.end_s for row in own)
    if late > cut.duration + 0.05:
        raise AudioError(
            f"{options.speech} has speech until {late:g} s, and {place_of(cut)} ends at {cut.duration:g} s; correct it."
        )
    return united_stretches([Stretch(row.start_s, min(row.end_s, cut.duration)) for row in own])


def _clusters(run: Run, units: Floats, options: DiarizeOptions) -> Ints:
    """(N,) clusters of windows."""
    groups = groups_of(units, options.most_windows)
    means = means_of(units, groups)
    speakers = Speakers(options.num_speakers, options.min_speakers, options.max_speakers)
    if options.method == "spectral":
        labels = spectral(means, speakers)[groups]
    else:
        threshold = options.threshold
        if threshold is None:
            threshold = 0.0 if options.num_speakers else window_threshold(run, options)
        least = options.min_speaker_s / options.hop_s * len(means) / len(units)
        labels = agglomerative(means, threshold, speakers, least)[groups]
    fewest = options.num_speakers or options.min_speakers
    labels = without_mixtures(units, merged(units, labels, options.merge, fewest), options.mixture, fewest)
    # Centres are cleaner without the mixtures, so that two of one speaker may be nearer now.
    return merged(units, (units @ centres_of(units, labels).T).argmax(axis=1), options.merge, fewest)
