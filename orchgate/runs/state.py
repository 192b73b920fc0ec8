"""What a journal's events add up to: the manifest, as a pure function of the journal.

Every event is an object with `event` (its kind) and `at` (a point in time). The kinds: `run` begins a journal, `start`
and `end` bracket one attempt of a stage, `skip`, `cached` and `child` settle a stage otherwise, `stage` adds one to a
run that grows, `resume` resumes a run, `tree` says what a run made of the work tree, `finish` ends it.
"""

from __future__ import annotations

from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.runs import ids, usage
from orchgate.runs.usage import SessionTimes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from orchgate.runs.usage import WorkTimes

    Event = dict[str, Any]
    Document = dict[str, Any]

# A run that was killed and resumed: what it did after its last event, nobody has seen.
KILLED = "killed once, and what it did last is unknown"
_UNKNOWN = ("wall_seconds", usage.CPU, "max_rss_bytes", "read_bytes", "written_bytes", "processes")
TOOL = ("name", "version", "sha256", "source")
OUTPUT = ("output_bytes", "output_left_out_bytes")  # what a stage printed, and what of that its log does not hold

# What a stage starts from; a stage that is resumed goes back to it, apart from what has been spent.
_PENDING: Mapping[str, Any] = {
    "status": "pending",
    "status_detail": None,
    "started_at": None,
    "completed_at": None,
    "exit_code": None,
    "summary": None,
    "log_path": None,
    "allow_failure": False,
    "attempts": (),
    "flaky": False,
    "cached": False,
    "usage": None,
}


class Fold:
    """A manifest in the making. Events are added one by one; none of them is looked at twice."""

    def __init__(self) -> None:
        self._document: Document = {}
        self._times = SessionTimes()
        self._seen = False  # of a program that was observed from outside

    def add(self, event: Event) -> None:
        """Adds the next event. Raises OrchgateError for one that has no place here."""
        kind = event.get("event")
        if kind == "run" and not self._document:
            self._document, self._seen = _begin(event), bool(event.get("observed"))
            _tools(self._document, event)
        elif self._document and kind in _FOLD:
            self._document["updated_at"] = event["at"]
            _FOLD[kind](self._document, event)
        else:
            raise OrchgateError(f"an event of kind {str(kind)[:40]!r} has no place here", "the journal was edited")
        self._times.see(event)

    @property
    def stage_count(self) -> int:
        return len(self._document.get("commands", ()))

    def stage(self, number: int) -> Document:
        """One stage of the manifest, numbered from 1."""
        return _stage_total(self._document["commands"][number - 1])

    def manifest(self) -> Document:
        """What the events so far add up to. Raises OrchgateError when there are none."""
        if not self._document:
            raise OrchgateError("the journal is empty: the run never began", "delete its folder")
        return _totals(self._document, self._times.total(), seen=self._seen)


def manifest(events: Iterable[Event]) -> Document:
    """The manifest that a journal's events add up to, which are as `events.require` wants them, or of our own making.

    Raises OrchgateError when there are none.
    """
    fold = Fold()
    for event in events:
        fold.add(event)
    return fold.manifest()


def _begin(event: Event) -> Document:
    pipeline = event["pipeline"]
    return {
        "format": "orchgate",
        "version": 1,
        "task_id": event["task_id"],
        "run_id": event["run_id"],
        "parent_run_id": event["parent_run_id"],
        "pipeline_id": pipeline["id"],
        "pipeline_title": pipeline["title"],
        "runner": event["runner"],
        "status": "in_progress",
        "status_detail": event.get("detail"),
        "started_at": event["at"],
        "completed_at": None,
        "updated_at": event["at"],
        "summary": None,
        "process": event["process"],
        "git": event["git"],
        "machine": event["machine"],
        "journal_path": ids.JOURNAL,
        "commands": [_stage(index, stage) for index, stage in enumerate(event["stages"], 1)],
        "child_runs": {},
        "resume_events": [],
        "usage": None,
        "flaky": [],
        "writes": None,
        **_observed(event),
        **({"traceparent": event["traceparent"]} if event.get("traceparent") else {}),
        **_replayed(event),
        **({"accepts": event["accepts"]} if event.get("accepts") else {}),
        **({"hosted": event["hosted"]} if event.get("hosted") else {}),
    }


def _observed(event: Event) -> Document:
    """Which run watches this one from outside, where one does."""
    return {"observed_by": event["observed_by"]} if event.get("observed_by") else {}


def _replayed(event: Event) -> Document:
    """Which run this one replays, where it does."""
    return {"replays": event["replays"]} if event.get("replays") else {}


def _stage(index: int, stage: Mapping[str, Any]) -> Document:
    named = {key: stage[key] for key in ("id", "title", "command", "argv", "kind") if key in stage}
    return {"index": index, **named, **_PENDING, "allow_failure": stage.get("allow_failure", False), "attempts": []}


def _tools(document: Document, event: Event) -> None:
    """Tools that are known from this event on, each once."""
    if event.get("tools"):
        listed = document.setdefault("tools", {})  # a list in the end; one of many is found at once this way
        for tool in event["tools"]:
            listed[tuple(map(tool.get, TOOL))] = {key: tool[key] for key in TOOL}


def _added(document: Document, event: Event) -> None:
    stages = document["commands"]
    stages.append(_stage(len(stages) + 1, event["stage"]))


def _start(document: Document, event: Event) -> None:
    stage = document["commands"][event["stage"] - 1]
    stage["status"] = "running"
    stage["started_at"] = stage["started_at"] or event["at"]
    stage["log_path"] = event.get("log_path")
    if event.get("uncached"):
        stage["status_detail"] = f"not from the cache: {event['uncached']}"
    _tools(document, event)
    attempt = {"number": event["attempt"], "status": "running", "started_at": event["at"]}
    stage["attempts"].append(attempt | {"completed_at": None, "exit_code": None})


_REPORTED = ("cache_key", "tests", "failed_tests", "metrics", "benchmarks")
_COUNTS = ("passed", "failed", "skipped", "errors")


def _end(document: Document, event: Event) -> None:
    stage = document["commands"][event["stage"] - 1]
    spent = event.get("usage")
    if stage["attempts"]:
        attempt = stage["attempts"][-1]
        attempt |= {"status": event["status"], "completed_at": event["at"], "exit_code": event["exit_code"]}
        attempt |= {key: event[key] for key in ("signal", "timed_out") if event.get(key)}
        attempt |= {key: event[key] for key in OUTPUT if event.get(key) is not None}  # until they are added up
    stage["usage"] = usage.add(stage["usage"], spent) if spent else stage["usage"]
    if event.get("again"):  # another attempt follows
        return
    for key in ("status", "exit_code", "summary"):
        stage[key] = event[key]
    stage["completed_at"] = event["at"]
    stage["status_detail"] = event.get("detail") or stage["status_detail"]
    tried = [attempt["status"] for attempt in stage["attempts"]]
    stage["flaky"] = bool(tried) and tried[-1] == "succeeded" and "failed" in tried
    if about := event.get("iteration"):  # the validator of an agent loop: also where it failed after it had passed
        stage["flaky"] = about.get("flaky", False) or {"succeeded", "failed"} <= set(tried)
    stage.pop("failed_tests", None)  # of an end before it was resumed
    stage |= {key: event[key] for key in _REPORTED if event.get(key)}
    if event.get("run_benchmarks"):
        document["benchmarks"] = {**document.get("benchmarks", {}), **event["run_benchmarks"]}
    if event.get("inner_runs"):
        document["inner_runs"] = event["inner_runs"]


def _skip(document: Document, event: Event) -> None:
    for index in event["stages"]:
        document["commands"][index - 1] |= {"status": event["status"], "status_detail": event["detail"]}


def _cached(document: Document, event: Event) -> None:
    stage = document["commands"][event["stage"] - 1]
    stage |= {"status": "succeeded", "started_at": event["at"], "completed_at": event["at"], "exit_code": 0}
    stage["status_detail"] = event.get("detail")
    stage |= {"cached": True, "cached_from": event["from"], "cache_key": event["cache_key"]}
    stage |= {key: event[key] for key in ("summary", "tests", "failed_tests", "metrics") if event.get(key)}


def _child(document: Document, event: Event) -> None:
    """A sub-pipeline's run began or ended."""
    document["commands"][event["stage"] - 1]["sub_run_id"] = event["run_id"]
    child = {key: event[key] for key in ("run_id", "pipeline_id", "status", "manifest")}
    document["child_runs"][child["run_id"]] = child  # a list in the end; one of many is found at once this way


def _resume(document: Document, event: Event) -> None:
    for stage in document["commands"]:
        if stage["attempts"] and stage["attempts"][-1]["status"] == "running":
            stage["attempts"][-1]["status"] = "cancelled"
        if stage["status"] != "succeeded" and not (stage["status"] == "failed" and stage["allow_failure"]):
            stage |= {key: _PENDING[key] for key in ("status", "status_detail", "completed_at", "exit_code", "summary")}
    document |= {"status": "in_progress", "status_detail": None, "completed_at": None, "writes": None, "summary": None}
    document |= {"process": event["process"], **_observed(event)}
    if event.get("hosted") != document.get("hosted"):
        document.pop("hosted", None)  # no one job made it
    _tools(document, event)
    if document["git"] and event["git"]:
        document["git"] = _both(document["git"], event["git"])
    document["resume_events"].append(
        {"timestamp": event["at"], "reason": event["reason"], "outcome": "accepted", "detail": event.get("detail")}
    )


def _both(before: Mapping[str, Any], now: Mapping[str, Any]) -> Document:
    """The state of a run whose processes began on two. What lay beside the commit is known where it was the same."""
    beside = {key: None for key in ("changed", "untracked") if key in before and before[key] != now.get(key)}
    return {**before, **beside, "dirty": before["dirty"] or now["dirty"]}


def _tree(document: Document, event: Event) -> None:
    """What the work tree holds now: an agent was let loose on it, and what it made is what was validated."""
    document["git"] = event["git"]


def _finish(document: Document, event: Event) -> None:
    document |= {"status": event["status"], "status_detail": event.get("detail"), "completed_at": event["at"]}
    document |= {"summary": event["summary"], "writes": event["writes"]}


_FOLD: Mapping[object, Callable[[Document, Event], None]] = {
    "stage": _added,
    "start": _start,
    "end": _end,
    "skip": _skip,
    "cached": _cached,
    "child": _child,
    "resume": _resume,
    "tree": _tree,
    "finish": _finish,
}


def _totals(document: Document, times: WorkTimes, *, seen: bool) -> Document:
    """The manifest, with what its stages add up to: usage, tests, metrics and the flaky ones.

    `seen`: of a program that was observed from outside.
    """
    stages = [_stage_total(stage) for stage in document["commands"]]
    spent = None
    tests: dict[str, int] = {}
    metrics: dict[str, float] = {}
    for stage in stages:
        spent = usage.add(spent, stage["usage"]) if stage["usage"] else spent
        for key in _COUNTS:
            if counted := stage.get("tests"):
                tests[key] = tests.get(key, 0) + counted.get(key, 0)
        if flaky := (stage.get("tests") or {}).get("flaky"):
            tests["flaky"] = tests.get("flaky", 0) + flaky
        for name, value in stage.get("metrics", {}).items():
            metrics[name if name not in metrics else f"{stage['id']}.{name}"] = value
    whole = document | {
        "commands": stages,
        "child_runs": list(document["child_runs"].values()),
        "resume_events": list(document["resume_events"]),
        "flaky": [stage["id"] for stage in stages if stage["flaky"]],
    }
    if "tools" in whole:
        whole["tools"] = list(document["tools"].values())
    if spent:
        whole["usage"] = _of_run(spent, times, seen=seen)
    if times.away is not None:
        whole["away_seconds"] = round(times.away, 3)
    if tests:
        whole["tests"] = tests
    if metrics:
        whole["metrics"] = metrics
    return whole


def _of_run(spent: Mapping[str, Any], times: WorkTimes, *, seen: bool) -> Document:
    """A run's own wall time in place of the sum of its stages'; what was left out of it is beside the usage.

    Of an observed program's run it is the program's: to set up the watch, and to take stock, is not its work.
    """
    cost = {key: value for key, value in spent.items() if key != usage.AWAY}
    cost["wall_seconds"] = round(spent["wall_seconds"] if seen else times.worked, 3)
    return usage.at_least(cost, dict.fromkeys(_UNKNOWN, KILLED)) if times.killed else cost


def _stage_total(stage: Document) -> Document:
    """A stage with what its attempts printed together. Of one that was killed with its runner, nobody saw the cost.

    What all printed is not known where that of one is not: it was killed, or an older version recorded it.
    """
    attempts = stage["attempts"]
    whole = stage | {"attempts": [{key: one[key] for key in one if key not in OUTPUT} for one in attempts]}
    for key in OUTPUT:
        known = [attempt[key] for attempt in attempts if key in attempt]
        if known and len(known) == len(attempts):
            whole[key] = sum(known)
    killed = any(one["status"] == "cancelled" and one["completed_at"] is None for one in attempts)
    if killed and stage["usage"]:
        whole["usage"] = usage.at_least(stage["usage"], dict.fromkeys(_UNKNOWN, KILLED))
    return whole


def legacy(document: Document) -> Document:
    """The manifest of a run that was resumed, as versions wrote it that took its absence for work."""
    spent = document["usage"]
    if spent:
        end = document["completed_at"] or document["updated_at"]
        wall = round(ids.seconds(end) - ids.seconds(document["started_at"]), 3)
        spent = _unbounded(spent) | {"wall_seconds": max(0.0, wall)}
    stages = [stage | {"usage": _unbounded(stage["usage"] or {}) or None} for stage in document["commands"]]
    known = {key: value for key, value in document.items() if key != "away_seconds"}
    return known | {"usage": spent, "commands": stages}


def _unbounded(spent: Mapping[str, Any]) -> Document:
    return {key: value for key, value in spent.items() if key not in ("lower_bounds", "complete")}


_STAGES = "commands"


def render(document: Document, stages: str = "") -> bytes:
    """A manifest as it is written. `stages` are its stages as `rendered_stages` has them, where they are known."""
    known = {_STAGES: stages or rendered_stages(document)}
    members = [f"\n  {_indented(key)}: {known.get(key) or _indented(value)}" for key, value in document.items()]
    return f"{{{','.join(members)}\n}}\n".encode("utf-8", "replace")


def rendered_stages(document: Document) -> str:
    """The part of a manifest that grows with its run, and that takes longest to write."""
    return _indented(document[_STAGES])


def _indented(value: object) -> str:
    import json

    return json.dumps(value, ensure_ascii=False, indent=2).replace("\n", "\n  ")
