"""One vector a recording, and the recordings most like the first: `python examples/embed_folder.py FOLDER`."""

from __future__ import annotations

import argparse

import torch

from audiossl import LoaderConfig, cuts_of, encode_rows, load_upstream


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder")
    parser.add_argument("--upstream", default="tera_mini")
    parser.add_argument("--layer", type=int, default=-1)
    arguments = parser.parse_args()
    upstream = load_upstream(arguments.upstream)
    cuts = cuts_of([arguments.folder])
    vectors: dict[str, torch.Tensor] = {}
    for batch, features in encode_rows(upstream, cuts, LoaderConfig(batch_size=16)):
        vectors |= {cut.id: features.item(i)[arguments.layer].mean(0) for i, cut in enumerate(batch.cuts)}
    names = sorted(vectors)
    stacked = torch.stack([vectors[name] for name in names])  # (N, D)
    centred = torch.nn.functional.normalize(stacked - stacked.mean(0), dim=1)
    similarity = centred @ centred[0]
    for index in similarity.argsort(descending=True).tolist():
        print(f"{similarity[index]:6.3f}  {names[index]}")


if __name__ == "__main__":
    main()
