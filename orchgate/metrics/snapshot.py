"""An aggregate in words and numbers that are not our own: plain dicts for JSON. Imports msgspec.

Times are in seconds, sizes in bytes, moments in UTC. Quantiles are within `sketch.ERROR` of a real value. Costs are of
runs that succeeded without an answer from the cache; a quantile of values some of which are lower bounds is one, too.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

from orchgate.metrics import costs, fold, sketch
from orchgate.metrics.aggregate import CANCELLED, COSTS, FAILED, MICRO, TIMES, rates_of
from orchgate.metrics.lines import resumes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from orchgate.metrics.aggregate import Aggregate, Totals
    from orchgate.metrics.lines import Entry
    from orchgate.metrics.sketch import Spread
    from orchgate.metrics.update import Updated

VERSION = 1
FORMAT = "orchgate-state"
LAST = 20  # runs that a trend sets against those before
QUANTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))


def pipelines(aggregate: Aggregate) -> list[dict[str, Any]]:
    """All of an aggregate, one object for each pipeline on each class of machines, sorted."""
    return [
        {"machine": machine, "pipeline": name, **_totals(totals), "stages": _stages(totals)}
        for machine, found in sorted(aggregate.machines.items())
        for name, totals in sorted(found.items())
    ]


def _stages(totals: Totals) -> list[dict[str, Any]]:
    return [{"stage": name, **_totals(inner)} for name, inner in totals.stages.items()]


def _totals(totals: Totals) -> dict[str, Any]:
    tests = {"runs": totals.tested, "passed": totals.passed, "failed": totals.failed, "skipped": totals.skipped}
    return {
        "runs": totals.runs,
        "statuses": dict(sorted(totals.statuses.items())),
        "flaky_runs": totals.flaky if totals.ours else None,
        "cached_runs": totals.cached if totals.ours else None,
        "resumed_runs": totals.resumed if totals.ours else None,
        "tests": tests if totals.tested else None,
        "rates": _rates(totals),
        "first_started_at": _moment(totals.first),
        "last_completed_at": _moment(totals.last),
        "costs": {name: _cost(name, totals) for name in COSTS if name in totals.costs},
        "failed": _unsuccessful(totals, FAILED),
        "cancelled": _unsuccessful(totals, CANCELLED),
    }


def _unsuccessful(totals: Totals, status: str) -> dict[str, Any]:
    """How many runs ended that way, and how long they took, all together and one in the middle."""
    spread = totals.unsuccessful.get(status)
    return {
        "runs": totals.statuses.get(status, 0),
        "wall_seconds": in_unit("wall_seconds", spread.total) if spread else None,
        "wall_seconds_p50": in_unit("wall_seconds", sketch.quantile(spread, 0.5)) if spread else None,
    }


def _rates(totals: Totals) -> dict[str, float]:
    return {name: round(rate, 6) for name, rate in rates_of(totals).items()}


def _cost(name: str, totals: Totals) -> dict[str, Any]:
    spread = totals.costs[name]
    known = {"sum": spread.total, "min": spread.low, "max": spread.high}
    quantiles = {key: sketch.quantile(spread, fraction) for key, fraction in QUANTILES}
    numbers = {key: in_unit(name, value) for key, value in {**known, **quantiles}.items()}
    return {"count": spread.count, "lower_bounds": totals.bounded.get(name, 0), **numbers}


def in_unit(name: str, value: float | None) -> float | None:
    """A cost as aggregates keep it, in seconds or bytes or as a count; quantiles are rounded to whole ones."""
    if value is None:
        return None
    return round(value / MICRO, 6) if name in TIMES else round(value)


def _moment(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None


def state(task: str, updated: Updated, now: datetime) -> dict[str, Any]:
    """The snapshot of a task for people: rates, medians, how the last runs compare with those before."""
    newest = latest(updated.newest)
    return {
        "format": FORMAT,
        "version": VERSION,
        "task_id": task,
        "updated_at": _moment(now),
        "runs": updated.aggregate.runs,
        "lines": updated.aggregate.lines,
        "ignored": dict(sorted(updated.aggregate.ignored.items())),
        "quantile_error": sketch.ERROR,
        "last_run": _run(newest[-1]) if newest else None,
        "pipelines": [
            _state(machine, name, totals, _of(newest, machine, name))
            for machine, found in sorted(updated.aggregate.machines.items())
            for name, totals in sorted(found.items())
        ],
    }


def latest(entries: Iterable[Entry]) -> list[Entry]:
    """One entry for each run, the one that counts, in the order of the file."""
    runs: dict[str, Entry] = {}
    for entry in entries:
        if entry.run_id not in runs or resumes(entry) >= resumes(runs[entry.run_id]):
            runs.pop(entry.run_id, None)
            runs[entry.run_id] = entry
    return list(runs.values())


def _of(entries: Iterable[Entry], machine: str, pipeline: str) -> list[Entry]:
    return [entry for entry in entries if entry.pipeline_id == pipeline and fold.machine_of(entry) == machine]


def _state(machine: str, name: str, totals: Totals, newest: Sequence[Entry]) -> dict[str, Any]:
    medians = {key: in_unit(key, sketch.quantile(totals.costs[key], 0.5)) for key in COSTS if key in totals.costs}
    rates = dict.fromkeys(("success_rate", "flaky_rate", "test_pass_rate")) | _rates(totals)
    return {
        "machine": machine,
        "pipeline": name,
        "runs": totals.runs,
        "failed": _unsuccessful(totals, FAILED),
        "cancelled": _unsuccessful(totals, CANCELLED),
        "cached_runs": totals.cached if totals.ours else None,
        "resumed_runs": totals.resumed if totals.ours else None,
        **rates,
        "median": medians,
        "lower_bounds": {name: totals.bounded[name] for name in COSTS if name in totals.bounded},
        "trend": _trend(totals, [entry for entry in newest if any(costs.of_success(entry))][-LAST:]),
        "last_run": _run(newest[-1]) if newest else None,
    }


def _trend(totals: Totals, last: Sequence[Entry]) -> dict[str, Any] | None:
    """Medians of the last runs that have costs against all before; None where there are none on one of the sides.

    Neither is said of a cost some of whose values are lower bounds: it may have moved the other way.
    """
    values: dict[str, list[int]] = {}
    for entry in last:
        for name, value in costs.of_success(entry):
            values.setdefault(name, []).append(value)
    exact = [name for name in COSTS if name in values and name not in totals.bounded]
    found = {name: _change(name, totals.costs[name], values[name]) for name in exact}
    known = {name: change for name, change in found.items() if change}
    return {"runs": len(last), "costs": known} if known else None


def _change(name: str, spread: Spread, last: list[int]) -> dict[str, Any] | None:
    before = sketch.quantile(sketch.without(spread, last), 0.5)
    after = sorted(last)[(len(last) - 1) // 2]
    if before is None:
        return None
    change = round(after / before - 1, 4) if before else None
    return {"before": in_unit(name, before), "last": in_unit(name, after), "change": change}


def _run(entry: Entry) -> Mapping[str, Any]:
    return {
        "run_id": entry.run_id,
        "pipeline": entry.pipeline_id,
        "machine": fold.machine_of(entry),
        "status": entry.status,
        "started_at": _moment(entry.started_at),
        "completed_at": _moment(entry.completed_at),
        **{name: in_unit(name, value) for name, value in costs.spent(entry)},
        "lower_bounds": sorted(name for name, _ in costs.spent(entry) if costs.is_bound(entry, name)),
    }
