"""An aggregate as plain dicts for JSON, and `out/<task>/state.json`, a task's snapshot for people. Imports msgspec.

Times are in seconds, sizes in bytes, moments in UTC. Quantiles are within `QUANTILE_ERROR` of a real value. Costs are
of runs that succeeded without an answer from the cache; where some are lower bounds, so is a quantile of them.
"""

from __future__ import annotations

import os
import stat
from datetime import UTC

from orchgate.lib import files, json_data
from orchgate.lib.paths import require_inside
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.metrics import fold
from orchgate.metrics.aggregate import CANCELLED, COSTS, FAILED, MICRO, TIMES, rates_of
from orchgate.metrics.lines import costs_of_run, costs_of_success, is_bound, resumes
from orchgate.metrics.sketch import QUANTILE_ERROR, quantile, without

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from orchgate.metrics.aggregate import Aggregate, Totals
    from orchgate.metrics.lines import Entry
    from orchgate.metrics.sketch import Spread
    from orchgate.metrics.update import Updated


VERSION = 1
FORMAT = "orchgate-state"
LAST = 20  # runs that a trend sets against those before
QUANTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))


def pipelines(aggregate: Aggregate) -> list[dict[str, object]]:
    """All of an aggregate, one object for each pipeline on each class of machines, sorted."""
    return [
        {"machine": machine, "pipeline": name, **_totals(totals), "stages": _stages(totals)}
        for machine, found in sorted(aggregate.machines.items())
        for name, totals in sorted(found.items())
    ]


def _stages(totals: Totals) -> list[dict[str, object]]:
    return [{"stage": name, **_totals(inner)} for name, inner in totals.stages.items()]


def _totals(totals: Totals) -> dict[str, object]:
    tests = {"runs": totals.tested, "passed": totals.passed, "failed": totals.failed, "skipped": totals.skipped}
    return {
        "runs": totals.runs,
        "statuses": dict(sorted(totals.statuses.items())),
        "flaky_runs": totals.flaky if totals.ours else None,
        "cached_runs": totals.cached if totals.ours else None,
        "resumed_runs": totals.resumed if totals.ours else None,
        "tests": tests if totals.tested else None,
        "rates": _rates(totals),
        "first_started_at": moment(totals.first),
        "last_completed_at": moment(totals.last),
        "costs": {name: _cost(name, totals) for name in COSTS if name in totals.costs},
        "failed": _unsuccessful(totals, FAILED),
        "cancelled": _unsuccessful(totals, CANCELLED),
    }


def _unsuccessful(totals: Totals, status: str) -> dict[str, object]:
    """How many runs ended that way, and how long they took, all together and one in the middle."""
    spread = totals.unsuccessful.get(status)
    return {
        "runs": totals.statuses.get(status, 0),
        "wall_seconds": in_unit("wall_seconds", spread.total) if spread else None,
        "wall_seconds_p50": in_unit("wall_seconds", quantile(spread, 0.5)) if spread else None,
    }


def _rates(totals: Totals) -> dict[str, float]:
    return {name: round(rate, 6) for name, rate in rates_of(totals).items()}


def _cost(name: str, totals: Totals) -> dict[str, object]:
    spread = totals.costs[name]
    known = {"sum": spread.total, "min": spread.low, "max": spread.high}
    quantiles = {key: quantile(spread, fraction) for key, fraction in QUANTILES}
    numbers = {key: in_unit(name, value) for key, value in {**known, **quantiles}.items()}
    return {"count": spread.count, "lower_bounds": totals.bounded.get(name, 0), **numbers}


def in_unit(name: str, value: float | None) -> float | None:
    """A cost as aggregates keep it, in seconds or bytes or as a count; quantiles are rounded to whole ones."""
    if value is None:
        return None
    return round(value / MICRO, 6) if name in TIMES else round(value)


def moment(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None


def state(task: str, updated: Updated, newest: Sequence[Entry], now: datetime) -> dict[str, object]:
    """The snapshot of a task for people: rates, medians, how the last runs compare with those before."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "task_id": task,
        "updated_at": moment(now),
        "runs": updated.aggregate.runs,
        "lines": updated.aggregate.lines,
        "ignored": dict(sorted(updated.aggregate.ignored.items())),
        "quantile_error": QUANTILE_ERROR,
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


def _state(machine: str, name: str, totals: Totals, newest: Sequence[Entry]) -> dict[str, object]:
    medians = {key: in_unit(key, quantile(totals.costs[key], 0.5)) for key in COSTS if key in totals.costs}
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
        "trend": _trend(totals, [entry for entry in newest if any(costs_of_success(entry))][-LAST:]),
        "last_run": _run(newest[-1]) if newest else None,
    }


def _trend(totals: Totals, last: Sequence[Entry]) -> dict[str, object] | None:
    """Medians of the last runs that have costs against all before; None where there are none on one of the sides.

    Left out are costs some of whose values are lower bounds: they may have moved the other way.
    """
    values: dict[str, list[int]] = {}
    for entry in last:
        for name, value in costs_of_success(entry):
            values.setdefault(name, []).append(value)
    exact = [name for name in COSTS if name in values and name not in totals.bounded]
    found = {name: _change(name, totals.costs[name], values[name]) for name in exact}
    known = {name: change for name, change in found.items() if change}
    return {"runs": len(last), "costs": known} if known else None


def _change(name: str, spread: Spread, last: list[int]) -> dict[str, object] | None:
    before = quantile(without(spread, last), 0.5)
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
        "started_at": moment(entry.started_at),
        "completed_at": moment(entry.completed_at),
        **{name: in_unit(name, value) for name, value in costs_of_run(entry)},
        "lower_bounds": sorted(name for name, _ in costs_of_run(entry) if is_bound(entry, name)),
    }


OUT, NAME = "out", "state.json"
OTHER, OTHERS = "state.other.json", "state.other-{}.json"  # where files of another program are kept
_MOST = 16 << 20  # bytes of a snapshot


class Published(NamedTuple):
    path: str
    kept: str = ""  # where the file of another program went that stood in its place


def publish(root: str, task: str, updated: Updated, newest: Sequence[Entry]) -> Published:
    """Puts the snapshot in its place; written only if there is something new. Raises OrchgateError."""
    from datetime import UTC, datetime

    folder = os.path.join(root, OUT, task)
    path = os.path.join(folder, NAME)
    require_inside(root, folder)
    document = state(task, updated, latest(newest), datetime.now(UTC))
    old = _read(path)
    if old is not None and _lasting(old) == _lasting(document):
        return Published(path)
    files.make_folders(folder)
    kept = ""
    if old is None and not _is_empty(path):
        kept = _set_aside(path)
    files.replace(path, _rendered(document), sync=False)
    return Published(path, kept)


def _read(path: str) -> dict[str, object] | None:
    """Our own snapshot as it was last written; None when there is none."""
    try:
        value = json_data.read(path, _MOST)
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) and value.get("format") == FORMAT else None


def _lasting(document: Mapping[str, Any]) -> dict[str, object]:
    return {key: value for key, value in document.items() if key != "updated_at"}


def _is_empty(path: str) -> bool:
    """Whether nothing is lost with what is there: a power cut may have taken our own, which was not synced."""
    try:
        status = os.lstat(path)
    except OSError:
        return True
    return stat.S_ISREG(status.st_mode) and status.st_size == 0


def _set_aside(path: str) -> str:
    """Gives the file of another program a name that is free, and returns it. Raises WriteError."""
    other, number = os.path.join(os.path.dirname(path), OTHER), 1
    while os.path.lexists(other):
        number += 1
        other = os.path.join(os.path.dirname(path), OTHERS.format(number))
    try:
        os.rename(path, other)
    except OSError as error:
        raise files.failure(other, error) from error
    return other


def _rendered(document: Mapping[str, Any]) -> bytes:
    import json

    return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode("utf-8", "replace")
