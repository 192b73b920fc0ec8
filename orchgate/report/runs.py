"""The runs that are recorded here: from the metrics of each task, and from the folders of those without an entry.

Nothing is written, no checkpoint either: whoever looks may have no right to.
"""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC
from itertools import islice

from orchgate.errors import OrchgateError
from orchgate.hotspots.timeline import MICROSECONDS, Phase
from orchgate.lib import files
from orchgate.lib.paths import require_inside
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, suppress
from orchgate.metrics import fold, snapshot
from orchgate.metrics.aggregate import UNKNOWN
from orchgate.metrics.lines import LineFault, checked, costs_of_run, is_bound, wall_microseconds
from orchgate.report.values import ReadProblem, RunRow, StageRow, StageSpan, StageTimes
from orchgate.runs import ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from orchgate.hotspots.timeline import BusySpan, Timeline
    from orchgate.metrics.lines import Entry
    from orchgate.runs.run import Run


LISTED = 500  # runs
TAIL_BYTES = 2 << 20  # at the end of a task's metrics, in which they are looked for
UNRECORDED = 100  # of the newest runs without an entry, whose folders are read
# What a line may be without anything being lost with it.
_HARMLESS = (LineFault.TORN, LineFault.DUPLICATE, LineFault.SUPERSEDED, LineFault.OUTSIDE)


class RunHistory(NamedTuple):
    """The newest runs, newest first, and how many there are; `older`: some are not counted, as nobody read so far."""

    rows: tuple[RunRow, ...] = ()
    total: int = 0
    older: bool = False
    problems: tuple[ReadProblem, ...] = ()


def read(root: str, task: str, row_of: Callable[[str, str], Mapping[str, Any]]) -> RunHistory:
    """All runs of a task, or of all for "". `row_of` knows a run by its task and folder, as `orchgate status` does."""
    problems: list[ReadProblem] = []
    try:
        require_inside(root, os.path.join(root, ids.RUNS))
        found = list(ids.all_runs(root, task, lambda error: problems.append(_problem("folder-unreadable", error))))
    except OrchgateError as error:
        return RunHistory(problems=(_problem("runs-outside", error),))
    if os.path.lexists(os.path.join(root, ids.RUNS)) and not os.path.isdir(os.path.join(root, ids.RUNS)):
        problems.append(ReadProblem("folder-unreadable", f"{ids.RUNS} is no directory: no run can be read from it"))
    rows: dict[tuple[str, str], RunRow] = {}
    older = False
    for name in [task] if task else _tasks(root, {name for name, _ in found}):
        entries, cut = _entries(root, name, problems)
        rows |= {(name, entry.run_id): _recorded(name, entry) for entry in entries}
        older = older or cut
    missing = [(name, run) for name, run in found if (name, run) not in rows]
    for name, run in missing[:UNRECORDED]:
        rows[name, run] = _unrecorded(root, name, run, row_of, problems)
    rows |= dict(_replayed(root, rows))
    ordered = sorted(rows.values(), key=lambda row: (row.started_at, row.run_id), reverse=True)
    count = len(rows) + len(missing[UNRECORDED:])
    return RunHistory(tuple(_anchored(ordered[:LISTED])), count, older, tuple(problems))


def _problem(code: str, error: OrchgateError, where: str = "") -> ReadProblem:
    path = where or getattr(error, "path", "")
    return ReadProblem(code, f"{path}: {error.message}" if path else error.message, error.hint)


def _tasks(root: str, known: set[str]) -> list[str]:
    """The tasks with metrics; a folder that cannot be listed has been reported."""
    try:
        names = {*known, *os.listdir(os.path.join(root, ids.RUNS))}
    except OSError:
        names = known
    return sorted(name for name in names if os.path.lexists(os.path.join(root, ids.RUNS, name, ids.METRICS)))


def _entries(root: str, task: str, problems: list[ReadProblem]) -> tuple[list[Entry], bool]:
    """The entries at the end of a task's metrics, one for each run, and whether there are earlier ones."""
    where = f"{ids.RUNS}/{task}/{ids.METRICS}"
    try:
        data, cut = _tail(os.path.join(ids.task_folder(root, task), ids.METRICS))
    except FileNotFoundError:
        return [], False
    except files.NotRegularFileError as error:
        problems.append(ReadProblem("metrics-unreadable", f"{where} is {error.kind}, not a regular file"))
        return [], False
    except OSError as error:
        problems.append(ReadProblem("metrics-unreadable", f"{where} cannot be read: {error.strerror}"))
        return [], False
    except OrchgateError as error:
        problems.append(_problem("metrics-unreadable", error, where))
        return [], False
    lines = [checked(line) for line in data.split(b"\n") if line]
    faults = Counter(one.value for one in lines if isinstance(one, LineFault) and one not in _HARMLESS)
    if faults:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(faults.items()))
        what = counted(faults.total(), "line")
        problems.append(ReadProblem("metrics-damaged", f"{where}: {what} cannot be read as a run: {kinds}"))
    return snapshot.latest(one for one in lines if not isinstance(one, LineFault)), cut


def _tail(path: str) -> tuple[bytes, bool]:
    """The whole lines at the end of a file, and whether there are others before them. Raises OSError."""
    descriptor = files.open_regular(path)
    try:
        size = os.fstat(descriptor).st_size
        begin = max(0, size - TAIL_BYTES)
        data = os.pread(descriptor, size - begin, begin)
    finally:
        os.close(descriptor)
    whole = data[: data.rfind(b"\n") + 1]  # somebody may still be writing the last one
    return (whole.partition(b"\n")[2] if begin else whole), begin > 0


def _recorded(task: str, entry: Entry) -> RunRow:
    metrics = {name: snapshot.in_unit(name, value) for name, value in costs_of_run(entry)}
    if "wall_seconds" not in metrics and (wall := wall_microseconds(entry)) is not None:
        metrics["wall_seconds"] = snapshot.in_unit("wall_seconds", wall)
    tests, stages = getattr(entry, "tests", None), getattr(entry, "stages", ())
    return RunRow(
        entry.run_id,
        "",
        task,
        entry.pipeline_id,
        fold.machine_of(entry),
        entry.status,
        _moment(entry.started_at),
        {name: value for name, value in metrics.items() if value is not None},
        tuple(name for name in metrics if is_bound(entry, name)),
        tests.passed if tests else None,
        tests.failed + tests.errors if tests else None,
        flaky=bool(getattr(entry, "flaky", ())),
        cached=any(stage.cached for stage in stages),
    )


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _unrecorded(
    root: str, task: str, run: str, row_of: Callable[[str, str], Mapping[str, Any]], problems: list[ReadProblem]
) -> RunRow:
    """A run without an entry: one that goes on, was abandoned, or whose journal is damaged."""
    where = f"{ids.RUNS}/{task}/cli/{run}"
    stamp = f"{run[:10]}T{run[11:19].replace('-', ':')}.{run[20:23]}Z"
    row = RunRow(run, "", task, "", UNKNOWN, "unreadable", stamp)
    try:
        known = row_of(task, ids.run_folder(root, task, run))
    except OrchgateError as error:
        problems.append(_problem("run-unreadable", error, where))
        return row._replace(problem=error.message)
    problem = str(known.get("problem") or "")
    if known["status"] == "unreadable":
        problems.append(ReadProblem("run-unreadable", f"{where}: {problem}"))
    seconds = known.get("seconds")
    return row._replace(
        pipeline_id=str(known.get("pipeline_id") or ""),
        status=str(known["status"]),
        started_at=str(known.get("started_at") or stamp),
        metrics={"wall_seconds": float(seconds)} if isinstance(seconds, int | float) and seconds >= 0 else {},
        flaky=bool(known.get("flaky")),
        problem=problem,
        replays=str(known.get("replays_run_id") or ""),
    )


def _replayed(root: str, rows: Mapping[tuple[str, str], RunRow]) -> Iterator[tuple[tuple[str, str], RunRow]]:
    """The rows of runs that were replayed, with what their replays say. One that cannot be read says so itself."""
    for key in {(row.task_id, row.replays) for row in rows.values() if row.replays}:
        from orchgate.replay import standing

        try:
            found = standing.of_run(ids.run_folder(root, *key)) if key in rows else None
        except OrchgateError:
            continue
        if found is not None:
            yield key, rows[key]._replace(replayed=found.words)


def _anchored(rows: list[RunRow]) -> Iterator[RunRow]:
    """Rows with a place on the page each: the random part of the id, which is short; a number where that is taken."""
    taken: set[str] = set()
    for number, row in enumerate(rows, 1):
        short = row.run_id[-8:] if ids.RUN_ID.fullmatch(row.run_id) else f"n{number}"
        anchor = f"r{short}" if short not in taken else f"r{short}-{number}"
        taken.add(short)
        yield row._replace(anchor=anchor)


# Where the time of the newest run of every pipeline went, and of some others: its stages, and how long each waited


NEWEST = 8  # pipelines whose newest run is shown
OTHERS = 6  # further runs
MOST_STAGES = 40  # of a run
MOST_FAILED_TESTS = 10  # that are named of a run
MOST_SPANS = 200  # of a run: attempts without end would be a page without end


def stage_times(root: str, rows: Iterable[RunRow]) -> tuple[tuple[StageTimes, ...], tuple[ReadProblem, ...], int]:
    """The timelines of runs whose folders are here, what could not be read, and how many such runs there are.

    The newest of each pipeline come first, then the newest of the rest.
    """
    here = [row for row in rows if row.status != "unreadable" and _folder(root, row)]
    newest = list({row.pipeline_id: row for row in reversed(here)}.values())[::-1]
    chosen = newest[:NEWEST]
    chosen += [row for row in here if row not in chosen][:OTHERS]
    found, problems = [], []
    for row in chosen:
        try:
            others = [one for one in here if one.pipeline_id == row.pipeline_id and one.status != row.status]
            found.append(_with_tools(root, row, others, _times(root, row, newest=row in newest)))
        except OrchgateError as error:
            where = f"{ids.RUNS}/{row.task_id}/cli/{row.run_id}"
            problems.append(ReadProblem("run-unreadable", f"{where}: {error.message}", error.hint))
    return tuple(found), tuple(problems), len(here)


def _folder(root: str, row: RunRow) -> str:
    """Where a run is on disk; "" where it is not, or outside of the repository."""
    try:
        folder = ids.run_folder(root, row.task_id, row.run_id)
    except OrchgateError:
        return ""
    return folder if ids.RUN_ID.fullmatch(row.run_id) and os.path.isdir(folder) else ""


def _times(root: str, row: RunRow, *, newest: bool) -> StageTimes:
    """Raises OrchgateError."""
    from orchgate.hotspots.timing import read as read_timeline

    timeline = read_timeline(_folder(root, row))
    lines = tuple(_lines(timeline))
    waited = (one.spans[0].begin_seconds - one.ready_seconds for one in lines if one.ready_seconds is not None)
    return StageTimes(
        row.run_id,
        f"stages-{row.anchor.removeprefix('r')}",
        row.anchor,
        row.task_id,
        timeline.pipeline,
        timeline.status,
        timeline.wall_seconds,
        sum(max(0.0, one) for one in waited),
        lines,
        timeline.missing,
        newest,
        tuple(name for stage in timeline.stages for name in stage.failed_tests)[:MOST_FAILED_TESTS],
        sum(stage.failed_test_count for stage in timeline.stages),
    )


def _with_tools(root: str, row: RunRow, others: Iterable[RunRow], times: StageTimes) -> StageTimes:
    """With what is known of the tools of a run, and in what a run of its tree differs that ended otherwise."""
    from orchgate.runs.run import load
    from orchgate.tools.counterparts import MOST, told_apart
    from orchgate.tools.differences import words_of

    def runs(rows: Iterable[RunRow]) -> Iterator[Run]:
        for one in islice(rows, MOST):
            with suppress(OrchgateError):
                yield load(os.path.join(_folder(root, one), ids.MANIFEST))

    run = next(runs((row,)), None)
    if run is None:
        return times
    if run.hosted:
        times = times._replace(hosted=f"{run.hosted.platform}, {run.hosted.address}")
    if not run.tools:
        return times
    return times._replace(tools=", ".join(map(words_of, run.tools)), other_tools=told_apart(run, runs(others)))


def _lines(timeline: Timeline) -> Iterator[StageRow]:
    spans: dict[int, list[BusySpan]] = {}
    for span in timeline.spans[:MOST_SPANS]:
        if span.part is not Phase.AWAY:
            spans.setdefault(span.stage, []).append(span)
    ends = {number: max(span.end for span in found) for number, found in spans.items()}
    for number, stage in enumerate(timeline.stages[:MOST_STAGES], 1):
        if not stage.id:  # time that belongs to none
            continue
        busy = list(_attempts(sorted(spans.get(number, ()), key=lambda span: span.begin)))
        ready = _ready(number, timeline.needs, ends) if busy else None
        yield StageRow(stage.id, stage.status, ready, tuple(busy), stage.attempts, stage.cached)


def _attempts(spans: Iterable[BusySpan]) -> Iterator[StageSpan]:
    """One span for each attempt: what a stage did one after the other, recording its end included."""
    begin, end, phase = 0, -1, Phase.EXECUTING
    for span in spans:
        kind = Phase.RETRYING if span.part is Phase.RETRYING else Phase.EXECUTING
        if span.begin == end and kind is phase:
            end = span.end
            continue
        if end >= 0:
            yield StageSpan(begin / MICROSECONDS, end / MICROSECONDS, phase.value)
        begin, end, phase = span.begin, span.end, kind
    if end >= 0:
        yield StageSpan(begin / MICROSECONDS, end / MICROSECONDS, phase.value)


def _ready(number: int, needs: Mapping[int, Sequence[int]] | None, ends: Mapping[int, int]) -> float | None:
    """When all that a stage needs was done, in seconds since the run's start; None where nobody recorded that."""
    if needs is None:
        return None
    return max((ends[one] for one in needs.get(number, ()) if one in ends), default=0) / MICROSECONDS
