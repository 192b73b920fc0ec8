"""What a pipeline cost from run to run: one stream for each repository, pipeline, stage, class of machines and metric.

Only what can be compared is in one: runs that succeeded whole and at once, of a commit and nothing else, on machines
whose class is known. Where the commits are known, they give the order, and the runs of others are left out; a clock
that is wrong by days then changes nothing. Else the runs' own clocks do.
"""

from __future__ import annotations

from operator import itemgetter

from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.metrics.aggregate import MICRO, SUCCEEDED, TIMES, UNKNOWN
from orchgate.metrics.lines import costs_of, is_bound, is_cached

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from orchgate.history.entries import HistoryEntry
    from orchgate.history.query import Runs
    from orchgate.metrics.lines import CostLine

    Order = tuple[int, float, str]

# The first one says it where several moved together: CPU time wavers least with what else the machine does.
METRICS = ("cpu_seconds", "wall_seconds", "max_rss_bytes")
OF_BENCHMARKS = "benchmark_seconds"  # the metric of those whose unit is s
_OTHER = "benchmark"
MOST_RUNS = 500  # of a stream, the newest
LEAST, MOST = 1e-100, 1e100  # between which a value is one that can be compared


class StreamKey(NamedTuple):
    """`stage` and `benchmark` are "" where all of the run is meant."""

    repository: str
    pipeline: str
    machine: str
    metric: str
    stage: str = ""
    benchmark: str = ""


class RunPlace(NamedTuple):
    """A run, when it began, in seconds since 1970, and its commit; None where nobody knows it."""

    moment: float
    commit: str | None
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
    """The newest values of one kind with their runs, the oldest first.

    `line` is None where the runs' clocks gave the order.
    """

    key: StreamKey
    runs: Sequence[RunPlace]
    values: Sequence[float]
    line: CommitLine | None

    def order(self, at: int) -> Order:
        run = self.runs[at]
        return self.line.places.get(run.commit or "", -1) if self.line else 0, run.moment, run.run_id


def told_order(key: StreamKey) -> tuple[object, ...]:
    """In which order streams are told: of each pipeline on each class of machines whole runs, by their first metric."""
    rank = METRICS.index(key.metric) if key.metric in METRICS else len(METRICS)
    return *key[:3], bool(key.benchmark), bool(key.stage), rank, key


def of_runs(runs: Iterable[Runs], lines: Mapping[str, CommitLine]) -> list[Stream]:
    """Streams of runs, each of which is there once."""
    found: list[Stream] = []
    for one in runs:
        found += of_entries(one.repository.name, one.entries, lines.get(one.repository.name))
    return sorted(found, key=lambda stream: told_order(stream.key))


def of_entries(
    repository: str, entries: Iterable[HistoryEntry], line: CommitLine | None, *, parts: bool = True
) -> Iterator[Stream]:
    """As `of_runs`, of one repository; `parts`: of stages and benchmarks, too."""
    places = line.places if line else {}
    groups: dict[tuple[str, str], list[tuple[int, datetime, str, HistoryEntry]]] = {}
    for entry in entries:
        place = places.get(entry.commit or "", 0 if line is None else None)
        if place is not None and counts(entry):
            ordered = place, entry.started_at, entry.run_id, entry
            groups.setdefault((entry.pipeline_id, entry.machine_class), []).append(ordered)
    for (pipeline, machine), group in groups.items():
        newest = [entry for *_, entry in sorted(group, key=itemgetter(0, 1, 2))[-MOST_RUNS:]]
        columns = _columns(newest, parts=parts)
        for (stage, benchmark, metric), (runs, values) in columns.items():
            yield Stream(StreamKey(repository, pipeline, machine, metric, stage, benchmark), runs, values, line)


def _columns(
    entries: Iterable[HistoryEntry], *, parts: bool
) -> Mapping[tuple[str, str, str], tuple[list[RunPlace], list[float]]]:
    """Runs and values by stage, benchmark and metric."""
    found: dict[tuple[str, str, str], tuple[list[RunPlace], list[float]]] = {}
    for entry in entries:
        run = RunPlace(entry.started_at.timestamp(), entry.commit, entry.run_id)
        for kind, value in _values(entry, parts=parts):
            if LEAST < value < MOST:
                if kind not in found:
                    found[kind] = [], []
                runs, values = found[kind]
                runs.append(run)
                values.append(value)
    return found


def counts(entry: HistoryEntry) -> bool:
    """Whether what a run cost can be set beside what others did."""
    if entry.status != SUCCEEDED or entry.foreign or entry.dirty or entry.commit is None:
        return False
    odd = entry.resumes or entry.flaky or is_cached(entry) or any([stage.flaky for stage in entry.stages])  # noqa: C419
    return not odd and entry.machine not in (None, UNKNOWN)


def _values(entry: HistoryEntry, *, parts: bool) -> Iterator[tuple[tuple[str, str, str], float]]:
    """What a run that counts adds to each of its streams."""
    for metric, value in _costs(entry):
        yield ("", "", metric), value
    for stage in entry.stages if parts and len(entry.stages) > 1 else ():
        for metric, value in _costs(stage) if stage.status == SUCCEEDED else ():
            yield (stage.id, "", metric), value
    for one in entry.benchmarks if parts else ():
        yield (one.stage or "", one.name, OF_BENCHMARKS if one.unit == "s" else _OTHER), one.value


def _costs(cost: CostLine) -> Iterator[tuple[str, float]]:
    for name, value in costs_of(cost):
        if name in METRICS and not is_bound(cost, name):
            yield name, value / MICRO if name in TIMES else value
