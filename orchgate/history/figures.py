"""What named benchmarks and the counters of stages add up to, run by run. Imports msgspec.

A figure may be of any size, from the nanosecond of a loop to a count of bytes. So that sums of them are as exact as
those of costs, and merge in any order, each is a whole number in one of some bands, of a sign and six powers of ten;
a band is a cost of `Totals` like any other.
"""

from __future__ import annotations

from bisect import bisect_right
from math import floor

from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.metrics.aggregate import SUCCEEDED, UNKNOWN, Totals
from orchgate.metrics.sketch import quantile, spread_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from orchgate.history.entries import HistoryEntry, HistoryStage
    from orchgate.metrics.sketch import Spread

BENCHMARK, COUNTER = KINDS = ("benchmark", "counter")
# Where a band ends; the least one counts in 1e-12, and a whole number of any is below 2**50.
ENDS = tuple(10.0**power for power in range(3, 309, 6))
FINEST, STEP = 12, 6  # powers of ten
_DIGITS = 6
_SHARES = {"p50_value": 0.5, "p90_value": 0.9, "least_value": 0.0, "most_value": 1.0}
NANO = 1e9


class Figure(NamedTuple):
    """A value of a run by name; None where the run or the stage did not end well. `stage` is None for a whole run."""

    name: str
    unit: str
    stage: str | None
    value: float | None


def benchmarks_of(entry: HistoryEntry) -> Iterator[Figure]:
    ended_well = {stage.id: _ended_well(stage) for stage in entry.stages}
    for one in entry.benchmarks:
        good = ended_well.get(one.stage, False) if one.stage is not None else entry.status == SUCCEEDED
        yield Figure(one.name, one.unit, one.stage, one.value if good else None)


def counters_of(entry: HistoryEntry) -> Iterator[Figure]:
    reported = False
    for stage in entry.stages:
        for name, value in stage.counters.items():
            reported |= name == "manifest_writes"
            if not stage.cached:  # or it is what another run reported
                yield Figure(name, "", stage.id, value if _ended_well(stage) else None)
    if entry.metrics and entry.metrics.manifest_writes is not None and not reported:
        good = entry.status == SUCCEEDED and not any(stage.cached for stage in entry.stages)
        yield Figure("manifest_writes", "", None, entry.metrics.manifest_writes if good else None)


def _ended_well(stage: HistoryStage) -> bool:
    return stage.status == SUCCEEDED and not stage.cached


_OF: Mapping[str, Callable[[HistoryEntry], Iterator[Figure]]] = {BENCHMARK: benchmarks_of, COUNTER: counters_of}


def totals_of(
    entries: Iterable[HistoryEntry], kind: str, *, stages: bool
) -> Iterator[tuple[Mapping[str, str | None], Totals]]:
    """What the figures of a kind add up to: by machine, pipeline, name, unit and perhaps stage. A run counts once."""
    found: dict[tuple[str, str, str | None, str, str], tuple[dict[str, HistoryEntry], dict[str, list[int]]]] = {}
    for entry in entries:
        for one in _OF[kind](entry):
            key = entry.machine or UNKNOWN, entry.pipeline_id, one.stage if stages else None, one.name, one.unit
            runs, bands = found.setdefault(key, ({}, {}))
            runs[entry.run_id] = entry
            if one.value is not None:
                band, number = whole(one.value)
                bands.setdefault(band, []).append(number)
    for (machine, pipeline, stage, name, unit), (runs, bands) in found.items():
        known = {"machine": machine, "pipeline": pipeline, "stage": stage, kind: name, "unit": unit}
        yield known, _totals(list(runs.values()), bands)


def _totals(runs: list[HistoryEntry], bands: Mapping[str, list[int]]) -> Totals:
    first, last = min(one.started_at for one in runs), max(one.completed_at or one.started_at for one in runs)
    totals = Totals(runs=len(runs), first=first, firsts=sum(one.started_at == first for one in runs), last=last)
    totals.lasts = sum((one.completed_at or one.started_at) == last for one in runs)
    for one in runs:
        totals.statuses[one.status] = totals.statuses.get(one.status, 0) + 1
    totals.costs = {band: spread_of(numbers) for band, numbers in bands.items()}
    return totals


def whole(value: float) -> tuple[str, int]:
    """The band of a figure, and its size there."""
    size = abs(value)
    band = bisect_right(ENDS, size)
    power = FINEST - STEP * band
    number = round(size * 10.0**power if power >= 0 else size / 10.0**-power)
    return f"{'-' if value < 0 else '+'}{band}", number


def _place(band: str) -> tuple[bool, int]:
    """Where a band is in their order."""
    return band.startswith("+"), int(band)


def _value(band: str, number: float) -> float:
    power = FINEST - STEP * int(band[1:])
    size = number / 10.0**power if power >= 0 else number * 10.0**-power
    return -size if band.startswith("-") else size


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def quantile_of(bands: Mapping[str, Spread], share: float) -> float | None:
    """As `sketch.quantile`, of the figures in all bands."""
    rank = floor(share * (sum(spread.count for spread in bands.values()) - 1))
    for band, spread in sorted(bands.items(), key=lambda one: _place(one[0])):
        if rank < spread.count:
            inner = spread.count - 1 - rank if band.startswith("-") else rank
            number = quantile(spread, (inner + 0.5) / (spread.count - 1)) if spread.count > 1 else spread.low
            return _rounded(_value(band, number or 0))
        rank -= spread.count
    return None


def facts(totals: Totals, unit: str = "") -> dict[str, object]:
    """What a row says of figures beside what every row says. Seconds are told in nanoseconds: JSON has six decimals."""
    factor, told = (NANO, "ns") if unit == "s" else (1, unit)
    values = {name: quantile_of(totals.costs, share) for name, share in _SHARES.items()}
    shown = {name: _rounded(value * factor) if value is not None else None for name, value in values.items()}
    return {**({"unit": told} if unit else {}), **shown}
