"""What happens during a run, as plain lines that look the same every time."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from orchgate.outputs._escape import escape
from orchgate.runs import ids, sittings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orchgate.runner.loop import Loop
    from orchgate.runner.writer import Recorder


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
    away = sittings.words(usage["wall_seconds"], usage.get("away_seconds"))
    return away or f"{usage['wall_seconds']:.1f} s"


def _times(recorder: Recorder) -> str:
    """How long somebody worked on a run, where that is not all of its time."""
    total = sittings.of(recorder.events)
    said = sittings.words(total.worked, total.away)
    return f"; {said}" if said else ""


def _aside(detail: str | None) -> str:
    return f"; {detail}" if detail else ""


def tests(counts: Mapping[str, Any]) -> str:
    """`5 passed, 1 failed`."""
    named = ((counts.get(key), key) for key in ("passed", "failed", "errors", "skipped"))
    return ", ".join(f"{count} {key}" for count, key in named if count) or "no tests"
