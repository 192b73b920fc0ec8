"""What many entries add up to, per machine class, pipeline and stage. Imports msgspec.

Everything is a whole number, times in microseconds, so that sums do not depend on their order: `merge` is associative
and commutative exactly, whether the parts are ranges of a file, a checkpoint and a tail, or come from many machines.
A run belongs into one part only; `update` sees to that for the lines of a file.
"""

from __future__ import annotations

from datetime import datetime

from orchgate.lib.codec import Struct
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.metrics.sketch import Spread, Unknown, differences, merge_spreads, take

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        statuses=differences(whole.statuses, part.statuses),
        first=whole.first,
        firsts=firsts,
        last=whole.last,
        lasts=lasts,
        costs=_spreads_left(whole.costs, part.costs),
        bounded=differences(whole.bounded, part.bounded),
        unsuccessful=_spreads_left(whole.unsuccessful, part.unsuccessful),
        stages=_rest(whole.stages, part.stages),
    )


def _spreads_left(whole: Mapping[str, Spread], part: Mapping[str, Spread]) -> dict[str, Spread]:
    if part.keys() - whole.keys():
        raise Unknown
    left = {name: merge_spreads(spread, Spread()) for name, spread in whole.items()}
    for name, spread in part.items():
        take(left[name], spread)
        if left[name].count and not (left[name].lows > 0 and left[name].highs > 0):
            raise Unknown
    return {name: spread for name, spread in left.items() if spread.count}
