"""What many entries add up to, per machine class, pipeline and stage. Imports msgspec.

Everything is a whole number, times in microseconds, so that sums do not depend on their order: `merge` is associative
and commutative exactly, whether the parts are ranges of a file, a checkpoint and a tail, or come from many machines.
A run belongs into one part only; `update` sees to that for the lines of a file.

The quantiles are those of DDSketch (Masson, Rim and Lee, "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with
Relative-Error Guarantees", PVLDB 12(12), 2019), without its limit on the number of buckets: what is measured here
spans few of them, and a sketch that never collapses adds up exactly. The `ddsketch` package keeps its sum as a float,
which depends on the order, and cannot take a value out again.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from datetime import datetime
from math import ceil, log

from orchgate.lib.codec import Struct
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeVar

    Name = TypeVar("Name", str, int)

UNKNOWN = "unknown"  # the class of machines that nobody named
MICRO = 1_000_000
TIMES = ("wall_seconds", "cpu_seconds")  # kept in microseconds, all others as they are
COSTS = (*TIMES, "max_rss_bytes", "tree_rss_bytes", "read_bytes", "written_bytes", "processes", "manifest_writes")
SUCCEEDED, FAILED, CANCELLED = "succeeded", "failed", "cancelled"
_COUNTS = ("runs", "ours", "flaky", "cached", "resumed", "tested", "passed", "failed", "skipped")
Time = datetime | None


class Totals(Struct, gc=False):
    """What the runs of a pipeline, or of one of its stages, add up to.

    `costs` are those of successes; `bounded` counts the values among them that are lower bounds, by cost. What did
    not succeed has its wall time in `unsuccessful`, by status. `ours` counts runs that this program recorded: whether
    others were `flaky`, `cached` or `resumed` is not known. `cached` counts runs in which a stage was answered from the
    cache: what they cost is not what the work costs, and is not among `costs`. `first` (the earliest start) and `last`
    (the latest end) come with how often they occurred. `tested` counts runs that ran tests; `passed`, `failed` (errors
    included) and `skipped` are tests.
    """

    runs: int = 0
    ours: int = 0
    statuses: dict[str, int] = {}
    flaky: int = 0
    cached: int = 0
    resumed: int = 0
    tested: int = 0
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    first: Time = None
    firsts: int = 0
    last: Time = None
    lasts: int = 0
    costs: dict[str, Spread] = {}
    bounded: dict[str, int] = {}
    unsuccessful: dict[str, Spread] = {}
    stages: dict[str, Totals] = {}


class Aggregate(Struct, gc=False):
    """All of it. `lines` counts every line read; `ignored` those that are not runs, by the value of their `Kind`."""

    lines: int = 0
    ignored: dict[str, int] = {}
    machines: dict[str, dict[str, Totals]] = {}

    @property
    def runs(self) -> int:
        return sum(totals.runs for pipelines in self.machines.values() for totals in pipelines.values())


def merge(one: Aggregate, other: Aggregate) -> Aggregate:
    """What both add up to, as a value of its own; neither order nor grouping matters."""
    machines = {
        machine: _united(one.machines.get(machine, {}), other.machines.get(machine, {}))
        for machine in {**one.machines, **other.machines}
    }
    return Aggregate(one.lines + other.lines, _sums(one.ignored, other.ignored), machines)


def _united(one: Mapping[str, Totals], other: Mapping[str, Totals]) -> dict[str, Totals]:
    return {name: both(one.get(name) or Totals(), other.get(name) or Totals()) for name in {**one, **other}}


def both(one: Totals, other: Totals) -> Totals:
    """As `merge`, of one pipeline or stage."""
    first = min((side.first for side in (one, other) if side.first), default=None)
    last = max((side.last for side in (one, other) if side.last), default=None)
    return Totals(
        **{name: getattr(one, name) + getattr(other, name) for name in _COUNTS},
        statuses=_sums(one.statuses, other.statuses),
        first=first,
        firsts=sum(side.firsts for side in (one, other) if side.first == first),
        last=last,
        lasts=sum(side.lasts for side in (one, other) if side.last == last),
        costs=_spreads(one.costs, other.costs),
        bounded=_sums(one.bounded, other.bounded),
        unsuccessful=_spreads(one.unsuccessful, other.unsuccessful),
        stages=_united(one.stages, other.stages),
    )


def _spreads(one: Mapping[str, Spread], other: Mapping[str, Spread]) -> dict[str, Spread]:
    return {name: merge_spreads(one.get(name) or Spread(), other.get(name) or Spread()) for name in {**one, **other}}


def _sums(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


def all_machines(aggregate: Aggregate, pipeline: str) -> Totals:
    """One pipeline on all machines together: for rates and counters, not for times."""
    total = Totals()
    for pipelines in aggregate.machines.values():
        if pipeline in pipelines:
            total = both(total, pipelines[pipeline])
    return total


def rates(aggregate: Aggregate, pipeline: str, machine: str | None = None) -> dict[str, float]:
    """The rates of a pipeline by name, each from 0 to 1; those of which nothing is known are left out.

    `success_rate` is of the runs that came to an end of their own, `flaky_rate` of those that this program recorded,
    `test_pass_rate` of the tests that were run and not skipped. Without a machine class: over all of them.
    """
    if machine is None:
        return rates_of(all_machines(aggregate, pipeline))
    return rates_of(aggregate.machines.get(machine, {}).get(pipeline, Totals()))


def rates_of(totals: Totals) -> dict[str, float]:
    """As `rates`, of one pipeline or stage."""
    succeeded = totals.statuses.get(SUCCEEDED, 0)
    shares = {
        "success_rate": (succeeded, succeeded + totals.statuses.get(FAILED, 0)),
        "flaky_rate": (totals.flaky, totals.ours),
        "test_pass_rate": (totals.passed, totals.passed + totals.failed),
    }
    return {name: part / whole for name, (part, whole) in shares.items() if whole}


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
        _take(copy, spread_of(values))
    return copy


class Unknown(Exception):
    """What is left cannot be known without reading all the others: what is taken out held an extreme."""


def difference(whole: Aggregate, part: Aggregate) -> Aggregate:
    """What is left of the runs without some of them, as `merge` would have added it up; lines stay counted.

    Raises Unknown.
    """
    machines = {name: _rest(pipelines, part.machines.get(name, {})) for name, pipelines in whole.machines.items()}
    if part.machines.keys() - whole.machines.keys():
        raise Unknown
    return Aggregate(whole.lines, dict(whole.ignored), {name: left for name, left in machines.items() if left})


def _rest(whole: Mapping[str, Totals], part: Mapping[str, Totals]) -> dict[str, Totals]:
    if part.keys() - whole.keys():
        raise Unknown
    left = {name: _less(totals, part[name]) if name in part else totals for name, totals in whole.items()}
    return {name: totals for name, totals in left.items() if totals.runs}


def _less(whole: Totals, part: Totals) -> Totals:
    counts = {name: getattr(whole, name) - getattr(part, name) for name in _COUNTS}
    if not counts["runs"]:
        return Totals()
    firsts = whole.firsts - (part.firsts if part.first == whole.first else 0)
    lasts = whole.lasts - (part.lasts if part.last == whole.last else 0)
    if min(firsts, lasts, *counts.values()) < 0 or (whole.first and not (firsts and lasts)):
        raise Unknown
    return Totals(
        **counts,
        statuses=_differences(whole.statuses, part.statuses),
        first=whole.first,
        firsts=firsts,
        last=whole.last,
        lasts=lasts,
        costs=_spreads_left(whole.costs, part.costs),
        bounded=_differences(whole.bounded, part.bounded),
        unsuccessful=_spreads_left(whole.unsuccessful, part.unsuccessful),
        stages=_rest(whole.stages, part.stages),
    )


def _spreads_left(whole: Mapping[str, Spread], part: Mapping[str, Spread]) -> dict[str, Spread]:
    if part.keys() - whole.keys():
        raise Unknown
    left = {name: merge_spreads(spread, Spread()) for name, spread in whole.items()}
    for name, spread in part.items():
        _take(left[name], spread)
        if left[name].count and not (left[name].lows > 0 and left[name].highs > 0):
            raise Unknown
    return {name: spread for name, spread in left.items() if spread.count}


def _take(spread: Spread, other: Spread) -> None:
    """Takes values out again, in place; how often the extremes are left is for whoever asks. Raises Unknown."""
    spread.count -= other.count
    spread.total -= other.total
    spread.lows -= other.lows if other.low == spread.low else 0
    spread.highs -= other.highs if other.high == spread.high else 0
    spread.buckets = _differences(spread.buckets, other.buckets)


def _differences(whole: Mapping[Name, int], part: Mapping[Name, int]) -> dict[Name, int]:
    left = {name: count - part.get(name, 0) for name, count in whole.items()}
    if part.keys() - whole.keys() or min(left.values(), default=0) < 0:
        raise Unknown
    return {name: count for name, count in left.items() if count}
