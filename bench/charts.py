"""What drawing a chart costs, and how large it is: on a page of at most 300 KB there is more than one."""

from __future__ import annotations

import random
import time
from statistics import median
from typing import TYPE_CHECKING

from common import Row, main

from orchgate.charts import trend
from orchgate.charts.shapes import Band, Point, State, Trend, Unit

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_BYTES = 40 * 1024
LIMITS = {500: 0.02, 10_000: 0.25}  # seconds


def rows() -> Iterator[Row]:
    for number, limit in LIMITS.items():
        chart = made(number)
        seconds, text = median(cost(chart)[0] for _ in range(9)), cost(chart)[1]
        size = len(text.encode())
        yield Row(
            f"a trend of {number:,} runs drawn, CPU",
            f"{seconds * 1000:.1f} ms",
            f"{limit * 1000:.0f} ms",
            seconds <= limit,
        )
        yield Row(f"a trend of {number:,} runs, size", f"{size / 1024:.1f} KiB", "40 KiB", size <= LIMIT_BYTES)


def made(number: int) -> Trend:
    """Of runs like recorded ones; one in seventeen failed."""
    draw = random.Random(number)
    points = [
        Point(
            40 + draw.gauss(0, 1.5),
            f"r{nth % 1000}",
            f"#r{nth % 1000}",
            State.FAILED if nth % 17 == 0 else State.SUCCEEDED,
            1.79e9 + 7200 * nth,
        )
        for nth in range(number)
    ]
    return Trend("t", "Wall time", Unit.SECONDS, points, Band(38, 40, 42))


def cost(chart: Trend) -> tuple[float, str]:
    start = time.process_time()
    text = trend.svg(chart)
    return time.process_time() - start, text


if __name__ == "__main__":
    main(rows)
