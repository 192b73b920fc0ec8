"""What a verdict costs: all pairs of three metrics judged anew, as after every look. How good it is: bench/accuracy."""

from __future__ import annotations

import random
import time
from statistics import median
from typing import TYPE_CHECKING

from common import Row, main

from orchgate.verdict.comparison import judge
from orchgate.verdict.values import KNOWN, Pair, Policy

if TYPE_CHECKING:
    from collections.abc import Iterator

POLICY = Policy({metric.name: metric for metric in KNOWN})


def rows() -> Iterator[Row]:
    for pairs, limit in ((8, 0.010), (32, 0.060), (256, 0.250)):
        seconds = median(cost(pairs) for _ in range(7))
        yield Row(
            f"verdict on three undecided metrics after {pairs} pairs, CPU",
            f"{seconds * 1000:.1f} ms",
            f"{limit * 1000:.0f} ms",
            seconds <= limit,
        )


def cost(pairs: int) -> float:
    """CPU seconds of a judgement that no look settles."""
    draw = random.Random(pairs)
    made = [Pair(run(draw), run(draw)) for _ in range(pairs)]
    start = time.process_time()
    judge(made, POLICY)
    return time.process_time() - start


def run(draw: random.Random) -> dict[str, float]:
    return {name: draw.lognormvariate(0, 1.5) for name in ("cpu_seconds", "wall_seconds", "max_rss_bytes")}


if __name__ == "__main__":
    main(rows)
