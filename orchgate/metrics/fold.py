"""Many runs into an aggregate at once. Imports msgspec.

What one value costs is what counts here: an entry of ours has some forty. So values wait, by what they are, until there
are many of a kind: a sorted list of them is put away in a fraction of the time that one after the other takes.
"""

from __future__ import annotations

import struct
from array import array
from collections import Counter, defaultdict
from itertools import chain, compress
from operator import add, attrgetter
from struct import pack

from orchgate.lib.typed import TYPE_CHECKING
from orchgate.metrics.aggregate import SUCCEEDED, UNKNOWN, Aggregate, Totals
from orchgate.metrics.lines import (
    EntryLine,
    ForeignLine,
    PlainEntry,
    RunLine,
    Table,
    bounded_costs,
    costs_of,
    costs_of_run,
    ends_of,
    is_cached,
    table,
    wall_microseconds,
)
from orchgate.metrics.sketch import Spread, put

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
    from datetime import datetime
    from typing import Any, TypeVar

    from orchgate.metrics.lines import Columns, CostLine, Entry, LineFault, StageLine, TestsLine

    Key = TypeVar("Key", bound=Hashable)

MOST_WAITING = 1 << 18  # values; each takes 8 bytes
APART = 64  # what those of one kind that wait take beside themselves, in values
MICRO = 1e6
WIDTH = 8  # bytes of a value
# Added and taken away again, it leaves the whole number that is nearest to a float below 2**51, of two the even one:
# what `round` does, in a third of the time.
WHOLE = 3.0 * (1 << 51)
_RARE = ("resumes", "metrics", "tests", "flaky", "lower_bounds")
_BYTES = ("max_rss_bytes", "tree_rss_bytes", "read_bytes", "written_bytes", "processes")
_SPENT = ("wall_seconds", "user_seconds", "system_seconds", *_BYTES, "manifest_writes")


class _Series:
    """What the stages of many runs cost that all have the same ones: every so manieth value is of the same stage."""

    def __init__(self, totals: Totals, ids: tuple[str, ...]) -> None:
        self.totals = totals  # of the pipeline
        self.ids = ids
        self.runs = 0
        self.costs: dict[str, bytearray] = {}

    def put(self) -> None:
        for name in self.ids:
            totals = _of(self.totals.stages, name)
            totals.runs += self.runs
            totals.ours += self.runs
            totals.statuses[SUCCEEDED] = totals.statuses.get(SUCCEEDED, 0) + self.runs
        for cost, packed in self.costs.items():
            values = array("d", packed)
            for place, name in enumerate(self.ids):
                put(_of(self.totals.stages, name).costs.setdefault(cost, Spread()), values[place :: len(self.ids)])


class Sums:
    """An aggregate in the making."""

    def __init__(self) -> None:
        self._aggregate = Aggregate()
        self._waiting: dict[int, tuple[Spread, bytearray]] = {}  # doubles, by the identity of the spread
        self._series: dict[tuple[str, str, tuple[str, ...]], _Series] = {}  # by machine, pipeline and stages
        self._number = 0

    def total(self) -> Aggregate:
        """All that was added so far."""
        for spread, packed in self._waiting.values():
            put(spread, array("d", packed))
        for series in self._series.values():
            series.put()
        self._waiting.clear()
        self._series.clear()
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
        foreign = []
        for entry in entries:
            if isinstance(entry, ForeignLine):
                foreign.append(entry)
            else:
                ours.setdefault((entry.machine or UNKNOWN, entry.pipeline_id), []).append(entry)
        for (machine, pipeline), group in ours.items():
            self._add_ours(_of(self._aggregate.machines.setdefault(machine, {}), pipeline), group)
        if foreign:
            self.add_table(table(foreign))
        self._shed()

    def add_table(self, entries: Table) -> None:
        """As `add`, of entries of one kind."""
        machines, columns, kind = self._aggregate.machines, entries.columns, type(entries.rows[0])
        if kind is ForeignLine:
            for pipeline, some in _grouped(columns["pipeline_id"], entries):
                self._add_foreign(_of(machines.setdefault(UNKNOWN, {}), pipeline), some.columns)
        elif kind is PlainEntry:
            for (machine, pipeline), some in _grouped(
                list(zip(columns["machine"], columns["pipeline_id"], strict=True)), entries
            ):
                totals = _of(machines.setdefault(machine or UNKNOWN, {}), pipeline)
                if not self._add_plain(totals, (machine or UNKNOWN, pipeline), some):
                    self._add_ours(totals, some.rows)
        else:
            self.add(entries.rows)
        self._shed()

    def _shed(self) -> None:
        if self._number > MOST_WAITING:
            self.total()

    def _add_foreign(self, totals: Totals, columns: Columns) -> None:
        statuses, walls = columns["status"], columns["duration_seconds"]
        totals.runs += len(statuses)
        _stretch(totals, columns["started_at"], ends_of(columns))
        found = _count_statuses(totals, statuses)
        for status in found:
            some = (
                walls if len(found) == 1 else [wall for wall, its in zip(walls, statuses, strict=True) if its == status]
            )
            if status == SUCCEEDED:
                self._put(totals.costs, "wall_seconds", _microseconds(some))
            else:
                self._put(totals.unsuccessful, status, _microseconds(some))

    def _add_plain(self, totals: Totals, key: tuple[str, str], entries: Table) -> bool:
        """Whether they were added: runs of which nothing rare is said, with the same stages, each of which passed."""
        columns = entries.columns
        if any(any(columns[name]) for name in _RARE) or False in set(columns["complete"]):
            return False
        number = len(columns["stages"][0])
        stages = list(chain.from_iterable(columns["stages"])) if number else []
        if not stages or not self._add_series(totals, key, number, table(stages).columns):
            return False
        totals.runs += len(entries.rows)
        totals.ours += len(entries.rows)
        _stretch(totals, columns["started_at"], ends_of(columns))
        statuses = columns["status"]
        if _count_statuses(totals, statuses) != {SUCCEEDED}:
            self._add_unsuccessful(totals, entries.rows)
            done = [status == SUCCEEDED for status in statuses]
            columns = {name: tuple(compress(columns[name], done)) for name in _SPENT}
        for name, values in _costs(columns):
            self._put(totals.costs, name, values)
        self._put(totals.costs, "manifest_writes", _known(columns["manifest_writes"]))
        return True

    def _add_series(self, totals: Totals, key: tuple[str, str], number: int, stages: Columns) -> bool:
        every, statuses = stages["id"], stages["status"]
        ids = every[:number]
        runs, rest = divmod(len(every), number)
        if rest or every != ids * runs or len(set(ids)) < number or statuses.count(SUCCEEDED) < len(statuses):
            return False
        series = self._series.get((*key, ids))
        if series is None:
            series = self._series[*key, ids] = _Series(totals, ids)
            self._number += APART
        series.runs += runs
        for name, values in _costs(stages):
            if name in series.costs:
                series.costs[name] += values
            else:
                series.costs[name] = bytearray(values)
            self._number += len(values) // WIDTH
        return True

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
                        self._put(totals.costs, name, pack("d", value))
            done = [entry for entry in done if id(entry) not in rare]
        self._put(totals.costs, "manifest_writes", _known([entry.manifest_writes for entry in done]))
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
                self._put(totals.unsuccessful, cost.status, pack("d", wall))

    def _add_costs(self, totals: Totals, costs: Sequence[CostLine]) -> None:
        """Adds what `costs_of` says of each."""
        columns = {name: tuple(map(attrgetter(name), costs)) for name in _SPENT[:-1]}
        for name, values in _costs(columns):
            self._put(totals.costs, name, values)

    def _put(self, spreads: dict[str, Spread], name: str, values: bytes) -> None:
        """Adds doubles."""
        if not values:
            return
        spread = spreads.get(name)
        if spread is None:
            spread = spreads[name] = Spread()
        waiting = self._waiting.get(id(spread))
        if waiting is None:
            self._waiting[id(spread)] = spread, bytearray(values)
            self._number += APART
        else:
            waiting[1].extend(values)
        self._number += len(values) // WIDTH


def _costs(columns: Columns) -> Iterator[tuple[str, bytes]]:
    """What `costs_of` says of each, as doubles."""
    yield "wall_seconds", _microseconds(columns["wall_seconds"])
    yield "cpu_seconds", _cpu_microseconds(columns["user_seconds"], columns["system_seconds"])
    for name in _BYTES:
        if name in columns:
            yield name, _known(columns[name])


def _known(values: Sequence[Any]) -> bytes:
    """Those that are not None as doubles, which hold them exactly, see `lines.MOST_BYTES`."""
    try:
        return pack(f"{len(values)}d", *values)
    except struct.error:
        known = [value for value in values if value is not None]
        return pack(f"{len(known)}d", *known)


def _microseconds(seconds: Sequence[Any]) -> bytes:
    try:
        found = [value * MICRO + WHOLE - WHOLE for value in seconds]
    except TypeError:
        found = [value * MICRO + WHOLE - WHOLE for value in seconds if value is not None]
    return pack(f"{len(found)}d", *found)


def _cpu_microseconds(user: Sequence[Any], system: Sequence[Any]) -> bytes:
    try:
        return _microseconds(list(map(add, user, system)))
    except TypeError:
        both = zip(user, system, strict=True)
        return _microseconds([one + other for one, other in both if one is not None and other is not None])


def _grouped(keys: Sequence[Key], entries: Table) -> Iterable[tuple[Key, Table]]:
    """The entries that have the same key."""
    if keys.count(keys[0]) == len(keys):
        return [(keys[0], entries)]
    groups: defaultdict[Key, list[Any]] = defaultdict(list)
    for key, row in zip(keys, entries.rows, strict=True):
        groups[key].append(row)
    return [(key, table(some)) for key, some in groups.items()]


def machine_of(entry: Entry) -> str:
    return (entry.machine or UNKNOWN) if isinstance(entry, RunLine) else UNKNOWN


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
    found = set(statuses)
    numbers = Counter(statuses) if len(found) > 3 else {status: statuses.count(status) for status in found}
    for status, number in numbers.items():
        totals.statuses[status] = totals.statuses.get(status, 0) + number
    return found


def _stretch(totals: Totals, starts: Sequence[datetime], ends: Sequence[datetime]) -> None:
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
