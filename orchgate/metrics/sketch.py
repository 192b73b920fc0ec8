"""What many whole numbers add up to, with their quantiles. Imports msgspec.

The quantiles are those of DDSketch (Masson, Rim and Lee, "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with
Relative-Error Guarantees", PVLDB 12(12), 2019), without its limit on the number of buckets: what is measured here
spans few of them, and a sketch that never collapses adds up exactly. The `ddsketch` package keeps its sum as a float,
which depends on the order, and cannot take a value out again.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from math import ceil, log

from orchgate.lib.codec import Struct
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeVar

    Name = TypeVar("Name", str, int)

QUANTILE_ERROR = 0.01  # a quantile is at most this fraction away from a value that is really there
_GAMMA = (1 + QUANTILE_ERROR) / (1 - QUANTILE_ERROR)
_SCALE = 1 / math.log(_GAMMA)
_MIDDLE = 2 / (_GAMMA + 1)  # of a bucket, as a fraction of its upper end: equally far from both in relative terms
_ZERO = -1  # the bucket of zeros: logarithms have none
_EXACT = 1 << 53  # below it, floats add up whole numbers without an error
_ends: dict[int, int] = {}  # of buckets, see `_end`


class Spread(Struct, array_like=True, gc=False):
    """What many whole numbers, none below zero, add up to.

    `lows` and `highs` count how often the extremes occurred, so that one occurrence can be taken out again.
    A bucket `i` counts the values in (g**(i-1), g**i], where g is (1 + ERROR) / (1 - ERROR).
    """

    count: int = 0
    total: int = 0
    low: int = 0
    lows: int = 0
    high: int = 0
    highs: int = 0
    buckets: dict[int, int] = {}


def spread_of(values: list[int]) -> Spread:
    """What whole numbers add up to, at least one."""
    spread = Spread()
    put(spread, list(values))
    return spread


def put(spread: Spread, values: list[float]) -> None:
    """Adds whole numbers, at least one and none below zero, in place. The list is sorted: neighbours share a bucket."""
    values.sort()
    _stretch(spread, values)
    total = sum(values)
    spread.count += len(values)
    spread.total += int(total) if total < _EXACT else sum(map(int, values))
    buckets, count = spread.buckets, len(values)
    place = bisect_right(values, 0)
    if place:
        buckets[_ZERO] = buckets.get(_ZERO, 0) + place
    while place < count:
        index = ceil(log(values[place]) * _SCALE)
        after = bisect_right(values, _ends.get(index) or _end(index), place)
        buckets[index] = buckets.get(index, 0) + after - place
        place = after


def _stretch(spread: Spread, values: Sequence[float]) -> None:
    low, high = int(values[0]), int(values[-1])
    lows, highs = bisect_right(values, low), len(values) - bisect_left(values, high)
    if not spread.count or low < spread.low:
        spread.low, spread.lows = low, lows
    elif low == spread.low:
        spread.lows += lows
    if not spread.count or high > spread.high:
        spread.high, spread.highs = high, highs
    elif high == spread.high:
        spread.highs += highs


def _end(index: int) -> int:
    """The largest whole number in a bucket: by the same arithmetic that puts a single number there."""
    number = int(_GAMMA**index)
    while ceil(log(number + 1) * _SCALE) <= index:
        number += 1
    while ceil(log(number) * _SCALE) > index:
        number -= 1
    _ends[index] = number
    return number


def merge_spreads(one: Spread, other: Spread) -> Spread:
    """What both add up to; the order does not matter."""
    if not one.count or not other.count:
        full = one if one.count else other
        return Spread(full.count, full.total, full.low, full.lows, full.high, full.highs, dict(full.buckets))
    low, high = min(one.low, other.low), max(one.high, other.high)
    buckets = dict(one.buckets)
    for index, count in other.buckets.items():
        buckets[index] = buckets.get(index, 0) + count
    return Spread(
        one.count + other.count,
        one.total + other.total,
        low,
        sum(side.lows for side in (one, other) if side.low == low),
        high,
        sum(side.highs for side in (one, other) if side.high == high),
        buckets,
    )


def quantile(spread: Spread, fraction: float) -> float | None:
    """The value below which a fraction of all values is, within `ERROR` of a real one; None when there are none."""
    if not spread.count:
        return None
    rank = math.floor(fraction * (spread.count - 1))
    if rank <= 0 or spread.low == spread.high:
        return spread.low
    if rank >= spread.count - 1:
        return spread.high
    for index in sorted(spread.buckets):
        rank -= spread.buckets[index]
        if rank < 0:
            middle = _MIDDLE * _GAMMA**index if index != _ZERO else 0.0
            return min(max(middle, spread.low), spread.high)
    return spread.high


def without(spread: Spread, values: list[int]) -> Spread:
    """A copy without some values that are in it, for quantiles only: its extremes stay those of the whole."""
    copy = merge_spreads(spread, Spread())
    if values:
        take(copy, spread_of(values))
    return copy


class Unknown(Exception):
    """What is left cannot be known without reading all the others: what is taken out held an extreme."""


def take(spread: Spread, other: Spread) -> None:
    """Takes values out again, in place; how often the extremes are left is for whoever asks. Raises Unknown."""
    spread.count -= other.count
    spread.total -= other.total
    spread.lows -= other.lows if other.low == spread.low else 0
    spread.highs -= other.highs if other.high == spread.high else 0
    spread.buckets = differences(spread.buckets, other.buckets)


def differences(whole: Mapping[Name, int], part: Mapping[Name, int]) -> dict[Name, int]:
    left = {name: count - part.get(name, 0) for name, count in whole.items()}
    if part.keys() - whole.keys() or min(left.values(), default=0) < 0:
        raise Unknown
    return {name: count for name, count in left.items() if count}
