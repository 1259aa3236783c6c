"""The settings of clustering diarisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from audiossl.core.errors import ConfigError
from audiossl.core.ranges import Count, Finite, NonNegative, Positive, Range, ShareBelowOne, check_ranges


@dataclass(frozen=True)
class DiarizeOptions:
    """How speech is found, embedded and clustered."""

    speech: str = ""
    """A table of when somebody speaks (RTTM, Audacity, Raven or CSV), whatever its labels are. Empty to find speech by
    its level."""
    onset: ShareBelowOne = 0.2
    """Where speech begins, as a share of the way from the floor of the recording to its loud level, in dB."""
    offset: ShareBelowOne = 0.1
    """Where it ends, likewise, at most `onset`."""
    min_speech_s: NonNegative = 0.2
    """Shorter speech is left out."""
    min_silence_s: NonNegative = 0.3
    """Shorter pauses belong to the speech around them."""
    pad_s: NonNegative = 0.05
    """Seconds by which speech begins earlier and ends later than its level says."""
    window_s: Positive = 1.5
    """Seconds of a window that has an embedding."""
    hop_s: Positive = 0.75
    """Seconds from one window to the next."""
    context: Literal["recording", "window"] = "window"
    """What an embedding knows of: 'window' encodes each window by itself, as recordings in training were. 'recording'
    runs the encoder once over the sound, and the head reads windows of its frames, which have seen other speakers."""
    method: Literal["spectral", "agglomerative"] = "spectral"
    """How windows become speakers: by eigenvectors of a pruned affinity, whose eigengap gives their number, or by
    average linkage on the cosine down to a threshold."""
    threshold: Finite | None = None
    """Cosine below which agglomerative clusters are two speakers. Null for that of pairs of windows of the run's dev
    recordings, where errors of both kinds are equal."""
    merge: Annotated[float, Range(above=0)] = 0.88
    """Cosine of mean embeddings from which on two clusters are one speaker. Above 1 to merge none."""
    mixture: Annotated[float, Range(above=0)] = 0.85
    """Cosine of a cluster's mean embedding with a sum of two others from which on it is windows of these two, and no
    speaker. Above 1 to keep all."""
    num_speakers: Count | None = None
    """How many people speak. Null to estimate it."""
    min_speakers: Count = 1
    """Fewest that are estimated."""
    max_speakers: Count = 20
    """Most that are estimated."""
    min_speaker_s: NonNegative = 3.0
    """An agglomerative cluster of less speech is no speaker: its windows go to the others, unless all are as short."""
    min_turn_s: NonNegative = 0.5
    """A shorter turn between others goes to one of them."""
    most_windows: Annotated[int, Range(10)] = 5000
    """Most windows, or groups of windows, that are clustered at once, since memory grows with the square of it."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.offset > self.onset:
            raise ConfigError(f"offset={self.offset:g} must be at most onset={self.onset:g}; change one.")
        if self.hop_s > self.window_s:
            raise ConfigError(f"hop_s={self.hop_s:g} must be at most window_s={self.window_s:g}; change one.")
        if self.min_speakers > self.max_speakers:
            raise ConfigError(
                f"min_speakers={self.min_speakers} must be at most max_speakers={self.max_speakers}; change one."
            )
