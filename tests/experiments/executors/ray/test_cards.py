"""Ray has a name, which can be listed without ray."""

from __future__ import annotations

import subprocess
import sys

from audiossl.core.registry import import_target
from audiossl.experiments.executors.ray.cards import CARDS


def test_the_name_stands_for_a_class_with_settings() -> None:
    assert [card.name for card in CARDS] == ["ray"]
    assert hasattr(import_target(CARDS[0].target), "Config")


def test_neither_ray_nor_torch_is_loaded_to_name_it() -> None:
    code = (
        "import sys\nfrom audiossl.experiments.executors.contract import EXECUTORS\nEXECUTORS.load('ray')\n"
        "sys.exit(bool({'ray', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
