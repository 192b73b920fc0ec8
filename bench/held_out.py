"""How often a verdict is wrong: recorded pairs that no constant was chosen by, judged as in bench/accuracy."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from common import Bench, Row, main

from orchgate.verdict.values import Policy

sys.path.insert(0, str(Path(__file__).with_name("accuracy")))
import table
from streams import everything, was_tuned_on

if TYPE_CHECKING:
    from collections.abc import Iterator

METRIC = "cpu_seconds"
# Pairs of a comparison -> injected percent -> the share that has to be found.
POWER = {32: {5: 0.88, 10: 0.985}, 64: {5: 0.97, 10: 0.995}}
COVERED = 0.95


def rows() -> Iterator[Row]:
    streams = [one for one in everything() if not was_tuned_on(one)]
    conditions = sorted({one.condition for one in streams})
    tracks = [table.tracks([one for one in streams if one.condition == condition]) for condition in conditions]
    for length, least in POWER.items():
        flips = random.Random(table.SEED)
        found: dict[int, list[table.Window]] = {}
        for percent, window in (pair for one in tracks for pair in table.windows(one, length, METRIC)):
            copies = [] if percent else [table.relabelled(window, flips) for _ in range(table.RELABELLINGS)]
            found.setdefault(percent, []).extend([window, *copies])
        yield from _judged(length, found, least)


def _judged(length: int, found: dict[int, list[table.Window]], least: dict[int, float]) -> Iterator[Row]:
    alone, every = Policy({METRIC: table.POLICY[METRIC]}), Policy(table.POLICY)
    what = f"held-out streams, {length} pairs"
    same = found[0]
    refused = sum(table.decided(window, every, METRIC).refused for window in same)
    yield Row(f"{what}: the same work refused, any of three metrics", f"{refused:,} of {len(same):,}", "0", not refused)
    covered = total = 0
    for percent, windows in sorted(found.items()):
        one = table.outcomes([(window, table.decided(window, alone, METRIC)) for window in windows])
        covered, total = covered + one.covered, total + one.total
        if percent in least:
            share = one.found / one.total
            limit = least[percent]
            yield Row(f"{what}: {percent} % more work found", f"{share:.1%}", f"{limit:.1%}", share >= limit)
    yield Row(f"{what}: intervals cover", f"{covered / total:.1%}", f"{COVERED:.0%}", covered >= COVERED * total)


BENCHES = (Bench("accuracy", rows, limit=True),)

if __name__ == "__main__":
    main(rows)
