"""An encoder from a fairseq file: `python examples/encoder_from_fairseq.py FILE.pt SOUND.wav [--out FOLDER]`.

Neither fairseq is needed nor is code from the file run; `--out` writes the encoder as a folder for transformers.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from audiossl import convert, load_upstream, read_audio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint")
    parser.add_argument("sound")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    upstream = load_upstream(f"fairseq:{arguments.checkpoint}")
    wav = torch.from_numpy(read_audio(arguments.sound, sample_rate_hz=upstream.sample_rate_hz))
    with torch.inference_mode():
        features = upstream(wav[None])
    print(f"{upstream.name}: {upstream.num_layers} layers of {int(features.lengths[0])} frames")
    for number, layer in enumerate(features.layers):
        print(f"layer {number:2d}  mean {layer.mean():8.4f}  deviation {layer.std():8.4f}")
    if arguments.out:
        print(convert(f"fairseq:{arguments.checkpoint}", arguments.out))


if __name__ == "__main__":
    main()
