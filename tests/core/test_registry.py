"""Names: from folders, from the decorator and from other distributions, and none of it imports torch."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from toys.core import ROOT, ToyUpstream

from audiossl import DOWNSTREAMS, INTERFACES, OBJECTIVES, UPSTREAMS, load_upstream
from audiossl.core.cards import Card, UpstreamCard
from audiossl.core.errors import AudiosslError, CheckpointError, ConfigError, UnknownNameError
from audiossl.core.registry import Registry, RegistryEntry
from audiossl.experiments.loading import load_run
from audiossl.experiments.start import train


def test_the_names_of_the_folders_are_there() -> None:
    assert {"log_mel", "fbank", "tera", "audio_albert"} <= set(UPSTREAMS.names())
    assert "utterance_classification" in DOWNSTREAMS.names()
    assert {"last", "weighted_sum", "pca"} <= set(INTERFACES.names())
    assert "tera" in OBJECTIVES
    assert OBJECTIVES.owner("tera") == "audiossl.objectives.tera"
    assert UPSTREAMS.owner("tera") == "audiossl.upstreams.tera"
    assert UPSTREAMS.card("audio_albert").options == {"share_layers": True}


@pytest.mark.parametrize(
    "registry", [UPSTREAMS, DOWNSTREAMS, INTERFACES, OBJECTIVES], ids=lambda registry: registry.kind
)
def test_every_card_leads_to_something_and_says_what_it_is(registry: Registry) -> None:
    for name in registry.names():
        assert callable(registry.load(name))
        assert registry.card(name).name == name
        assert registry.card(name).summary


def test_patterns() -> None:
    assert UPSTREAMS.names("*mel") == ["log_mel"]
    assert "log_mel" in UPSTREAMS.names("mel")  # a part of a name
    assert UPSTREAMS.names("mel*") == ["mel_transformer"]  # a pattern is anchored
    assert UPSTREAMS.names("f?ank") == ["fbank"]
    assert UPSTREAMS.names() == sorted(UPSTREAMS.names())


def test_an_unknown_name_gets_the_closest_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"^There is no upstream named 'log_mle'\. Did you mean log_mel\?"):
        load_upstream("log_mle")
    with pytest.raises(UnknownNameError, match="See `audiossl list interfaces`"):
        INTERFACES.load("zzz")


@pytest.fixture
def registry() -> Registry:
    return Registry("upstream", "audiossl.upstreams", "audiossl.nothing")


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_decorator_adds_a_name_before_and_after_discovery(registry: Registry, when: str) -> None:
    if when == "after":
        assert "mine" not in registry

    @registry.register("mine", paper="none")
    class Mine(ToyUpstream):
        """An encoder of mine."""

    assert registry.load("mine") is Mine
    card = registry.card("mine")
    assert isinstance(card, UpstreamCard)
    assert (card.summary, card.paper) == ("An encoder of mine.", "none")
    registry.register("mine")(Mine)  # the same again, as when a module is reloaded


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_name_with_two_owners_is_an_error_and_the_first_stays(registry: Registry, when: str) -> None:
    if when == "after":
        assert "log_mel" in registry
        with pytest.raises(ConfigError, match="Two plugins claim the upstream name 'log_mel'"):
            registry.register("log_mel")(ToyUpstream)
        assert registry.card("log_mel").summary.startswith("Log mel")
    else:
        registry.register("log_mel")(ToyUpstream)
        with pytest.raises(ConfigError, match=r"audiossl\.upstreams\.baselines .* toys\.core .*Rename one of them"):
            registry.names()


MODULE = '''
from dataclasses import dataclass

import torch

from audiossl import Upstream


@dataclass(frozen=True)
class BlocksConfig:
    width: int = 6


class Blocks(Upstream):
    """Energy in blocks of 400 samples through one matrix."""

    Config = BlocksConfig

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.stride = self.receptive_field = 400
        self.widths = (config.width,)
        self.matrix = torch.nn.Linear(400, config.width)

    def encode(self, wavs, lengths, last):
        return (self.matrix(wavs[:, : wavs.shape[1] // 400 * 400].unflatten(1, (-1, 400))).abs(),)
'''

CARDS = """
from audiossl.core.cards import UpstreamCard

WIDE = UpstreamCard("any", "blocks_of_theirs.model:Blocks", "Blocks of ten.", options={"width": 10}, licence="MIT")
NOT_A_CARD = 3
"""

METADATA = "Metadata-Version: 2.1\nName: blocks-of-theirs\nVersion: 1.0\nSummary: Blocks.\n"

ENTRY_POINTS = """[audiossl.upstreams]
their_blocks = blocks_of_theirs.model:Blocks
their_wide_blocks = blocks_of_theirs.cards:WIDE
"""


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Path]]:
    """Installs a distribution with the given entry points in a folder of its own; names are then found anew."""
    site = tmp_path / "site"

    def install(entry_points: str) -> Path:
        package, info = site / "blocks_of_theirs", site / "blocks_of_theirs-1.0.dist-info"
        package.mkdir(parents=True)
        info.mkdir()
        (package / "__init__.py").write_text("")
        (package / "model.py").write_text(MODULE)
        (package / "cards.py").write_text(CARDS)
        (info / "METADATA").write_text(METADATA)
        (info / "entry_points.txt").write_text(entry_points)
        monkeypatch.syspath_prepend(str(site))
        importlib.invalidate_caches()
        UPSTREAMS.__dict__.pop("_discovered", None)
        return site

    yield install
    UPSTREAMS.__dict__.pop("_discovered", None)
    for name in [name for name in sys.modules if name.startswith("blocks_of_theirs")]:
        del sys.modules[name]


def test_an_entry_point_is_listed_described_loaded_and_trained(
    distribution: Callable[[str], Path], experiment: Callable[..., Any], audiossl: Callable[..., Any], tmp_path: Path
) -> None:
    distribution(ENTRY_POINTS)
    listed = {card["name"]: card for card in json.loads(audiossl("list", "upstreams", "their*", "--json").out)}
    assert listed["their_blocks"]["summary"] == "Blocks."
    assert listed["their_wide_blocks"]["summary"] == "Blocks of ten."
    assert "blocks_of_theirs.model" not in sys.modules  # the code waits until it is needed

    plain = json.loads(audiossl("describe", "their_blocks", "--json").out)
    wide = json.loads(audiossl("describe", "their_wide_blocks", "--json").out)
    assert (plain["widths"], plain["owner"]) == ([6], "blocks-of-theirs")
    assert (wide["widths"], wide["owner"], wide["licence"]) == ([10], "blocks_of_theirs", "MIT")

    with pytest.raises(CheckpointError, match="'their_blocks' names an architecture without weights"):
        load_upstream("their_blocks")
    features = load_upstream("their_wide_blocks", weights="random")(torch.randn(2, 1000))
    assert features.layers[0].shape == (2, 2, 10)
    run = train(
        experiment("upstream=their_wide_blocks", "upstream_options.weights=random", "trainer.steps=3"), tmp_path / "run"
    )
    assert load_run(run).task.upstream.widths == (10,)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("log_mel = blocks_of_theirs.model:Blocks", "Two plugins claim .* blocks-of-theirs .*uninstall its package"),
        ("x = blocks_of_theirs.cards:NOT_A_CARD", "x = blocks_of_theirs.cards:NOT_A_CARD must name a Card"),
    ],
)
def test_an_entry_point_that_cannot_be_is_one_line(
    distribution: Callable[[str], Path], audiossl: Callable[..., Any], line: str, message: str
) -> None:
    distribution(f"[audiossl.upstreams]\n{line}\n")
    with pytest.raises(ConfigError, match=message):
        UPSTREAMS.names()
    done = audiossl("list")
    assert (done.code, done.err.count("\n")) == (2, 1)


def test_a_card_outside_a_module_of_cards_says_where_to_put_it(distribution: Callable[[str], Path]) -> None:
    site = distribution("[audiossl.upstreams]\nx = blocks_of_theirs.more:WIDE\n")
    (site / "blocks_of_theirs" / "more.py").write_text(CARDS)
    with pytest.raises(AudiosslError, match="outside a module named cards"):
        load_upstream("x")


@pytest.mark.parametrize(
    "statement",
    [
        "import audiossl; audiossl.__version__; dir(audiossl)",
        "import sys; sys.argv = ['audiossl', 'list', 'upstreams']; from audiossl.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code",
    ],
    ids=["import", "list"],
)
def test_import_and_list_leave_torch_alone(statement: str) -> None:
    program = f"{statement}\nimport sys\nprint('loaded:', {{'torch', 'lhotse', 'numpy'}} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.endswith("loaded: set()\n"), done.stdout + done.stderr


def test_public_names_are_all_there() -> None:
    import audiossl

    assert all(getattr(audiossl, name) is not None for name in audiossl.__all__)
    assert audiossl.Card is Card
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = audiossl.nonsense


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("my_pkgg.model:Blocks", "No module named 'my_pkgg'"),
        ("audiossl.core.types:Nothing", "has no attribute 'Nothing'"),
    ],
)
def test_an_address_that_leads_nowhere_names_the_plug_in(registry: Registry, target: str, said: str) -> None:
    registry._decorated["blocks"] = RegistryEntry(UpstreamCard("blocks", target), owner="my-audio")
    with pytest.raises(ConfigError, match=rf"my-audio gives 'blocks' by the address .*{said}.* uninstall my-audio"):
        registry.load("blocks")


def test_what_a_plug_in_fails_to_import_is_shown_as_it_is(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_more.py").write_text("import something_else_entirely\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry._decorated["blocks"] = RegistryEntry(UpstreamCard("blocks", "needs_more:Blocks"), owner="my-audio")
    with pytest.raises(ModuleNotFoundError, match="something_else_entirely"):
        registry.load("blocks")
