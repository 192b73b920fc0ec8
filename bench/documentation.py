"""How long the documentation takes to build, from nothing: `nox -s docs` without its installation."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from common import Row, cost, main

if TYPE_CHECKING:
    from collections.abc import Iterator

TOP = Path(__file__).parent.parent
LIMIT = 60.0  # seconds


def rows() -> Iterator[Row]:
    what, limit = "the documentation, built strictly", f"{LIMIT:.0f} s"
    if importlib.util.find_spec("zensical") is None:
        yield Row(what, "zensical is not installed", limit, None)
        return
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(TOP / "docs", os.path.join(folder, "docs"))
        os.symlink(TOP / "mkdocs.yml", os.path.join(folder, "mkdocs.yml"))
        took = cost([sys.executable, "-m", "zensical", "build", "--clean", "--strict"], times=3, cwd=folder).wall
    yield Row(what, f"{took:.1f} s", limit, took <= LIMIT)


if __name__ == "__main__":
    main(rows)
