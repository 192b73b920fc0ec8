"""Many runs into an aggregate at once. Imports msgspec.

What one value costs is what counts here: an entry of ours has some forty. So values wait, by what they are, until there
are many of a kind: a sorted list of them is put away in a fraction of the time that one after the other takes.
"""

from __future__ import annotations

from collections import Counter

from orchgate.lib.typed import TYPE_CHECKING
from orchgate.metrics.aggregate import SUCCEEDED, UNKNOWN, Aggregate, Totals
from orchgate.metrics.lines import (
    EntryLine,
    ForeignLine,
    bounded_costs,
    costs_of,
    costs_of_run,
    is_cached,
    wall_microseconds,
)
from orchgate.metrics.sketch import Spread, put

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from datetime import datetime

    from orchgate.metrics.lines import CostLine, Entry, LineFault, StageLine, TestsLine

MOST_WAITING = 1 << 17  # values; each takes 40 bytes
MICRO = 1e6
# Added and taken away again, it leaves the whole number that is nearest to a float below 2**51, of two the even one:
# what `round` does, in a third of the time.
_WHOLE = 3.0 * (1 << 51)


class Sums:
    """An aggregate in the making."""

    def __init__(self) -> None:
        self._aggregate = Aggregate()
        self._waiting: dict[int, tuple[Spread, list[float]]] = {}  # by the identity of the spread
        self._number = 0

    def total(self) -> Aggregate:
        """All that was added so far."""
        for spread, values in self._waiting.values():
            put(spread, values)
        self._waiting.clear()
        self._number = 0
        return self._aggregate

    def count(self, lines: int) -> None:
        """Counts lines that were read, whatever they are."""
        self._aggregate.lines += lines

    def ignore(self, kind: LineFault) -> None:
        """Counts a line that is not a run."""
        ignore(self._aggregate, kind)

    def add(self, entries: Sequence[Entry]) -> None:
        """Adds runs. Their lines are not counted here."""
        ours: dict[tuple[str, str], list[EntryLine]] = {}
        foreign: dict[str, list[ForeignLine]] = {}
        for entry in entries:
            if isinstance(entry, ForeignLine):
                try:
                    foreign[entry.pipeline_id].append(entry)
                except KeyError:
                    foreign[entry.pipeline_id] = [entry]
            else:
                ours.setdefault((entry.machine or UNKNOWN, entry.pipeline_id), []).append(entry)
        for (machine, pipeline), group in ours.items():
            self._add_ours(_of(self._aggregate.machines.setdefault(machine, {}), pipeline), group)
        for pipeline, those in foreign.items():
            self._add_foreign(_of(self._aggregate.machines.setdefault(UNKNOWN, {}), pipeline), those)

    def _add_foreign(self, totals: Totals, entries: Sequence[ForeignLine]) -> None:
        statuses = _count_runs(totals, entries)
        for status in statuses:
            some = entries if len(statuses) == 1 else [entry for entry in entries if entry.status == status]
            walls = [time * MICRO + _WHOLE - _WHOLE for entry in some if (time := entry.duration_seconds) is not None]
            if status == SUCCEEDED:
                self._put(totals.costs, "wall_seconds", walls)
            else:
                self._put(totals.unsuccessful, status, walls)

    def _add_ours(self, totals: Totals, entries: Sequence[EntryLine]) -> None:
        _count_runs(totals, entries)
        stages: dict[str, list[StageLine]] = {}
        for entry in entries:
            for stage in entry.stages:
                try:
                    stages[stage.id].append(stage)
                except KeyError:
                    stages[stage.id] = [stage]
        some_cached = False
        for name, several in stages.items():
            some_cached |= self._add_stages(_of(totals.stages, name), several)
        cached = {id(entry) for entry in entries if is_cached(entry)} if some_cached else set()
        self._add_runs(totals, entries, cached)
        _count_rest(totals, entries, cached)

    def _add_runs(self, totals: Totals, entries: Sequence[EntryLine], cached: Collection[int]) -> None:
        done = [entry for entry in entries if entry.status == SUCCEEDED]
        if len(done) < len(entries):
            self._add_unsuccessful(totals, entries)
        _count_bounds(
            totals, ((entry, costs_of_run(entry)) for entry in done if entry.complete is False or entry.lower_bounds)
        )
        # Rare ones one by one: with an answer from the cache, resumed, or with manifests that the program wrote itself.
        rare = {id(entry) for entry in done if entry.resumes or entry.metrics} | set(cached)
        if rare:
            for entry in done:
                if id(entry) in rare:
                    for name, value in costs_of_run(entry):
                        self._put(totals.costs, name, [value])
            done = [entry for entry in done if id(entry) not in rare]
        writes = [entry.manifest_writes for entry in done]
        self._put(totals.costs, "manifest_writes", [value for value in writes if value is not None])
        self._add_costs(totals, done)

    def _add_stages(self, totals: Totals, stages: Sequence[StageLine]) -> bool:
        """Whether some of them came from the cache."""
        totals.runs += len(stages)
        totals.ours += len(stages)
        _count_statuses(totals, [stage.status for stage in stages])
        totals.flaky += sum([stage.flaky for stage in stages])
        own = [stage for stage in stages if not stage.cached]
        totals.cached += len(stages) - len(own)
        tests = [stage.tests for stage in own if stage.tests]
        totals.tested += len(tests)
        _count_tests(totals, tests)
        done = [stage for stage in own if stage.status == SUCCEEDED]
        if len(done) < len(own):
            self._add_unsuccessful(totals, own)
        self._add_costs(totals, done)
        _count_bounds(
            totals, ((stage, costs_of(stage)) for stage in done if stage.complete is False or stage.lower_bounds)
        )
        return len(own) < len(stages)

    def _add_unsuccessful(self, totals: Totals, costs: Sequence[EntryLine] | Sequence[StageLine]) -> None:
        for cost in costs:
            if cost.status != SUCCEEDED and (wall := wall_microseconds(cost)) is not None:
                self._put(totals.unsuccessful, cost.status, [wall])

    def _add_costs(self, totals: Totals, costs: Sequence[CostLine]) -> None:
        """Adds what `costs_of` says of each."""
        put = self._put
        kept = totals.costs
        walls = [wall * MICRO + _WHOLE - _WHOLE for cost in costs if (wall := cost.wall_seconds) is not None]
        put(kept, "wall_seconds", walls)
        cpus = [
            (user + system) * MICRO + _WHOLE - _WHOLE
            for cost in costs
            if (user := cost.user_seconds) is not None and (system := cost.system_seconds) is not None
        ]
        put(kept, "cpu_seconds", cpus)
        put(kept, "max_rss_bytes", [value for cost in costs if (value := cost.max_rss_bytes) is not None])
        put(kept, "tree_rss_bytes", [value for cost in costs if (value := cost.tree_rss_bytes) is not None])
        put(kept, "read_bytes", [value for cost in costs if (value := cost.read_bytes) is not None])
        put(kept, "written_bytes", [value for cost in costs if (value := cost.written_bytes) is not None])
        put(kept, "processes", [value for cost in costs if (value := cost.processes) is not None])

    def _put(self, spreads: dict[str, Spread], name: str, values: list[float]) -> None:
        if not values:
            return
        spread = spreads.get(name)
        if spread is None:
            spread = spreads[name] = Spread()
        waiting = self._waiting.get(id(spread))
        if waiting is None:
            self._waiting[id(spread)] = spread, values
        else:
            waiting[1].extend(values)
        self._number += len(values)
        if self._number > MOST_WAITING:
            self.total()


def machine_of(entry: Entry) -> str:
    return (entry.machine or UNKNOWN) if isinstance(entry, EntryLine) else UNKNOWN


def ignore(aggregate: Aggregate, kind: LineFault, count: int = 1) -> None:
    """Counts lines that are not runs, in place."""
    aggregate.ignored[kind.value] = aggregate.ignored.get(kind.value, 0) + count


def _of(totals: dict[str, Totals], name: str) -> Totals:
    found = totals.get(name)
    if found is None:
        found = totals[name] = Totals()
    return found


def _count_runs(totals: Totals, entries: Sequence[Entry]) -> Collection[str]:
    """Their statuses."""
    totals.runs += len(entries)
    starts = [entry.started_at for entry in entries]
    _stretch(totals, starts, [entry.completed_at or entry.started_at for entry in entries])
    return _count_statuses(totals, [entry.status for entry in entries])


def _count_statuses(totals: Totals, statuses: Sequence[str]) -> Collection[str]:
    found = Counter(statuses)
    for status, number in found.items():
        totals.statuses[status] = totals.statuses.get(status, 0) + number
    return found


def _stretch(totals: Totals, starts: list[datetime], ends: list[datetime]) -> None:
    first, last = min(starts), max(ends)
    if totals.first is None or first < totals.first:
        totals.first, totals.firsts = first, 0
    if totals.last is None or last > totals.last:
        totals.last, totals.lasts = last, 0
    if first == totals.first:
        totals.firsts += starts.count(first)
    if last == totals.last:
        totals.lasts += ends.count(last)


def _count_rest(totals: Totals, entries: Sequence[EntryLine], cached: Collection[int]) -> None:
    totals.ours += len(entries)
    totals.cached += len(cached)
    totals.flaky += sum([bool(entry.flaky) for entry in entries])
    totals.resumed += sum([bool(entry.resumes) for entry in entries])
    tests = [entry.tests for entry in entries if entry.tests and id(entry) not in cached]
    totals.tested += len(tests)
    _count_tests(totals, tests)
    for entry in entries if cached else ():
        if id(entry) in cached:  # what a stage from the cache repeats was counted when it ran
            tests = [stage.tests for stage in entry.stages if stage.tests and not stage.cached]
            totals.tested += bool(tests)
            _count_tests(totals, tests)


def _count_tests(totals: Totals, found: Iterable[TestsLine]) -> None:
    for tests in found:
        totals.passed += tests.passed
        totals.failed += tests.failed + tests.errors
        totals.skipped += tests.skipped


def _count_bounds(totals: Totals, found: Iterator[tuple[CostLine, Iterator[tuple[str, int]]]]) -> None:
    for cost, spent in found:
        bounds = bounded_costs(cost)
        for name, _ in spent:
            if not bounds or name in bounds:
                totals.bounded[name] = totals.bounded.get(name, 0) + 1
