"""How alike two windows of one speaker are, by the run's own dev recordings.

A calibration is of whole recordings, and windows are shorter: their cosines are lower, and vary more.
"""

from __future__ import annotations

import numpy as np

from audiossl.core.errors import ConfigError, ManifestError
from audiossl.downstreams.speaker_verification.diarizing.config import DiarizeOptions
from audiossl.downstreams.speaker_verification.diarizing.speech import Stretch, audible_in, levels_of
from audiossl.downstreams.speaker_verification.diarizing.windows import embed_windows, windows_in
from audiossl.downstreams.speaker_verification.task import SpeakerVerification
from audiossl.downstreams.speaker_verification.trials import normalised
from audiossl.encoders.long_audio import recording_of
from audiossl.experiments.run import Run
from audiossl.metrics.verification import det_curve, equal_error_threshold

_RECORDINGS, _WINDOWS = 400, 2000  # at most

_INSTEAD = "give --threshold, --num-speakers or --method spectral"


def window_threshold(run: Run, options: DiarizeOptions) -> float:
    """The cosine at which as many pairs of windows of one dev speaker are missed as of two are taken for one.

    run: of speaker_verification.
    options: with the length of a window.
    Raises ConfigError where the dev recordings are not there, or too few.
    """
    task = run.task
    assert isinstance(task, SpeakerVerification)
    try:
        run.manifest("dev")
        cuts = [cut for cut in run.config.data.rows("dev") if cut.supervisions]
    except ManifestError as error:
        raise ConfigError(f"{error} Agglomerative clustering has its threshold from there: or {_INSTEAD}.") from error
    cuts = cuts[:: -(-len(cuts) // _RECORDINGS) or 1]
    if len({cut.supervisions[0].speaker for cut in cuts}) < 2:
        raise ConfigError(f"The dev recordings of {run.folder} are not of two speakers or more; {_INSTEAD}.")
    vectors, speakers = [], []
    for cut in cuts:
        rate_hz = task.upstream.sample_rate_hz
        levels = levels_of(recording_of(cut, rate_hz).blocks(), rate_hz)
        windows = windows_in([Stretch(0.0, cut.duration)], options.window_s, options.window_s, cut.duration)
        vectors.append(embed_windows(task, cut, windows, audible=audible_in(levels, options)))
        speakers += [cut.supervisions[0].speaker] * len(windows)
    units, names = normalised(task.compared(np.concatenate(vectors))), np.array(speakers)
    some = slice(None, None, -(-len(units) // _WINDOWS))
    units, names = units[some], names[some]
    pairs = np.triu_indices(len(units), 1)
    same = names[pairs[0]] == names[pairs[1]]
    if not same.any():
        raise ConfigError(f"No speaker among the dev recordings of {run.folder} has two windows in it; {_INSTEAD}.")
    return equal_error_threshold(det_curve((units @ units.T)[pairs], same))
