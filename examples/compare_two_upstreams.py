"""Is one encoder better than another on your labels? `python examples/compare_two_upstreams.py FOLDER A B`.

FOLDER has one folder of recordings a label. Both get the same items, head and seed; the difference is paired by item.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from audiossl import (
    RunFolder,
    cuts_from_folder,
    load_run,
    paired_difference,
    read_experiment,
    read_jsonl,
    train,
    write_manifests,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("upstreams", nargs=2)
    parser.add_argument("--out", type=Path, default=Path("runs/comparison"))
    parser.add_argument("--steps", type=int, default=500)
    arguments = parser.parse_args()
    manifests = arguments.out / "manifests"
    write_manifests(cuts_from_folder(arguments.folder, split=(0.2, 0.3)), manifests)
    correct = []
    for name in arguments.upstreams:
        settings = [f"upstream={name}", f"data.dir={manifests}", f"trainer.steps={arguments.steps}"]
        run = train(read_experiment(None, settings), arguments.out / name, overwrite=True)
        print(name, "accuracy", load_run(run).evaluate("test")["accuracy"])
        rows = read_jsonl(RunFolder(run).split("test").predictions)
        correct.append([row["predicted"] == row["target"] for row in rows])
    print(paired_difference(*correct))


if __name__ == "__main__":
    main()
