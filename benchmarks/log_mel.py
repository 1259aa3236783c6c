"""How fast the log_mel upstream is, in a batch and one by one, against torchaudio and librosa.

The same parameters everywhere: 80 HTK bands, Hann windows of 25 ms every 10 ms, FFT of 400, log(power + 1e-10). What
they compute is compared first, one recording at a time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import librosa
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from audiossl import load_upstream
from audiossl.data.reading import read_audio
from audiossl.data.sources import cuts_from_csv
from audiossl.encoders.upstream import Upstream
from benchmarks.common import interleaved, make_sound, parser, publish, table

RATE_HZ, WIN, HOP, NUM_MELS, EPS = 16000, 400, 160, 80, 1e-10
NUM_FILES, BATCH_SIZE = 128, 32


def main() -> None:
    arguments = parser(__doc__).parse_args()
    name, sounds = _sounds(arguments.data)
    sounds.sort(key=len, reverse=True)
    upstream, peer = load_upstream("log_mel"), _torchaudio()
    differences: dict[str, list[npt.NDArray[np.float32]]] = {"torchaudio": [], "librosa": []}
    for sound in sounds:
        ours = upstream(torch.from_numpy(sound)[None]).layers[0][0]
        differences["torchaudio"].append((ours - _log(peer(torch.from_numpy(sound)))).abs().numpy())
        differences["librosa"].append((ours - _librosa(sound)).abs().numpy())
    contestants = {
        f"audiossl log_mel, batches of {BATCH_SIZE}": lambda: _batched(upstream, sounds),
        "audiossl log_mel, one by one": lambda: [upstream(torch.from_numpy(s)[None]) for s in sounds],
        f"torchaudio MelSpectrogram, batches of {BATCH_SIZE}": lambda: [_log(peer(b)) for b, _ in _batches(sounds)],
        "torchaudio MelSpectrogram, one by one": lambda: [_log(peer(torch.from_numpy(s))) for s in sounds],
        "librosa melspectrogram, one by one": lambda: [_librosa(s) for s in sounds],
    }
    with torch.inference_mode():
        timings = interleaved(contestants, arguments.rounds)
    audio_s = sum(map(len, sounds)) / RATE_HZ
    first = next(iter(timings.values())).cpu
    rows = [
        [what, f"{1000 * t.median:.0f}", f"{1000 * t.cpu:.0f}", f"{audio_s / t.cpu:.0f}", f"{t.cpu / first:.2f}"]
        for what, t in timings.items()
    ]
    publish(
        arguments,
        "Log mel extraction",
        f"{len(sounds)} recordings ({name}), {audio_s:.0f} s in all, in memory at 16 kHz, from the longest to the "
        "shortest, as the loader has them in evaluation; padding to batches is timed; "
        f"{arguments.rounds} passes of each, taking turns.",
        "Absolute differences of log bands, one recording at a time: "
        + "; ".join(_spread(name, np.concatenate(found)) for name, found in differences.items())
        + ".\nIn a batch, torchaudio mirrors the padding instead of the end of each recording, so its last frames "
        "differ from those of the recording alone; audiossl's do not.",
        table(["extractor", "median ms", "median CPU ms", "audio s / CPU s", "CPU time against the first"], rows),
    )


def _sounds(data: Path | None) -> tuple[str, list[npt.NDArray[np.float32]]]:
    if data is not None:
        cuts = cuts_from_csv(data / "wakewords" / "manifest.csv")["train"].subset(first=NUM_FILES)
        return "wakewords", [read_audio(cut.recording.sources[0].source, sample_rate_hz=RATE_HZ) for cut in cuts]
    with tempfile.TemporaryDirectory() as scratch:
        return "synthetic", [read_audio(path) for path in make_sound(Path(scratch), NUM_FILES, RATE_HZ)]


def _batches(sounds: Sequence[npt.NDArray[np.float32]]) -> list[tuple[Tensor, Tensor]]:
    """Padded (B, S) and lengths (B,), in the order given."""
    made = []
    for first in range(0, len(sounds), BATCH_SIZE):
        part = [torch.from_numpy(sound) for sound in sounds[first : first + BATCH_SIZE]]
        made.append((torch.nn.utils.rnn.pad_sequence(part, batch_first=True), torch.tensor(list(map(len, part)))))
    return made


def _batched(upstream: Upstream, sounds: Sequence[npt.NDArray[np.float32]]) -> None:
    for wavs, lengths in _batches(sounds):
        upstream(wavs, lengths)


def _torchaudio() -> torch.nn.Module:
    from torchaudio.transforms import MelSpectrogram

    made: torch.nn.Module = MelSpectrogram(RATE_HZ, n_fft=WIN, hop_length=HOP, n_mels=NUM_MELS, mel_scale="htk")
    return made


def _log(mel: Tensor) -> Tensor:
    return torch.log(mel + EPS).transpose(-1, -2)


def _librosa(sound: npt.NDArray[np.float32]) -> Tensor:
    mel = librosa.feature.melspectrogram(
        y=sound, sr=RATE_HZ, n_fft=WIN, hop_length=HOP, n_mels=NUM_MELS, htk=True, norm=None, pad_mode="reflect"
    )
    return _log(torch.from_numpy(mel))


def _spread(name: str, differences: npt.NDArray[np.float32]) -> str:
    largest, most = differences.max(), np.quantile(differences, 0.999)
    return f"at most {largest:.1e} (99.9 % of them below {most:.1e}) to {name}"


if __name__ == "__main__":
    main()
