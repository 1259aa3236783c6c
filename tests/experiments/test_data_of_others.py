"""The same recordings as a pandas frame, a `datasets` folder, a Shar folder and a WebDataset tar train the same run."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
import soundfile
from toys.core import LABELS, RATE_HZ, sound_of
from toys.tables import dataset_of

from audiossl.core.errors import OutputError
from audiossl.data.hugging_face import HuggingFaceSettings, cuts_from_hf
from audiossl.data.inputs import cuts_of, rows_of
from audiossl.data.manifests import write_manifests
from audiossl.data.shard_sources import cuts_from_shards
from audiossl.experiments.loading import load_run
from audiossl.experiments.start import train

pandas = pytest.importorskip("pandas")


def frames_of(folder: Path, sizes: dict[str, int]) -> dict[str, object]:
    made = {}
    for split, size in sizes.items():
        rows = []
        for number in range(size):
            label, path = LABELS[number % 3], folder / f"{split}_{number:02d}.wav"
            soundfile.write(path, sound_of(label, 100 * len(split) + number, 0.25 + 0.01 * (number % 7)), RATE_HZ)
            rows.append({"path": str(path), "label": label, "speaker": f"s{number % 4}"})
        made[split] = pandas.DataFrame(rows)
    return made


def write_tar(path: Path, frame) -> None:
    with tarfile.open(path, "w") as archive:
        for number, row in enumerate(frame.to_dict("records")):
            told = json.dumps({"label": row["label"], "speaker_id": row["speaker"]}).encode()
            for suffix, content in (("wav", Path(row["path"]).read_bytes()), ("json", told)):
                info = tarfile.TarInfo(f"{number:04d}.{suffix}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))


def write_shar(folder: Path, frame) -> str:
    with rows_of(frame) as rows:
        folder.mkdir(parents=True)
        rows.to_shar(folder, fields={"recording": "flac"}, shard_size=20)
    return str(folder)


@pytest.mark.slow
def test_metrics_are_equal_to_the_digit(experiment, tmp_path):
    datasets = pytest.importorskip("datasets")
    frames = frames_of(tmp_path, {"train": 30, "dev": 12, "test": 18})
    tables = {
        split: dataset_of(
            [Path(path) for path in frame.path], {"label": list(frame.label)}, speaker=list(frame.speaker)
        )
        for split, frame in frames.items()
    }
    datasets.DatasetDict(tables).save_to_disk(tmp_path / "hf")
    for split, frame in frames.items():
        write_tar(tmp_path / f"{split}-000.tar", frame)
    shars = [write_shar(tmp_path / "shars" / split, frame) for split, frame in frames.items()]
    tars = [str(tmp_path / f"{split}-000.tar") for split in frames]
    manifests = {
        "hf": cuts_from_hf(str(tmp_path / "hf"), tmp_path / "hf_audio", HuggingFaceSettings()),
        "shar": cuts_from_shards(shars).splits,
        "tar": cuts_from_shards(tars).splits,
    }
    for name, splits in manifests.items():
        write_manifests(splits, tmp_path / name)
    metrics = {}
    for name, rows in {"frame": frames, "table": tables, **dict.fromkeys(manifests)}.items():
        run = train(experiment(f"data.dir={tmp_path / name}", "trainer.steps=6"), tmp_path / f"run_{name}", rows=rows)
        load_run(run, device="cpu").evaluate("test")
        metrics[name] = json.loads((run / "test" / "metrics.json").read_text())["metrics"]
    assert set(metrics["frame"]) >= {"accuracy", "uar"}
    assert {name for name, values in metrics.items() if values != metrics["frame"]} == set()
    predicted = load_run(tmp_path / "run_frame", device="cpu").predict(tables["test"])
    ours = load_run(tmp_path / "run_frame", device="cpu").predict(frames["test"])
    assert [row["scores"] for row in predicted] == [row["scores"] for row in ours]


def test_a_frame_is_predicted_and_trained_on(experiment, tmp_path):
    frames = frames_of(tmp_path, {"train": 6, "dev": 3, "test": 3})
    made = experiment("trainer.steps=2", "trainer.eval_every=2", f"data.dir={tmp_path / 'rows'}")
    run = load_run(train(made, tmp_path / "run", rows=frames), device="cpu")
    sounds = [soundfile.read(path, dtype="float32")[0] for path in frames["test"].path]
    arrays = pandas.DataFrame({"audio": sounds, "sample_rate": RATE_HZ})
    as_files, as_arrays = run.predict(frames["test"]), run.predict(arrays)
    assert [row["scores"] for row in as_files] == [row["scores"] for row in as_arrays]
    paths = list(frames["test"].path)
    assert {row["id"] for row in run.predict(paths)} == {row["id"] for row in run.predict(cuts_of(paths))}
    assert {row["id"] for row in run.predict(paths[0])} == {"test_00"}
    with pytest.raises(OutputError, match=r"train\.jsonl\.gz is there already, with other rows"):
        train(made, tmp_path / "other", rows={"train": frames["dev"]})
