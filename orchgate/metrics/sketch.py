"""What many whole numbers add up to, with their quantiles. Imports msgspec.

The quantiles are those of DDSketch (Masson, Rim and Lee, "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with
Relative-Error Guarantees", PVLDB 12(12), 2019), without its limit on the number of buckets: what is measured here
spans few of them, and a sketch that never collapses adds up exactly. The `ddsketch` package keeps its sum as a float,
which depends on the order, and cannot take a value out again.
"""

from __future__ import annotations

import math
import sys
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from itertools import accumulate, compress
from math import ceil, log
from operator import itemgetter

from orchgate.lib.codec import Struct
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeVar

    Name = TypeVar("Name", str, int)

QUANTILE_ERROR = 0.01  # a quantile is at most this fraction away from a value that is really there
_GAMMA = (1 + QUANTILE_ERROR) / (1 - QUANTILE_ERROR)
SCALE = 1 / math.log(_GAMMA)
_MIDDLE = 2 / (_GAMMA + 1)  # of a bucket, as a fraction of its upper end: equally far from both in relative terms
ZERO = -1  # the bucket of zeros: logarithms have none
_MOST = 1 << 50  # a value is less
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
    put(spread, array("d", values))
    return spread


def put(spread: Spread, values: array[float]) -> None:
    """Adds whole numbers below 2**50, at least one and none below zero, in place."""
    sample = values[:_SAMPLE]
    if 2 * len(set(sample)) <= len(sample):
        counts = Counter(values)
        ordered = sorted(counts)
        _put_ordered(spread, ordered, list(accumulate(map(counts.__getitem__, ordered), initial=0)))
    else:
        rest = _put_cells(spread.buckets, values) if len(values) >= _MANY else values
        _put_ordered(spread, sorted(rest), range(len(rest) + 1))
    total = sum(values)
    spread.count += len(values)
    spread.total += int(total) if total < _EXACT else sum(map(int, values))


def _put_ordered(spread: Spread, ordered: list[float], before: Sequence[int]) -> None:
    """Adds values in order, of which neighbours share a bucket. `before`: how many are before each, and in all."""
    _stretch(spread, ordered, before)
    buckets, count = spread.buckets, len(ordered)
    place = bisect_right(ordered, 0)
    if place:
        buckets[ZERO] = buckets.get(ZERO, 0) + before[place]
    while place < count:
        index = ceil(log(ordered[place]) * SCALE)
        after = bisect_right(ordered, _ends.get(index) or _end(index), place)
        buckets[index] = buckets.get(index, 0) + before[after] - before[place]
        place = after


def _stretch(spread: Spread, ordered: list[float], before: Sequence[int]) -> None:
    low, high = int(ordered[0]), int(ordered[-1])
    lows, highs = before[bisect_right(ordered, low)], before[-1] - before[bisect_left(ordered, high)]
    if not spread.count or low < spread.low:
        spread.low, spread.lows = low, lows
    elif low == spread.low:
        spread.lows += lows
    if not spread.count or high > spread.high:
        spread.high, spread.highs = high, highs
    elif high == spread.high:
        spread.highs += highs


# Sorting is what a value costs most. But the bytes of a double say nearly always which bucket it is in: the first two
# hold the exponent, the second and the third as much of the fraction as tells apart numbers that differ by 1 in 4,096.
# Of such cells, a bucket has a hundred; only in those at its ends do the values have to be looked at. The bytes of many
# doubles are split, looked up and counted without a step of the interpreter for each.
_MANY = 512  # values from which that is worth it
_SAMPLE = 256  # values that are looked at to see how they are spread
_CODES = 255  # buckets that a table knows: a factor of 160 from the first to the last
_BELOW = 210  # of them, those below nine tenths of the values
_LOOK = 255  # the code of cells whose values have to be looked at


def _put_cells(buckets: dict[int, int], values: array[float]) -> array[float]:
    """Counts values in their buckets; what it returns is left to be added, and holds all of the extremes."""
    typical = sorted(values[:_SAMPLE])[_SAMPLE * 9 // 10]
    if sys.byteorder == "big" or not typical:
        return values
    raw = values.tobytes()
    first, leading = raw[7::8], array("d", (typical,)).tobytes()[7]
    cells = bytearray(2 * len(values))
    cells[0::2], cells[1::2] = raw[5::8], raw[6::8]
    base = max(0, ceil(log(typical) * SCALE) - _BELOW) & -32  # few tables do
    codes = bytes(itemgetter(*array("H", bytes(cells)))(_table(leading, base)))
    if first.count(leading) < len(first):
        others = bytearray((_LOOK,)) * 256
        others[leading] = 0
        both = int.from_bytes(codes, "little") | int.from_bytes(first.translate(others), "little")
        codes = both.to_bytes(len(codes), "little")
    counts = Counter(codes)
    known = sorted(counts.keys() - {_LOOK})
    for code in known[1:-1]:
        buckets[base + code] = buckets.get(base + code, 0) + counts[code]
    look = bytearray(256)
    for code in (_LOOK, *known[:1], *known[-1:]):
        look[code] = True
    return array("d", compress(values, codes.translate(look)))


_tables: dict[tuple[int, int], bytes] = {}


def _table(leading: int, base: int) -> bytes:
    """By the second and third byte of a double that has a `leading` one: its bucket less `base`, or `_LOOK`."""
    found = _tables.get((leading, base))
    if found is None:
        ends = [end for index in range(base, base + _CODES) if (end := _ends.get(index) or _end(index)) < _MOST]
        last, after = (_cells([end + more for end in ends], leading) for more in (0, 1))
        codes, begin = bytearray((_LOOK,)) * (1 << 16), _cells([_end(base - 1) if base else 0], leading)[0] + 1
        for code, (end, beyond) in enumerate(zip(last, after, strict=True)):
            start = min(max(0, begin), 1 << 16)
            stop = min(max(start, end + (beyond > end)), 1 << 16)
            codes[start:stop] = bytes((code,)) * (stop - start)
            begin = end + 1
        found = _tables[leading, base] = bytes(codes)
    return found


def _cells(numbers: list[int], leading: int) -> list[int]:
    return [(bits >> 40) - (leading << 16) for bits in array("Q", array("d", numbers).tobytes())]


def _end(index: int) -> int:
    """The largest whole number in a bucket: by the same arithmetic that puts a single number there."""
    number = int(_GAMMA**index)
    while ceil(log(number + 1) * SCALE) <= index:
        number += 1
    while ceil(log(number) * SCALE) > index:
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
            middle = _MIDDLE * _GAMMA**index if index != ZERO else 0.0
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
