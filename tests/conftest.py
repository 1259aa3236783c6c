"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is read from the cache folder of whoever runs the tests, nor left there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUDIOSSL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
