"""What the runs of a history add up to, by what one asks for. The sums are those of `metrics`, its one arithmetic."""

from __future__ import annotations

from orchgate.history import figures
from orchgate.history.entries import HistoryEntry, as_counted, rank, refusal
from orchgate.history.repositories import RepositoryIdentity, labels
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.metrics import fold
from orchgate.metrics.aggregate import CANCELLED, FAILED, SUCCEEDED, Totals, both, rates_of
from orchgate.metrics.sketch import quantile
from orchgate.metrics.snapshot import in_unit, moment
from orchgate.verdict.before_after import share_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from orchgate.history.segments import Line
    from orchgate.metrics.lines import Entry

    Key = tuple[str | None, ...]

# What rows may be told apart by, in the order in which they stand.
BY = ("repository", "month", "week", "task", "pipeline", "stage", *figures.KINDS, "machine")


def week(entry: HistoryEntry) -> str:
    """As ISO 8601 numbers them, in UTC: `2026-W09`."""
    year, number, _ = entry.started_at.isocalendar()
    return f"{year:04d}-W{number:02d}"


_OF_RUNS: Mapping[str, Callable[[HistoryEntry], str | None]] = {
    "month": lambda entry: entry.month,
    "week": week,
    "task": lambda entry: entry.task_id,
}
COSTS = (("wall_seconds", (0.5, 0.9)), ("cpu_seconds", (0.5, 0.9)), ("max_rss_bytes", (0.5,)))


class Runs(NamedTuple):
    """Runs of one repository, as they are shown; each once. `left_out` says by id why one does not count."""

    repository: RepositoryIdentity
    entries: tuple[HistoryEntry, ...]
    left_out: Mapping[str, str]


def counted(
    found: Iterable[tuple[RepositoryIdentity, Iterable[Line]]], limit: datetime, since: datetime | None
) -> list[Runs]:
    """Of the runs of repositories, which may be found more than once, each run once. `limit` is when the future begins.

    A run is known by its id and by what the repository begins with, so that one which got another name counts once.
    """
    parts = [(identity, list(lines)) for identity, lines in found]
    known = labels(identity for identity, _ in parts)
    best: dict[tuple[str, str], tuple[RepositoryIdentity, Line]] = {}
    for identity, lines in parts:
        label = known[identity]
        group = label.roots or label.name
        for line in lines:
            key = group, line[0].run_id
            before = best.get(key)
            if before is None or (rank(*line), label.name) > (rank(*before[1]), before[0].name):
                best[key] = label, line
    by_label: dict[RepositoryIdentity, list[HistoryEntry]] = {}
    for label, (entry, _) in best.values():
        if since is None or entry.started_at >= since:
            by_label.setdefault(label, []).append(entry)
    return [_judged(label, by_label[label], limit) for label in sorted(by_label, key=lambda one: one.name)]


def _judged(label: RepositoryIdentity, entries: Iterable[HistoryEntry], limit: datetime) -> Runs:
    left_out: dict[str, str] = {}
    kept = []
    for entry in entries:
        if why := refusal(entry, limit):
            left_out[entry.run_id] = why
        else:
            kept.append(entry)
    return Runs(label, tuple(kept), left_out)


def rows(runs: Iterable[Runs], by: Sequence[str]) -> list[dict[str, object]]:
    """A row for each value of what is asked for, sorted; numbers in seconds and bytes."""
    columns = wanted(by)
    kind = next((name for name in figures.KINDS if name in columns), "")
    found: dict[Key, Totals] = {}
    for one in runs:
        for key, entries in _divided(one, columns).items():
            for inner, totals in _totals(entries, kind, stages="stage" in columns):
                known = {**dict(key), **inner}
                row = tuple(known[name] for name in columns)
                found[row] = both(found[row], totals) if row in found else totals
    return listed(columns, found)


def wanted(by: Sequence[str]) -> list[str]:
    """What rows are told apart by, in order; with a benchmark comes its unit."""
    columns = [name for name in BY if name in by]
    return [*columns, "unit"] if figures.BENCHMARK in columns else columns


def listed(columns: Sequence[str], found: Mapping[Key, Totals]) -> list[dict[str, object]]:
    """Totals by these columns, sorted by them, as rows."""
    ordered = sorted(found, key=lambda row: tuple(value or "" for value in row))
    is_figure = not set(figures.KINDS).isdisjoint(columns)
    return [_row(dict(zip(columns, row, strict=True)), found[row], is_figure=is_figure) for row in ordered]


def _row(known: Mapping[str, str | None], totals: Totals, *, is_figure: bool) -> dict[str, object]:
    more = figures.facts(totals, known.get("unit") or "") if is_figure else {}
    return {**known, **_facts(totals), **more}


def _divided(one: Runs, columns: Iterable[str]) -> Mapping[tuple[tuple[str, str | None], ...], list[Entry]]:
    """Entries by what they have in common of what is asked for."""
    asked = [(name, _OF_RUNS[name]) for name in columns if name in _OF_RUNS]
    found: dict[tuple[tuple[str, str | None], ...], list[Entry]] = {}
    for entry in one.entries:
        key = (("repository", one.repository.name), *((name, of(entry)) for name, of in asked))
        found.setdefault(key, []).append(as_counted(entry))
    return found


def _totals(entries: Sequence[Entry], kind: str, *, stages: bool) -> Iterator[tuple[Mapping[str, str | None], Totals]]:
    if kind:
        yield from figures.totals_of([one for one in entries if isinstance(one, HistoryEntry)], kind, stages=stages)
        return
    sums = fold.Sums()
    sums.add(entries)
    for machine, pipelines in sums.total().machines.items():
        for pipeline, totals in pipelines.items():
            key = {"machine": machine, "pipeline": pipeline}
            if not stages:
                yield key, totals
            for stage, inner in totals.stages.items() if stages else ():
                yield {**key, "stage": stage}, inner


def _facts(totals: Totals) -> dict[str, object]:
    return {
        "runs": totals.runs,
        "succeeded_count": totals.statuses.get(SUCCEEDED, 0),
        "failed_count": totals.statuses.get(FAILED, 0),
        "cancelled_count": totals.statuses.get(CANCELLED, 0),
        **_rates(totals),
        **{
            f"p{round(100 * share)}_{name}": _quantile(totals, name, share)
            for name, shares in COSTS
            for share in shares
        },
        "first_started_at": moment(totals.first),
        "last_completed_at": moment(totals.last),
    }


def _rates(totals: Totals) -> Mapping[str, float | None]:
    """Each with its 95 % interval; None where nothing is known."""
    rates = rates_of(totals)
    succeeded = totals.statuses.get(SUCCEEDED, 0)
    counts = {
        "success_rate": (succeeded, succeeded + totals.statuses.get(FAILED, 0)),
        "flaky_rate": (totals.flaky, totals.ours),
    }
    found: dict[str, float | None] = {}
    for name, (part, whole) in counts.items():
        low, high = share_interval(part, whole) if name in rates else (None, None)
        found |= {name: rates.get(name), f"low_{name}": low, f"high_{name}": high}
    return found


def _quantile(totals: Totals, name: str, share: float) -> float | None:
    return in_unit(name, quantile(totals.costs[name], share)) if name in totals.costs else None
