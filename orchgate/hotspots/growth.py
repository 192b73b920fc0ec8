"""How a figure moves from run to run, so that a few odd runs do not matter.

Slope after Theil (1950) and Sen (1968): the median of the slopes of all pairs. Whether there is one at all after Mann
(1945) and Kendall (1975): how many of the pairs rise, against what chance gives. Pure.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST = 5  # with fewer runs even a strict order is no sign
_MOST = 60  # of longer histories, as many medians of neighbours
_UNLIKELY = 1.96  # standard deviations: five in a hundred


class Series(NamedTuple):
    """A figure over several runs, oldest first, in the figure's own unit.

    `slope` is its change from one run to the next, None with fewer than `LEAST` runs. `clear`: chance alone would
    hardly give such an order.
    """

    runs: int
    median: float
    slope: float | None
    clear: bool = False


def series(values: Sequence[float]) -> Series:
    """What one or more values, oldest first, add up to."""
    from statistics import median

    if len(values) < LEAST:
        return Series(len(values), median(values), None)
    points, apart = _thinned(values)
    pairs = [(i, j) for j in range(len(points)) for i in range(j)]
    slope = median((points[j] - points[i]) / (j - i) for i, j in pairs) / apart
    rises = sum((points[j] > points[i]) - (points[j] < points[i]) for i, j in pairs)
    count = len(points)
    spread = (count * (count - 1) * (2 * count + 5) / 18) ** 0.5
    return Series(len(values), median(values), slope, clear=(abs(rises) - 1) / spread > _UNLIKELY and slope != 0)


def _thinned(values: Sequence[float]) -> tuple[Sequence[float], float]:
    """At most `_MOST` points, and how many runs apart they are: all pairs of a thousand are half a million."""
    from statistics import median

    if len(values) <= _MOST:
        return values, 1.0
    cuts = [len(values) * position // _MOST for position in range(_MOST + 1)]
    return [median(values[a:b]) for a, b in pairwise(cuts)], len(values) / _MOST
