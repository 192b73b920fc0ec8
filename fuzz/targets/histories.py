"""A metrics file that grows, is cut and is rewritten: it always adds up to what it does from scratch."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

from fuzz.violation import Violation
from orchgate.metrics import index
from tests.metrics_lines import histories

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def seeds() -> Iterable[bytes]:
    yield from (b"%d" % number for number in range(50))


def prepare(folder: str) -> Callable[[bytes], int]:
    # A few runs are as many here as a hundred thousand are elsewhere.
    index.LARGE, index.MOST_RECENT, index.MOST_SMALL, index.NEAR = 4, 2, 3, 2

    def one(data: bytes) -> int:
        for name in os.listdir(folder):
            Path(folder, name).unlink()
        try:
            return histories(Path(folder), random.Random(data))
        except AssertionError as error:
            raise Violation("an update does not add up to what the file holds") from error

    return one
