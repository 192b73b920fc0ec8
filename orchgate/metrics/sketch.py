"""Whole numbers that add up in any order: count, sum, extremes and quantiles. Imports msgspec.

The quantiles are those of DDSketch (Masson, Rim and Lee, "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with
Relative-Error Guarantees", PVLDB 12(12), 2019), without its limit on the number of buckets: what is measured here
spans few of them, and a sketch that never collapses adds up exactly. The `ddsketch` package keeps its sum as a float,
which depends on the order, and cannot take a value out again.
"""

from __future__ import annotations

import math

from msgspec import Struct

ERROR = 0.01  # a quantile is at most this fraction away from a value that is really there
_GAMMA = (1 + ERROR) / (1 - ERROR)
_SCALE = 1 / math.log(_GAMMA)
_MIDDLE = 2 / (_GAMMA + 1)  # of a bucket, as a fraction of its upper end: equally far from both in relative terms
_ZERO = -1  # the bucket of zeros: logarithms have none


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

    @property
    def mean(self) -> float:
        return self.total / self.count


def of(values: list[int]) -> Spread:
    """What many values add up to, at least one; the same as putting each, in less time."""
    low, high = min(values), max(values)
    buckets: dict[int, int] = {}
    ceil, log = math.ceil, math.log
    for value in values:
        index = ceil(log(value) * _SCALE) if value else _ZERO
        buckets[index] = buckets.get(index, 0) + 1
    return Spread(len(values), sum(values), low, values.count(low), high, values.count(high), buckets)


def put(spread: Spread, value: int) -> None:
    """Adds one value, in place."""
    if not spread.count:
        spread.low = spread.high = value
        spread.lows = spread.highs = 1
    else:
        if value <= spread.low:
            spread.lows = spread.lows + 1 if value == spread.low else 1
            spread.low = value
        if value >= spread.high:
            spread.highs = spread.highs + 1 if value == spread.high else 1
            spread.high = value
    spread.count += 1
    spread.total += value
    index = math.ceil(math.log(value) * _SCALE) if value else _ZERO
    buckets = spread.buckets
    buckets[index] = buckets.get(index, 0) + 1


def take(spread: Spread, value: int) -> bool:
    """Takes one value out again, in place. False when what is left cannot be known: it was the only extreme."""
    index = math.ceil(math.log(value) * _SCALE) if value else _ZERO
    left = spread.buckets.get(index, 0) - 1
    if left < 0:
        return False
    if left:
        spread.buckets[index] = left
    else:
        del spread.buckets[index]
    spread.count -= 1
    spread.total -= value
    spread.lows -= value == spread.low
    spread.highs -= value == spread.high
    return spread.count == 0 or (spread.lows > 0 and spread.highs > 0)


def merge(one: Spread, other: Spread) -> Spread:
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
    copy = merge(spread, Spread())
    for value in values:
        take(copy, value)
    return copy
