"""What a pipeline cost from run to run: one stream for each repository, pipeline, stage, class of machines and metric.

Only what can be compared is in one: runs that succeeded whole and at once, of a commit and nothing else, on machines
whose class is known. Where the commits are known, they give the order, and the runs of others are left out; a clock
that is wrong by days then changes nothing. Else the runs' own clocks do.
"""

from __future__ import annotations

from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.metrics.aggregate import MICRO, SUCCEEDED, TIMES, UNKNOWN
from orchgate.metrics.lines import costs_of, is_bound, is_cached

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchgate.history.entries import HistoryEntry
    from orchgate.history.query import Runs
    from orchgate.metrics.lines import CostLine

    Order = tuple[int, float, str]

# The first one says it where several moved together: CPU time wavers least with what else the machine does.
METRICS = ("cpu_seconds", "wall_seconds", "max_rss_bytes")
_OF_BENCHMARKS = {"s": "benchmark_seconds"}  # metrics by the unit of a benchmark
_OTHER = "benchmark"
MOST_RUNS = 500  # of a stream, the newest


class StreamKey(NamedTuple):
    """`stage` and `benchmark` are "" where all of the run is meant."""

    repository: str
    pipeline: str
    machine: str
    metric: str
    stage: str = ""
    benchmark: str = ""


class StreamPoint(NamedTuple):
    """A value of a run. `moment` is when it began, in seconds since 1970; `commit` is None where nobody knows it."""

    key: StreamKey
    moment: float
    commit: str | None
    value: float
    run_id: str


class CommitLine(NamedTuple):
    """The commits that trends of a repository follow, from parent to child, by their place; `name` is the branch."""

    name: str
    places: Mapping[str, int]

    def between(self, old: str | None, new: str | None) -> int | None:
        """How many commits lead from one to the other; None where one is not of the line."""
        begin, end = self.places.get(old or ""), self.places.get(new or "")
        return None if begin is None or end is None else end - begin


class Stream(NamedTuple):
    """The newest values of one kind, the oldest first; `line` is None where the runs' clocks gave the order."""

    key: StreamKey
    points: Sequence[StreamPoint]
    line: CommitLine | None

    def order(self, at: int) -> Order:
        return _order(self.points[at], self.line)


def _order(point: StreamPoint, line: CommitLine | None) -> Order:
    place = line.places.get(point.commit or "", -1) if line else 0
    return place, point.moment, point.run_id


def of_points(points: Iterable[StreamPoint], lines: Mapping[str, CommitLine]) -> list[Stream]:
    """Streams of points that come in any order; `lines` are those of repositories whose commits are known."""
    found: dict[StreamKey, list[StreamPoint]] = {}
    for point in points:
        line = lines.get(point.key.repository)
        if point.value > 0 and (line is None or point.commit in line.places):
            found.setdefault(point.key, []).append(point)
    return [stream(key, found[key], lines.get(key.repository)) for key in sorted(found, key=told_order)]


def told_order(key: StreamKey) -> tuple[object, ...]:
    """In which order streams are told: of each pipeline on each class of machines whole runs, by their first metric."""
    rank = METRICS.index(key.metric) if key.metric in METRICS else len(METRICS)
    return *key[:3], bool(key.benchmark), bool(key.stage), rank, key


def stream(key: StreamKey, points: Iterable[StreamPoint], line: CommitLine | None) -> Stream:
    """Of points that come in any order; all of them are of the line, where there is one."""
    return Stream(key, sorted(points, key=lambda point: _order(point, line))[-MOST_RUNS:], line)


def of_runs(runs: Iterable[Runs], lines: Mapping[str, CommitLine]) -> list[Stream]:
    """Streams of runs, each of which is there once."""
    points = (
        point
        for one in runs
        for entries in _newest(one.entries, lines.get(one.repository.name))
        for entry in entries
        for point in points_of(one.repository.name, entry)
    )
    return of_points(points, lines)


def _newest(entries: Iterable[HistoryEntry], line: CommitLine | None) -> Iterator[Sequence[HistoryEntry]]:
    """Of each pipeline on each class of machines the runs that trends are made of: values of others are not needed."""
    groups: dict[tuple[str, str | None], list[HistoryEntry]] = {}
    for entry in entries:
        if counts(entry) and (line is None or entry.commit in line.places):
            groups.setdefault((entry.pipeline_id, entry.machine), []).append(entry)
    for group in groups.values():
        if len(group) > MOST_RUNS:
            places = line.places if line else {}
            group.sort(key=lambda entry: (places.get(entry.commit or "", 0), entry.started_at, entry.run_id))
        yield group[-MOST_RUNS:]


def counts(entry: HistoryEntry) -> bool:
    """Whether what a run cost can be set beside what others did."""
    if entry.status != SUCCEEDED or entry.foreign or entry.dirty or entry.commit is None:
        return False
    odd = entry.resumes or entry.flaky or is_cached(entry) or any([stage.flaky for stage in entry.stages])  # noqa: C419
    return not odd and entry.machine not in (None, UNKNOWN)


def points_of(repository: str, entry: HistoryEntry) -> Iterator[StreamPoint]:
    """What a run that counts adds to each of its streams."""
    where = entry.started_at.timestamp(), entry.commit
    key = StreamKey(repository, entry.pipeline_id, entry.machine_class, "")
    for metric, value in _values(entry):
        yield StreamPoint(key._replace(metric=metric), *where, value, entry.run_id)
    for stage in entry.stages if len(entry.stages) > 1 else ():
        for metric, value in _values(stage) if stage.status == SUCCEEDED else ():
            yield StreamPoint(key._replace(metric=metric, stage=stage.id), *where, value, entry.run_id)
    for one in entry.benchmarks:
        metric = _OF_BENCHMARKS.get(one.unit, _OTHER)
        named = key._replace(metric=metric, stage=one.stage or "", benchmark=one.name)
        yield StreamPoint(named, *where, one.value, entry.run_id)


def _values(cost: CostLine) -> Iterator[tuple[str, float]]:
    for name, value in costs_of(cost):
        if name in METRICS and not is_bound(cost, name):
            yield name, value / MICRO if name in TIMES else value
