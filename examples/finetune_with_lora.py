"""A head on a frozen encoder against LoRA in it, on your labels: `python examples/finetune_with_lora.py FOLDER`.

FOLDER has one folder of recordings a label. The encoder with LoRA merged into its weights is written to OUT.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from audiossl import cuts_from_folder, load_run, merge_lora, read_experiment, save_upstream, train, write_manifests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--upstream", default="tera_mini")
    parser.add_argument("--out", type=Path, default=Path("runs/finetuning"))
    parser.add_argument("--steps", type=int, default=500)
    arguments = parser.parse_args()
    manifests = arguments.out / "manifests"
    write_manifests(cuts_from_folder(arguments.folder, split=(0.2, 0.3)), manifests)
    settings = [f"upstream={arguments.upstream}", f"data.dir={manifests}", f"trainer.steps={arguments.steps}"]
    lora = ["finetune=lora", "finetune.lr=0.0005", f"finetune.freeze_steps={arguments.steps // 10}"]
    for name, finetune in {"frozen": [], "lora": lora}.items():
        run = load_run(train(read_experiment(None, [*settings, *finetune]), arguments.out / name, overwrite=True))
        print(name, "accuracy", run.evaluate("test")["accuracy"])
    save_upstream(merge_lora(run.task.upstream), arguments.out / "upstream.safetensors")
    print(f"load_upstream('{arguments.out}')")


if __name__ == "__main__":
    main()
