"""What all tests share."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is read from the cache folder of whoever runs the tests, nor left there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIOSSL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def lazy_modules_have_no_file() -> None:
    """hypothesis asks every loaded module for its file; speechbrain's lazy ones would import optional packages then."""
    speechbrain = sys.modules.get("speechbrain.utils.importutils")
    if speechbrain is not None:
        for module in list(sys.modules.values()):
            if isinstance(module, speechbrain.LazyModule):
                vars(module).setdefault("__file__", None)
