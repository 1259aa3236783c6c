"""Query by example from manifests to figures, what dev chooses, and bad input."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from lhotse import CutSet, MonoCut
from toys.searches import MELODIES, write_search

from audiossl import load_run, load_upstream
from audiossl.core.config import structured
from audiossl.core.errors import ConfigError, LabelError, TrainingError
from audiossl.core.files import read_jsonl
from audiossl.data.loader import collate
from audiossl.data.manifests import read_manifest
from audiossl.downstreams.query_by_example.task import QueryByExample, QueryByExampleConfig
from audiossl.experiments.config import read_experiment
from audiossl.experiments.folder import RunFolder
from audiossl.experiments.start import train
from audiossl.training.interface import build_interface

SMALL = {"width": 16, "num_layers": 1, "num_heads": 2, "ffn_width": 32}
EVEN = ("task.prior=0.5", "task.miss=1.0")
TERA = ("upstream=tera", "upstream_options={weights: random, width: 16, num_layers: 2, num_heads: 2, ffn_width: 32}")


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_search(tmp_path_factory.mktemp("search"))


def trained(manifests: Path, out: Path, *settings: str) -> Path:
    given = ["downstream=query_by_example", "upstream=log_mel", f"data.dir={manifests}", "cache.dir=", *EVEN, *settings]
    given = [setting for setting in given if setting != "cache.dir="] + [f"cache.dir={out.parent / 'cache'}"]
    return train(read_experiment(None, given), out)


def made(name: str = "log_mel", **options: Any) -> QueryByExample:
    upstream = load_upstream(name, **options)
    config = structured(QueryByExampleConfig, {"prior": 0.5, "miss": 1.0})
    task = QueryByExample(upstream, build_interface("last", upstream.widths, {}), config)
    return task.eval()


def test_melodies_are_found_without_a_step(manifests: Path, tmp_path: Path) -> None:
    run = trained(manifests, tmp_path / "run")
    (line,) = read_jsonl(run / "log.jsonl")
    assert (line["step"], line["split"]) == (0, "dev")
    assert line["mtwv"] > 0.8
    metrics = load_run(run, device="cpu").evaluate("test")
    assert metrics["mtwv"].value > 0.8
    assert metrics["atwv"].value <= metrics["mtwv"].value + 1e-9
    assert metrics["cnxe"].value < 1
    facts = json.loads((run / "test" / "metrics.json").read_text())
    assert (facts["num_queries"], facts["num_documents"], facts["layer"]) == (4, 4, 0)
    assert [table["title"] for table in facts["tables"]] == ["MTWV on dev by layer", "Terms"]
    rows = list(read_jsonl(run / "test" / "predictions.jsonl"))
    assert {row["term"] for row in rows} == set(MELODIES)
    assert all(len(row["scores"]) == 4 and len(row["target"]) == 2 for row in rows)
    assert sum(row["num_errors"] for row in rows) / 4 == pytest.approx(1 - metrics["atwv"].value)
    assert all("audio" in row for row in rows)


def test_the_layer_is_chosen_on_dev_and_kept(manifests: Path, tmp_path: Path) -> None:
    run = trained(manifests, tmp_path / "run", *TERA)
    task = load_run(run, device="cpu").task
    assert isinstance(task, QueryByExample)
    choice, values = task.choice, task.get_buffer("on_dev")
    assert choice is not None
    assert values.max() == values[choice.layer].max()
    assert not values.isnan().any()
    weights = json.loads((run / "interface.json").read_text())["layer_weights"]["layers"]
    assert weights == [float(layer == choice.layer) for layer in range(3)]
    one = trained(manifests, tmp_path / "one", *TERA, "interface=layer", "interface_options.index=1")
    chosen = load_run(one, device="cpu").task
    assert isinstance(chosen, QueryByExample)
    assert chosen.choice is not None
    assert chosen.choice.layer == 1
    assert float(chosen.get_buffer("on_dev")[1].max()) == pytest.approx(float(values[1].max()))


def test_results_are_those_without_the_cache(manifests: Path, tmp_path: Path) -> None:
    found = []
    for features in ("frames", "off"):
        run = trained(manifests, tmp_path / features, f"features={features}", "cache.dtype=fp32")
        load_run(run, device="cpu").evaluate("test")
        found.append([row["scores"] for row in read_jsonl(run / "test" / "predictions.jsonl")])
    for one, other in zip(*found, strict=True):
        assert one == pytest.approx(other, abs=1e-3)


def test_a_sweep_over_layers_and_a_run_that_goes_on_choose_alike(manifests: Path, tmp_path: Path) -> None:
    sweep = trained(manifests, tmp_path / "sweep", *TERA, "sweep.interface=[{name: layer, index: 0}, last]")
    record = json.loads((sweep / "sweep.json").read_text())
    assert {member["state"] for member in record["members"]} == {"finished"}
    run = trained(manifests, tmp_path / "run")
    again = train(RunFolder(run).config(), run, resume=True)
    assert len(list(read_jsonl(again / "log.jsonl"))) == 1


def test_predictions_of_new_rows_need_queries_and_documents(manifests: Path, tmp_path: Path) -> None:
    run = load_run(trained(manifests, tmp_path / "run"), device="cpu")
    rows = list(read_manifest(manifests / "test.jsonl.gz"))
    found = run.predict(CutSet.from_cuts(rows))
    shown = {row["term"]: run.task.columns(row)["found in"] for row in found}
    assert "test_down_up" in shown["down"]
    documents = [cut for cut in rows if not cut.supervisions[0].custom["query"]]
    with pytest.raises(LabelError, match="None of the rows is a query"):
        run.predict(CutSet.from_cuts(documents))
    with pytest.raises(LabelError, match="All rows are queries"):
        run.predict(CutSet.from_cuts([cut for cut in rows if cut not in documents]))


def test_a_query_longer_than_a_document_is_searched_all_the_same(manifests: Path) -> None:
    rows = {str(cut.id): cut for cut in read_manifest(manifests / "dev.jsonl.gz")}
    task, query, document = made(), rows["dev_up"], rows["dev_down_up"]
    short = document.truncate(offset=0.1, duration=0.1)
    short.id = "short"
    batch = collate([query, document, short], 16000)
    (row,) = task.predict(batch)
    found = dict(zip(row["documents"], row["raw"][0].tolist(), strict=True))
    assert found["dev_down_up"] > found["short"] > -1.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("finetune=all", "Nothing of query_by_example trains"),
        ("adversary=speaker", "adversary.field=speaker is a setting"),
        ("stages.more.trainer.lr=0.1", "stages is a setting"),
        ("checkpoint=last", "checkpoint=last is a setting"),
        ("upstream=[log_mel,mfcc]", "are several encoders"),
    ],
)
def test_what_trains_is_refused(settings: str, message: str, manifests: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        trained(manifests, tmp_path / "run", settings)


def test_bad_rows_are_one_sentence(manifests: Path, tmp_path: Path) -> None:
    rows = list(read_manifest(manifests / "dev.jsonl.gz"))
    task = made()
    queries = [cut for cut in rows if cut.supervisions[0].custom["query"]]
    documents = [cut for cut in rows if cut not in queries]
    for wrong, message in (
        (documents, "have no query, as none of the 4 have something in the column 'query'"),
        (queries, "have no document"),
        ([*queries, documents[0].drop_supervisions()], "do not say which terms are in them, the first is"),
        ([queries[0], *(cut for cut in documents if "down" not in cut.id)], "in some of its 2 documents and not in"),
    ):
        with pytest.raises(LabelError, match=message):
            task.check_split(wrong, "dev")
    task.check_split(documents, "train")
    with pytest.raises(LabelError, match=r"lasts 0.001 s, of which .* makes no frame"):
        made("wav2vec2", weights="random", **SMALL).check_cuts(
            [MonoCut("q", 0, 0.001, 0, queries[0].supervisions)], "dev.jsonl.gz"
        )
    with pytest.raises(TrainingError, match="has no loss"):
        task.loss(collate(rows, 16000))


def test_a_query_that_is_nowhere_and_one_that_is_too_short_are_told(manifests: Path) -> None:
    rows = list(read_manifest(manifests / "dev.jsonl.gz"))
    nowhere = deepcopy(rows[0].truncate(duration=0.25))
    nowhere.id, nowhere.supervisions[0].custom["query"] = "nowhere", "cat"
    short = rows[1].truncate(duration=0.03)
    short.id = "short"
    task, batch = made(), collate([*rows, nowhere, short], 16000)
    with torch.no_grad():
        predictions = list(task.assemble(task.predict(batch), "dev"))
    facts = task.facts(predictions)
    assert (facts["found_nowhere_or_everywhere"], facts["too_short"], facts["num_queries"]) == (1, 1, 6)
    assert task.score(predictions)["mtwv"].num_clusters == 4
    by_id = {row["id"]: row for row in predictions}
    assert len(set(by_id["short"]["scores"].values())) == 1
    assert (by_id["nowhere"]["num_units"], by_id["nowhere"]["target"]) == (0.0, [])
