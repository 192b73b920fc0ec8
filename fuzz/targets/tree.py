"""A tree that changes at random: what is said of it from what was kept is what a judgement anew says.

An input is only the seed of a chance, and makes a repository of its own that changes ten times.
"""

from __future__ import annotations

import os
import random
import shutil
from typing import TYPE_CHECKING

from fuzz.changing_tree import ChangingTree
from orchgate.gate import asked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CHANGES = 10
SMOKE = 2


def seeds() -> Iterable[bytes]:
    # 10,000 changes, before any input that something chooses.
    yield from (number.to_bytes(2, "big") for number in range(1_000))


def prepare(folder: str) -> Callable[[bytes], int]:
    # What was written a moment ago counts as old: nothing else would be kept. Stamps tell two writes apart here.
    asked.RACY = -(10**18)

    def one(data: bytes) -> int:
        place = os.path.join(folder, "tree")
        shutil.rmtree(place, ignore_errors=True)
        os.mkdir(place)
        tree = ChangingTree(place, random.Random(data))
        for _ in range(CHANGES):
            tree.compare()
            tree.change()
        return CHANGES

    return one
