"""The examples do what they say, on sound made here."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from toys import miniatures
from toys.warm import python

from audiossl import load_upstream

ROOT = Path(__file__).parents[2]


def run_example(name, folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [python(), str(ROOT / "examples" / name), *arguments]
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


@pytest.fixture
def tones(tmp_path):
    rng = np.random.default_rng(0)
    for label, pitch_hz in {"high": 1500, "low": 200}.items():
        (tmp_path / "sound" / label).mkdir(parents=True)
        for number in range(10):
            time_s = np.arange(int(rng.uniform(0.3, 0.6) * 16000)) / 16000
            tone = 0.3 * np.sin(2 * np.pi * pitch_hz * time_s) + 0.01 * rng.standard_normal(len(time_s))
            soundfile.write(tmp_path / "sound" / label / f"{number}.wav", tone, 16000)
    return tmp_path


def test_embed_folder_finds_the_recordings_of_the_same_tone(tones):
    lines = run_example("embed_folder.py", tones, "sound", "--upstream", "log_mel")
    names = [line.split()[-1] for line in lines]
    assert names[0] == "high/0"
    assert {name.split("/")[0] for name in names[:10]} == {"high"}
    assert {name.split("/")[0] for name in names[10:]} == {"low"}


def test_compare_two_upstreams_prints_both_and_their_difference(tones):
    lines = run_example("compare_two_upstreams.py", tones, "sound", "log_mel", "mfcc", "--steps", "60")
    assert lines[-3].startswith("log_mel accuracy 1.0000")
    assert lines[-2].startswith("mfcc accuracy ")
    assert lines[-1].startswith("Difference(")
    assert (tones / "runs/comparison/mfcc/test/predictions.jsonl").is_file()


def test_finetune_with_lora_leaves_an_encoder_that_loads(tones):
    lines = run_example("finetune_with_lora.py", tones, "sound", "--steps", "40")
    assert [line.split()[0] for line in lines[-3:-1]] == ["frozen", "lora"]
    assert lines[-1] == "load_upstream('runs/finetuning')"
    made, plain = (load_upstream(name).state_dict() for name in (str(tones / "runs/finetuning"), "tera_mini"))
    assert made.keys() == plain.keys()
    changed = {name.rpartition(".")[0] for name in made if not torch.equal(made[name], plain[name])}
    assert changed == {f"blocks.{block}.{linear}" for block in range(3) for linear in ("qkv", "out")}


def test_encoder_from_fairseq_describes_it_and_writes_a_folder(tones):
    made = miniatures.encoder("hubert")
    content = miniatures.shell(made)
    content["cfg"]["model"]["_name"] = "hubert"
    miniatures.write(content, tones / "hubert_tiny.pt")
    lines = run_example("encoder_from_fairseq.py", tones, "hubert_tiny.pt", "sound/low/0.wav", "--out", "folder")
    assert lines[0].startswith("hubert: 3 layers of ")
    assert [line.split()[1] for line in lines[1:4]] == ["0", "1", "2"]
    assert torch.equal(load_upstream(f"hf:{tones / 'folder'}").norm.weight, made.norm.weight)


def test_every_example_is_short_and_tested():
    examples = sorted((ROOT / "examples").glob("*.py"))
    assert {path.name for path in examples} == {
        "compare_two_upstreams.py",
        "embed_folder.py",
        "encoder_from_fairseq.py",
        "finetune_with_lora.py",
    }
    for path in examples:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 45
