"""The code of the package as text, by module, for tests that read it."""

from __future__ import annotations

import runpy
from typing import Any

from toys.core import ROOT

PICTURE: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "make_floors.py"))  # which draws the picture of the floors
SOURCES: dict[str, str] = PICTURE["sources_of"](ROOT)
