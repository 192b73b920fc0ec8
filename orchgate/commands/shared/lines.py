"""What happens during a run or a measurement, as plain lines that look the same every time, or as a bar."""

from __future__ import annotations

import contextlib
import os
import sys

from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.outputs._escape import escape
from orchgate.runs import ids
from orchgate.runs.usage import away_words, work_times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from orchgate.runner.loop import Loop
    from orchgate.runner.writer import Recorder
    from orchgate.runs.run import InnerRun, Run
    from orchgate.speed.pair_runner import Progress

    Row = dict[str, Any]


class PlainReporter:
    """One line when a stage starts, one when it ends, one for the run."""

    def __init__(self) -> None:
        self._names: dict[str, list[str]] = {}

    def attach(self, loop: Loop) -> None:
        pass

    def seen(self, recorder: Recorder, event: Mapping[str, Any]) -> None:
        if event["event"] == "run":
            self._names[recorder.run_id] = [stage["id"] for stage in event["stages"]]
        elif recorder.run_id not in self._names:
            self._names[recorder.run_id] = stage_ids(recorder.events)
        elif event["event"] == "stage":
            self._names[recorder.run_id].append(event["stage"]["id"])
        for line in lines(event, self._names[recorder.run_id], recorder):
            _say(line)
        if event["event"] == "finish":
            del self._names[recorder.run_id]

    def close(self) -> None:
        pass


def stage_ids(events: Iterable[Mapping[str, Any]]) -> list[str]:
    """The stages of a run by what its journal tells, those that were added to a run that grows included."""
    first, *rest = events
    listed = [*first["stages"], *(event["stage"] for event in rest if event["event"] == "stage")]
    return [stage["id"] for stage in listed]


def _say(line: str) -> None:
    """A reader who goes away must not end the run: that the verdict was not delivered is found out at the end."""
    try:
        sys.stdout.write(escape(line) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def lines(event: Mapping[str, Any], names: list[str], recorder: Recorder) -> Iterator[str]:
    """An event in words."""
    kind = event["event"]
    name = names[event["stage"] - 1] if isinstance(event.get("stage"), int) else ""
    if kind == "run":
        yield f"run {recorder.run_id}: {event['pipeline']['id']} for {event['task_id']}"
    elif kind == "resume":
        yield f"run {recorder.run_id} is resumed: {event['reason']}"
    elif kind == "start":
        yield f"{name}: started" + (f", attempt {event['attempt']}" if event["attempt"] > 1 else "")
    elif kind == "end":
        yield from _ended(event, name, recorder)
    elif kind == "cached":
        yield f"{name}: succeeded (cached from {event['from']}{_aside(event.get('detail'))})"
    elif kind == "skip":
        yield from (f"{names[index - 1]}: {event['status']} ({event['detail']})" for index in event["stages"])
    elif kind == "finish":
        detail = f" ({event['detail']})" if event["detail"] else ""
        yield f"run {recorder.run_id} {event['status']}{detail}: {event['summary']}{_times(recorder)}"


def _ended(event: Mapping[str, Any], name: str, recorder: Recorder) -> Iterator[str]:
    usage = event.get("usage")
    about = [event["detail"]] if event["detail"] else []
    about += [_seconds(usage)] if usage else []
    about += [tests(event["tests"])] if event.get("tests") else []
    about += lower_bounds(usage or {})
    again = ", to be retried" if event.get("again") else ""
    yield f"{name}: {event['status']}{again}" + (f" ({'; '.join(about)})" if about else "")
    if event["status"] == "failed" and event["summary"]:
        yield f"  last line: {event['summary']}"
    yield from failed_tests(event)
    if event["status"] == "failed" and event.get("exit_code") is not None:
        yield f"  log: {os.path.relpath(os.path.join(recorder.folder, ids.log_path(event['stage'], name)))}"


_COSTS = {
    "wall_seconds": "wall time",
    "cpu_seconds": "CPU time",
    "max_rss_bytes": "memory",
    "tree_rss_bytes": "total memory",
    "read_bytes": "bytes read",
    "written_bytes": "bytes written",
    "processes": "processes",
}


def lower_bounds(usage: Mapping[str, Any]) -> list[str]:
    """What of a cost is only known to be at least so much, and why: a clause for each reason."""
    bounds = usage.get("lower_bounds") or {}
    reasons: dict[str, list[str]] = {}
    for name, words in _COSTS.items():
        if name in bounds:
            reasons.setdefault(bounds[name], []).append(words)
    return [f"{', '.join(names)} at least what is recorded: {reason}" for reason, names in reasons.items()]


def _seconds(usage: Mapping[str, Any]) -> str:
    away = away_words(usage["wall_seconds"], usage.get("away_seconds"))
    return away or f"{usage['wall_seconds']:.1f} s"


def _times(recorder: Recorder) -> str:
    """How long somebody worked on a run, where that is not all of its time."""
    total = work_times(recorder.events)
    away = away_words(total.worked, total.away)
    return f"; {away}" if away else ""


def _aside(detail: str | None) -> str:
    return f"; {detail}" if detail else ""


def tests(counts: Mapping[str, Any]) -> str:
    """`5 passed, 1 failed`; `5 passed (1 at a later attempt)`."""
    later = f" ({counts['flaky']} at a later attempt)" if counts.get("flaky") else ""
    errors = "error" if counts.get("errors") == 1 else "errors"
    parts = {"passed": f"passed{later}", "failed": "failed", "errors": errors, "skipped": "skipped"}
    return ", ".join(f"{counts[key]} {said}" for key, said in parts.items() if counts.get(key)) or "no tests"


_NAMED = 5  # failed tests


def failed_tests(stage: Mapping[str, Any]) -> Iterator[str]:
    """A line for each of the first tests that failed, and one that says how many more did."""
    names = stage.get("failed_tests") or ()
    yield from (f"  failed test: {name}" for name in names[:_NAMED])
    counts = stage.get("tests") or {}
    more = counts.get("failed", 0) + counts.get("errors", 0) - len(names[:_NAMED])
    if names and more > 0:
        yield f"  and {more} more" + (f"; the manifest names {len(names)}" if names[_NAMED:] else "")


LISTED = 20


def inner_lines(run: Run) -> Iterator[str]:
    """A line for each run inside another one, and one that says how sure that is."""
    links = run.inner_runs
    for link in links[:LISTED]:
        path = inner_manifest(run.folder, link)
        yield f"inside: {link.pipeline_id} {_status(path)}: {os.path.relpath(path)}"
    if len(links) > LISTED:
        yield f"and {len(links) - LISTED} more inside; the manifest lists all"
    if any(link.linked_by != "process" for link in links):
        yield "they are linked by time and folder: what another process recorded at the same time looks alike"


def inner_paths(path: str, content: bytes) -> Iterator[str]:
    """Which runs are inside or around the one whose manifest this is, by their repository paths."""
    from orchgate.runs.run import decode

    try:
        run = decode(content, path)
    except OrchgateError:
        return
    for link in run.inner_runs[:LISTED]:
        inner = os.path.normpath(os.path.join(run.folder, link.manifest))
        yield f"inside, recorded by the observed program: {link.pipeline_id}: {inner}"
    if run.observed_by:
        yield f"recorded by a program that run {run.observed_by} observed"


def inner_manifest(folder: str, link: InnerRun) -> str:
    """Where the manifest of a run inside is, by the folder of the run around it."""
    return os.path.normpath(os.path.join(os.path.realpath(folder), link.manifest))


def _status(path: str) -> str:
    from orchgate.runs.run import load

    try:
        return load(path).status
    except OrchgateError as error:
        return f"({error.message})"


def inner_facts(run: Run) -> dict[str, Any]:
    """What a run's row says about those around and inside it."""
    links = [
        {"run_id": link.run_id, "task_id": link.task_id, "pipeline_id": link.pipeline_id, "linked_by": link.linked_by}
        | {"manifest_path": inner_manifest(run.folder, link)}
        for link in run.inner_runs
    ]
    replayed = run.replays.run_id if run.replays else None
    return {"observed_by": run.observed_by, "inner_runs": links, "replays_run_id": replayed}


def replay_lines(row: Mapping[str, Any], *, detailed: bool) -> Iterator[str]:
    """Which run a row's one replays, and what that says of it; in detail also what replays of the row's one say."""
    name, folder = row["run_id"], os.path.dirname(row["manifest_path"])
    replayed = row.get("replays_run_id")
    if not replayed and not detailed:
        return
    from orchgate.replay import standing

    try:
        found = standing.of_replay(folder) if replayed else standing.of_run(folder)
    except OrchgateError:  # the row says so
        found = None
    if replayed:
        yield f"{name}: replays {replayed}{f', which is {found.verdict.value}' if found else ''}"
    elif found:
        yield f"{name}: {found.words} ({found.by})"


def grouped(rows: Sequence[Row], row: Callable[[str, str], Row]) -> list[Row]:
    """Rows with those of the runs inside below them, one level deeper, each once. `row` makes one that is not there."""
    here = {_key(one): one for one in rows}
    watched: dict[str, list[Row]] = {}  # known while the outer one still goes on
    for one in rows:
        if one.get("observed_by"):
            watched.setdefault(one["observed_by"], []).append(one)
    found: dict[tuple[str, str], Row] = {}

    def inside(one: Row) -> Iterator[Row]:
        for link in (one.get("inner_runs") or ())[:LISTED]:
            yield here.get(_key(link)) or row(link["task_id"], os.path.dirname(link["manifest_path"]))
        yield from watched.get(one["run_id"], ())

    def add(one: Row, depth: int) -> None:
        if _key(one) not in found:
            found[_key(one)] = one | {"depth": depth}
            for other in inside(one):
                add(other, depth + 1)

    inner = {_key(other) for one in rows for other in (*(one.get("inner_runs") or ()), *watched.get(one["run_id"], ()))}
    for one in (*(one for one in rows if _key(one) not in inner), *rows):
        add(one, 0)
    return list(found.values())


def _key(one: Mapping[str, Any]) -> tuple[str, str]:
    return one["task_id"], one["run_id"]


# The bar while base and head are measured is drawn by hand: a program that is started begins with its starter's peak of
# memory, and `rich` would double it, so that less could be seen of what is measured. It is drawn when something happens
# and never by a thread of its own.
_WIDTH = 30
_CLEAR = "\r\x1b[K"
_UP = "\r\x1b[K\x1b[A"


@contextlib.contextmanager
def progress_shown(subject: str) -> Iterator[Callable[[Progress], None] | None]:
    """What takes reports of progress; None where nobody would see them."""
    if not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        yield None
        return
    drawn = ""
    try:

        def draw(now: Progress) -> None:
            nonlocal drawn
            drawn = _draw(bar_line(subject, now), drawn)

        yield draw
    finally:
        _draw("", drawn)


def _draw(text: str, before: str) -> str:
    """Draws over what was drawn before; what it drew."""
    with contextlib.suppress(OSError):  # the terminal may go away, the measurement stays
        columns = os.get_terminal_size(sys.stderr.fileno()).columns
        text = text[: max(0, columns - 1)]
        sys.stderr.write(_UP * broken_rows([len(before)], columns) + _CLEAR + text)
        sys.stderr.flush()
    return text


def bar_line(subject: str, now: Progress) -> str:
    """`demo ━━━━━─────  pair 3, 1 of at most 30 s`."""
    spent = now.seconds / now.budget_seconds if now.budget_seconds else 0.0
    full = round(_WIDTH * min(1.0, max(now.pairs / now.most, spent)))
    bar = "━" * full + "─" * (_WIDTH - full)
    return f"{escape(subject)[:40]} {bar}  {now.doing}, {now.seconds:.0f} of at most {now.budget_seconds:.0f} s"


def broken_rows(lengths: Iterable[int], columns: int) -> int:
    """Rows that lines of so many cells take beyond one each: a terminal breaks what is drawn when it gets narrower."""
    return sum(max(0, -(-length // max(1, columns)) - 1) for length in lengths)
