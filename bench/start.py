"""How long nothing takes: `orchgate --version` against `python -c pass`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from common import ORCHGATE, Row, cost, main

if TYPE_CHECKING:
    from collections.abc import Iterator


def rows() -> Iterator[Row]:
    bare = cost([sys.executable, "-c", "pass"], times=21)
    version = cost([ORCHGATE, "--version"], times=21)
    ratio = version.wall / bare.wall
    yield Row(
        "orchgate --version",
        f"{version.wall * 1000:.0f} ms, {ratio:.2f} x python",
        "2.5 x python -c pass",
        ratio <= 2.5,
    )


if __name__ == "__main__":
    main(rows)
