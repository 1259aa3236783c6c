"""Single labels and windows with many: loss, predictions, scores, long recordings, annotation tables, settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from lhotse import MonoCut, SupervisionSegment
from matplotlib.image import imread
from sklearn.metrics import average_precision_score
from torch import Tensor, nn
from typer.testing import CliRunner

from audiossl.cli.main import add_commands_of_tasks, app
from audiossl.core.config import make, structured
from audiossl.core.errors import ConfigError, LabelError, ManifestError
from audiossl.core.types import Batch
from audiossl.data.annotated import Windows, cuts_of_windows
from audiossl.data.annotations import Annotation, read_annotations
from audiossl.data.manifests import read_manifest, write_manifests
from audiossl.data.sources import cuts_from_csv, cuts_from_files
from audiossl.data.splits import split_cuts
from audiossl.downstreams.bioacoustics.events import events_of, probabilities_over_time
from audiossl.downstreams.bioacoustics.figures import draw_timeline
from audiossl.downstreams.bioacoustics.task import Bioacoustics
from audiossl.downstreams.bioacoustics.windows import BioacousticWindows
from audiossl.encoders.upstream import Upstream
from audiossl.experiments.config import read_experiment
from audiossl.experiments.loading import load_run
from audiossl.experiments.start import train
from audiossl.training.interface import load_interface

torch.set_num_threads(1)
RATE = 16000
Config = BioacousticWindows.Config


class ToyUpstream(Upstream):
    """Log energies in eight bands."""

    def __init__(self) -> None:
        super().__init__()
        self.widths, self.stride, self.receptive_field = (8,), 160, 320

    def encode(self, wavs: Tensor, lengths: Tensor, last: int) -> Sequence[Tensor]:
        spectrum = torch.fft.rfft(wavs.unfold(1, 320, 160)).abs()[..., :160]
        return [spectrum.unflatten(-1, (8, 20)).sum(dim=-1).add(1e-3).log()]


def cut_of(number: int, label: str | None, start: float = 0.0, custom: dict[str, Any] | None = None) -> MonoCut:
    name = f"item-{number}"
    fields = {**({} if label is None else {"label": label}), **(custom or {})}
    segment = SupervisionSegment(name, name, 0, 0.5, custom=fields)
    return MonoCut(name, start=start, duration=0.5, channel=0, supervisions=[segment])


def batch_of(labels: Sequence[str | None], seed: int = 0) -> Batch:
    """Calls `lo` and `hi` are tones of 1 and 5 kHz; a window may have both or none."""
    draw = torch.Generator().manual_seed(seed)
    lengths = torch.randint(RATE // 8, RATE // 3, (len(labels),), generator=draw)
    wavs = torch.zeros(len(labels), int(lengths.max()))
    for row, (length, label) in enumerate(zip(lengths.tolist(), labels, strict=True)):
        times = torch.arange(length) / RATE
        wavs[row, :length] = 0.02 * torch.randn(length, generator=draw)
        for name, hz in (("lo", 1000), ("hi", 5000)):
            if name in (label or "").split("|"):
                wavs[row, :length] += 0.3 * torch.sin(2 * torch.pi * hz * times)
    return Batch(wavs, lengths, tuple(cut_of(row, label) for row, label in enumerate(labels)))


MIXED = ["lo", "hi", "hi|lo", "", "lo", "", "hi", "hi|lo", "", "lo", "hi", ""]


def toy(kind: type = BioacousticWindows, **options: Any) -> Any:
    torch.manual_seed(0)
    upstream = ToyUpstream()
    options = {"labels": ["hi", "lo"], **options}
    return make(kind, options, upstream, load_interface("weighted_sum", upstream.widths))


def test_loss_is_the_binary_cross_entropy() -> None:
    task, batch = toy().eval(), batch_of(MIXED)
    targets = torch.tensor([[float(name in label.split("|")) for name in ("hi", "lo")] for label in MIXED])
    expected = nn.functional.binary_cross_entropy_with_logits(task.logits(batch), targets)
    torch.testing.assert_close(task.loss(batch).total, expected)
    assert float(task.loss(batch).weight) == len(MIXED)
    weighted = toy(class_weights=True, label_counts=[3, 8], num_items=12).eval()
    weights = torch.tensor([3.0, 0.5])
    expected = nn.functional.binary_cross_entropy_with_logits(weighted.logits(batch), targets, pos_weight=weights)
    torch.testing.assert_close(weighted.loss(batch).total, expected)


@pytest.mark.parametrize("options", [{}, {"pooling": "statistics", "hidden": [16, 8], "projector_width": None}])
@pytest.mark.parametrize("kind", [Bioacoustics, BioacousticWindows])
def test_a_batch_equals_its_items(kind: type, options: dict[str, Any]) -> None:
    task, batch = toy(kind, **options).eval(), batch_of(["lo", "hi", "lo", "hi"])
    together = task.predict(batch)
    for row, length in enumerate(batch.lengths.tolist()):
        one = slice(row, row + 1)
        (alone,) = task.predict(Batch(batch.wavs[one, :length], batch.lengths[one], batch.cuts[one]))
        assert alone["scores"] == pytest.approx(together[row]["scores"], abs=1e-5)


def test_it_learns_windows_with_both_one_and_none() -> None:
    task, batch = toy(), batch_of(MIXED * 2)
    optimizer = torch.optim.Adam([p for p in task.parameters() if p.requires_grad], lr=3e-2)
    for _ in range(40):
        optimizer.zero_grad()
        task.loss(batch).total.backward()
        optimizer.step()
    rows = json.loads(json.dumps(task.eval().predict(batch_of(MIXED * 2, seed=1))))
    assert {name: metric.value for name, metric in task.score(rows).items()} == {"map": 1.0, "auroc": 1.0}
    assert all(row["predicted"] == row["target"] for row in rows)


def test_score_is_scikit_learns_over_the_classes_that_occur() -> None:
    task = toy(labels=["hi", "lo", "never"]).eval()
    rows = task.predict(batch_of(MIXED))
    targets = np.array([[name in row["target"] for name in ("hi", "lo")] for row in rows])
    scores = np.array([row["scores"][:2] for row in rows])
    expected = np.mean([average_precision_score(targets[:, c], scores[:, c]) for c in (0, 1)])
    assert task.score(rows)["map"].value == pytest.approx(expected)
    assert task.facts(rows)["labels_left_out"] == ["never"]
    (table,) = task.tables(rows)
    assert table.rows[2] == ["never", 0, 0.0, None, None]
    assert "No window has never" in table.note
    nothing = task.predict(batch_of(["", ""]))
    with pytest.raises(LabelError, match="nothing to score"):
        task.score(nothing)


def test_groups_are_recordings_or_what_is_asked_for() -> None:
    cuts = [cut_of(number, "lo", custom={"recording": f"tape {number // 2}", "bird": "b1"}) for number in range(4)]
    batch = batch_of(["lo"] * 4)
    for kind in (Bioacoustics, BioacousticWindows):
        rows = toy(kind).eval().predict(Batch(batch.wavs, batch.lengths, tuple(cuts)))
        assert [row["speaker"] for row in rows] == ["tape 0", "tape 0", "tape 1", "tape 1"]
        rows = toy(kind, group_field="bird").eval().predict(Batch(batch.wavs, batch.lengths, tuple(cuts)))
        assert [row["speaker"] for row in rows] == ["b1"] * 4


def test_complete_and_check() -> None:
    cuts = [cut_of(number, label) for number, label in enumerate(MIXED)]
    config = BioacousticWindows.complete(Config(), cuts)
    assert (config.labels, config.label_counts, config.num_items) == (["hi", "lo"], [5, 5], 12)
    assert (config.window_s, config.hop_s) == (0.5, 0.25)
    with pytest.raises(LabelError, match="No training window has a label in the field 'label'"):
        BioacousticWindows.complete(Config(), [cut_of(0, "")])
    with pytest.raises(LabelError, match=r"'item-3' of dev has no field 'label'"):
        toy().check_cuts([cut_of(0, ""), cut_of(3, None)], "dev")
    with pytest.raises(
        LabelError, match=r"1 label\(s\) of dev were not seen in training: 'mid' \(for instance item 'item-1'"
    ):
        toy().check_cuts([cut_of(0, "hi|lo"), cut_of(1, "hi|mid")], "dev")
    assert len(toy(labels=["call"]).eval().predict(batch_of(["lo"]))[0]["scores"]) == 1  # a call or none
    with pytest.raises(ConfigError, match=r"task\.threshold=1"):
        Config(threshold=1.0)
    with pytest.raises(ConfigError, match="nor the hop longer than the window"):
        Config(window_s=1.0, hop_s=2.0)


def test_single_label_tables_name_classes_that_do_not_occur() -> None:
    task = toy(Bioacoustics, labels=["hi", "lo", "never"]).eval()
    rows = task.predict(batch_of(["lo", "hi", "lo"]))
    (table,) = task.tables(rows)
    assert [row[:2] for row in table.rows] == [["hi", 1], ["lo", 2], ["never", 0]]
    assert "never" in table.note
    assert task.monitor.name == "uar"


def test_overlapping_windows_are_averaged() -> None:
    spans = [(0.0, 1.0), (0.5, 1.5), (1.0, 2.0), (3.0, 4.0)]
    scores = np.array([[0.2], [0.8], [0.9], [0.7]])
    edges, values = probabilities_over_time(spans, scores)
    assert edges.tolist() == [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0]
    np.testing.assert_allclose(values[:, 0], [0.2, 0.5, 0.85, 0.9, np.nan, 0.7])
    events = events_of(spans, scores, ["x"], threshold=0.6)
    assert [tuple(event) for event in events] == [(1.0, 2.0, "x", 0.9), (3.0, 4.0, "x", 0.7)]
    assert [event.start_s for event in events_of(spans, scores, ["x"], 0.6, shortest_s=1.01)] == []
    assert events_of(spans, scores, ["x"], threshold=0.95) == []


def test_events_of_several_labels_in_the_order_of_time() -> None:
    spans = [(number * 0.5, number * 0.5 + 0.5) for number in range(4)]
    scores = np.array([[0.9, 0.1], [0.9, 0.9], [0.1, 0.9], [0.9, 0.1]])
    found = [(event.start_s, event.end_s, event.label) for event in events_of(spans, scores, ["a", "b"])]
    assert found == [(0.0, 1.0, "a"), (0.5, 1.5, "b"), (1.5, 2.0, "a")]


def timeline_rows() -> list[dict[str, Any]]:
    calls = [[0.4, 0.9, "lo"], [2.0, 3.0, "hi"]]
    rows = []
    for number in range(8):
        start = number * 0.5
        inside = [call for call in calls if float(call[0]) < start + 1 and float(call[1]) > start]
        scores = [0.9 if any(call[2] == name for call in inside) else 0.1 for name in ("hi", "lo")]
        row = {"recording": "a.wav", "start_s": start, "end_s": start + 1, "scores": scores, "calls": inside}
        rows.append({**row, "target": [call[2] for call in inside], "id": str(number), "speaker": None})
    return rows


def test_timeline_is_drawn(tmp_path: Path) -> None:
    task, rows = toy(), timeline_rows()
    drawn = task.figures(tmp_path, rows)
    assert list(drawn) == ["Timeline of a.wav"]
    assert list(drawn.values()) == [tmp_path / "timeline_1.png"]
    assert imread(tmp_path / "timeline_1.png").shape[0] > 150
    assert task.figures(tmp_path, rows[:1]) == {}
    many = [f"label number {number}" for number in range(20)]
    wide = [{**row, "scores": [0.1 * (number % 10) for number in range(20)]} for row in rows]
    draw_timeline(wide, many, 0.5, tmp_path / "many.png", "many")
    assert imread(tmp_path / "many.png").shape[0] < 1600


@pytest.fixture
def field(tmp_path: Path) -> tuple[Path, list[Annotation]]:
    """Six recordings of 6 s: tones of 1 kHz (`lo`) and 3 kHz (`hi`) at known times, in noise, at 32 kHz."""
    rng = np.random.default_rng(0)
    calls = []
    for number in range(6):
        samples = 0.01 * rng.standard_normal(6 * 32000)
        path = tmp_path / "field" / f"day{number}.wav"
        path.parent.mkdir(exist_ok=True)
        for label, hz, start in (("lo", 1000, 0.5 + 0.3 * number), ("hi", 3000, 3.0 + 0.2 * number)):
            place = slice(round(start * 32000), round((start + 1) * 32000))
            samples[place] += 0.2 * np.sin(2 * np.pi * hz * np.arange(32000) / 32000)
            calls.append(Annotation(start, start + 1.0, label, str(path)))
        soundfile.write(path, samples, 32000, subtype="PCM_16")
    return tmp_path / "field", calls


@pytest.fixture
def run(field: tuple[Path, list[Annotation]], tmp_path: Path) -> Path:
    """A trained run on windows of the recordings, split by recording."""
    folder, calls = field
    windows = list(cuts_of_windows(calls, Windows(0.5, 0.25), root=folder)["all"])
    splits = split_cuts(windows, dict.fromkeys(("train", "dev", "test"), 1 / 3))
    write_manifests(splits, tmp_path / "manifests")
    overrides = [
        "downstream=bioacoustic_windows",
        "setting=default",
        "upstream=log_mel",
        f"data.dir={tmp_path}/manifests",
    ]
    overrides += ["trainer.steps=40", "trainer.eval_every=20", "trainer.lr=0.03", "features=off"]
    return train(read_experiment(None, overrides), tmp_path / "run")


def test_from_annotations_to_annotations(
    run: Path, field: tuple[Path, list[Annotation]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows, training, mAP, a timeline; then tables for whole recordings whose events lie where the calls are."""
    folder, calls = field
    loaded = load_run(run)
    assert loaded.evaluate("test")["map"].value > 0.95
    facts = json.loads((run / "test" / "metrics.json").read_text())
    assert facts["tables"][0]["title"] == "Classes"
    assert (run / "test" / "timeline_1.png").is_file()
    rows = [json.loads(line) for line in (run / "test" / "predictions.jsonl").read_text().splitlines()]
    assert len({row["speaker"] for row in rows}) > 1

    add_commands_of_tasks()
    wav = folder / "day5.wav"
    for kind in ("raven", "audacity", "csv"):
        out = tmp_path / f"table-{kind}.txt"
        done = CliRunner().invoke(app, ["annotate", str(run), str(wav), "--out", str(out), "--format", kind])
        assert done.exit_code == 0, done.output
        found = read_annotations(out, kind)  # type: ignore[arg-type]
        expected = [call for call in calls if call.path == str(wav)]
        assert [row.label for row in found] == [call.label for call in expected]
        for row, call in zip(found, expected, strict=True):
            assert row.start_s == pytest.approx(call.start_s, abs=0.3)
            assert row.end_s == pytest.approx(call.end_s, abs=0.3)
    done = CliRunner().invoke(app, ["annotate", str(run), str(folder), "--out", str(tmp_path / "all"), "--json"])
    assert [row["recording"] for row in json.loads(done.stdout)] == [f"day{number}" for number in range(6)]
    assert len(list((tmp_path / "all").iterdir())) == 6
    with pytest.raises(ConfigError, match="one table and there are 6 recordings"):
        CliRunner().invoke(app, ["annotate", str(run), str(folder), "--out", "x.txt"], catch_exceptions=False)
    with pytest.raises(ConfigError, match="Did you mean raven"):
        CliRunner().invoke(
            app, ["annotate", str(run), str(wav), "--out", "x.txt", "--format", "rave"], catch_exceptions=False
        )

    # A long recording in bounded memory: never more windows at once than a batch has.
    sizes = []
    probabilities = BioacousticWindows.probabilities
    monkeypatch.setattr(
        BioacousticWindows,
        "probabilities",
        lambda task, batch: sizes.append(batch.wavs.numel()) or probabilities(task, batch),
    )
    long = np.concatenate([soundfile.read(wav)[0]] * 10)
    soundfile.write(tmp_path / "long.flac", long, 32000)
    (row,) = loaded.predict(cuts_from_files([tmp_path / "long.flac"], ["long"]))
    assert len(row["windows"]) == len(row["scores"]) == 239
    assert [event[2] for event in row["events"]] == ["lo", "hi"] * 10
    assert max(sizes) <= 32 * 8000
    assert "lo" in loaded.task.columns(row)["labels"]


def test_windows_of_one_recording_in_two_splits_are_refused(
    field: tuple[Path, list[Annotation]], tmp_path: Path
) -> None:
    folder, calls = field
    windows = list(cuts_of_windows(calls, Windows(0.5, 0.25), root=folder)["all"])
    write_manifests(split_cuts(windows, {"train": 0.5, "dev": 0.25, "test": 0.25}, by="item"), tmp_path / "leaky")
    overrides = ["downstream=bioacoustic_windows", "setting=default", "upstream=log_mel", f"data.dir={tmp_path}/leaky"]
    with pytest.raises(ManifestError, match=r"train & dev share \d of recording, for instance '.*day\d\.wav'"):
        train(read_experiment(None, overrides), tmp_path / "out")


def test_a_leak_is_a_warning_where_nothing_forbids_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    samples = 0.1 * np.random.default_rng(0).standard_normal(RATE * 2)
    soundfile.write(tmp_path / "tape.wav", samples, RATE)
    lines = ["path,start,end,label,split"]
    for number in range(8):
        split = ("train", "train", "dev", "test")[number // 2]
        lines.append(f"tape.wav,{number * 0.2:.1f},{number * 0.2 + 0.2:.1f},{number % 2},{split}")
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    write_manifests(cuts_from_csv(tmp_path / "table.csv"), tmp_path)
    overrides = [
        "downstream=bioacoustics",
        "upstream=log_mel",
        f"data.dir={tmp_path}",
        "features=off",
        "trainer.steps=1",
    ]
    train(read_experiment(None, overrides), tmp_path / "run")
    warned = [record.getMessage() for record in caplog.records if "source recording" in record.getMessage()]
    assert [message.split(" share")[0] for message in warned] == [
        "Warning: train & dev",
        "Warning: train & test",
        "Warning: dev & test",
    ]
    assert all("tape.wav" in message for message in warned)
    assert len(read_manifest(tmp_path / "test.jsonl.gz")) == 2


def test_annotate_needs_a_run_that_hears_windows(tmp_path: Path) -> None:
    for number in range(6):
        soundfile.write(tmp_path / f"{number}.wav", 0.1 * np.random.default_rng(number).standard_normal(4000), RATE)
    lines = ["path,label,split", *(f"{n}.wav,{n % 2},{('train', 'dev', 'test')[n // 2]}" for n in range(6))]
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    write_manifests(cuts_from_csv(tmp_path / "table.csv"), tmp_path)
    overrides = [
        "downstream=bioacoustics",
        "upstream=log_mel",
        f"data.dir={tmp_path}",
        "trainer.steps=1",
        "features=off",
    ]
    run = train(read_experiment(None, overrides), tmp_path / "run")
    add_commands_of_tasks()
    with pytest.raises(ConfigError, match="only one of bioacoustic_windows finds events"):
        CliRunner().invoke(app, ["annotate", str(run), "0.wav", "--out", "x.txt"], catch_exceptions=False)


def test_settings() -> None:
    sound = read_experiment(None, ["downstream=bioacoustics", "setting=default"])
    assert (sound.data.disjoint, sound.task["class_weights"]) == ("recording", True)
    published = read_experiment(None, ["downstream=bioacoustics", "setting=infant_marmosets"])
    config = structured(Bioacoustics.Config, published.task)
    assert (config.pooling, config.hidden, config.projector_width) == ("statistics", [128, 64, 32], None)
    assert published.trainer.steps == 30 * -(-51044 // 32) - 30 * 1  # 30 epochs of whole batches
    assert published.data.disjoint == ""
