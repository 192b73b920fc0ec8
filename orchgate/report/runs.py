"""The runs that are recorded here: from the metrics of each task, and from the folders of those without an entry.

Nothing is written, no checkpoint either: whoever looks may have no right to.
"""

from __future__ import annotations

import os
from collections import Counter
from datetime import UTC

from orchgate.errors import OrchgateError
from orchgate.lib import files
from orchgate.lib.paths import require_inside
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.metrics import fold, snapshot
from orchgate.metrics.aggregate import UNKNOWN
from orchgate.metrics.lines import LineFault, checked, costs_of_run, is_bound, wall_microseconds
from orchgate.report.values import ReadProblem, RunRow
from orchgate.runs import ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from typing import Any

    from orchgate.metrics.lines import Entry

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
    )


def _anchored(rows: list[RunRow]) -> Iterator[RunRow]:
    """Rows with a place on the page each: the random part of the id, which is short; a number where that is taken."""
    taken: set[str] = set()
    for number, row in enumerate(rows, 1):
        short = row.run_id[-8:] if ids.RUN_ID.fullmatch(row.run_id) else f"n{number}"
        anchor = f"r{short}" if short not in taken else f"r{short}-{number}"
        taken.add(short)
        yield row._replace(anchor=anchor)
