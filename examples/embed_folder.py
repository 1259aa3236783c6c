"""One vector a recording, and the recordings most like the first: `python examples/embed_folder.py FOLDER`."""

from __future__ import annotations

import argparse

import torch

from audiossl import LoaderConfig, cuts_of, load_upstream, make_loader


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--upstream", default="tera_mini")
    parser.add_argument("--layer", type=int, default=-1)
    arguments = parser.parse_args()
    upstream = load_upstream(arguments.upstream)
    rate_hz, shortest = upstream.sample_rate_hz, upstream.min_samples
    config = LoaderConfig(batch_size=16)
    cuts = cuts_of([arguments.folder])
    vectors: dict[str, torch.Tensor] = {}
    for batch in make_loader(cuts, config, sample_rate_hz=rate_hz, seed=0, train=False, min_samples=shortest):
        with torch.inference_mode():
            features = upstream(batch.wavs, batch.lengths)
        vectors |= {cut.id: features.item(i)[arguments.layer].mean(0) for i, cut in enumerate(batch.cuts)}
    names = sorted(vectors)
    stacked = torch.stack([vectors[name] for name in names])  # (N, D)
    centred = torch.nn.functional.normalize(stacked - stacked.mean(0), dim=1)
    similarity = centred @ centred[0]
    for index in similarity.argsort(descending=True).tolist():
        print(f"{similarity[index]:6.3f}  {names[index]}")


if __name__ == "__main__":
    main()
