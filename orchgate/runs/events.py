"""What the events of a journal hold, by kind, so that every reader of a journal may rely on it.

A journal may have been cut, edited, or written by something else: that is found out here, once. Unknown fields are
accepted: a newer orchgate may write more of them.
"""

from __future__ import annotations

import math
import re

from orchgate import __version__
from orchgate.errors import OrchgateError
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runs.ids import JOURNAL_VERSION, RUN_ID, span_context

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    Check = Callable[[Any], bool]
    Event = Mapping[str, Any]

MOST_STAGES = 100_000
MOST_RESUMES = 1_000  # each one goes through all stages
_WHOLE = 2**63  # what every reader of JSON can hold
_LONGEST = 1e12  # seconds; sums of these stay numbers
_DAMAGED = "the journal was damaged or edited"
_UPGRADE = "upgrade orchgate to read this run"
_MOMENT = lazy(
    r"(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?Z"
)


def _text(value: Any) -> bool:
    if type(value) is not str:
        return False
    try:
        return value.isascii() or value.encode() is not None
    except UnicodeEncodeError:  # half a character, which JSON can spell and no file can hold
        return False


def _moment(value: Any) -> bool:
    return isinstance(value, str) and _MOMENT.fullmatch(value) is not None


def _place(value: Any) -> bool:
    """A path that can be asked for."""
    return _text(value) and "\0" not in value


def _run_id(value: Any) -> bool:
    return isinstance(value, str) and RUN_ID.fullmatch(value) is not None


def _span_name(value: Any) -> bool:
    return isinstance(value, str) and span_context(value) is not None


def _flag(value: Any) -> bool:
    return value is True or value is False


def _whole(value: Any) -> bool:
    return type(value) is int and -_WHOLE < value < _WHOLE


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _WHOLE


def _amount(value: Any) -> bool:
    return _whole(value) or (type(value) is float and math.isfinite(value))


def _seconds(value: Any) -> bool:
    return _amount(value) and -_LONGEST < value < _LONGEST


def _span(value: Any) -> bool:
    return _amount(value) and 0 <= value < _LONGEST


def _scalar(value: Any) -> bool:
    return value is None or _flag(value) or _amount(value) or _text(value)


def _maybe(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _list(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _table(check: Check) -> Check:
    """An object with any keys, whose values are all of one kind."""
    return lambda value: isinstance(value, dict) and all(_text(key) and check(item) for key, item in value.items())


class _EventFields(NamedTuple):
    """The fields that an object has to have, and what those and others are that it may have."""

    needed: frozenset[str]
    known: Mapping[str, Check]

    def fault(self, value: Mapping[str, Any]) -> str:
        """What is wrong with an object's fields; "" for nothing."""
        if not self.needed <= value.keys():
            return f"lacks {min(self.needed - value.keys())}"
        known = self.known
        for name, item in value.items():
            check = known.get(name)
            if check is not None and not check(item):
                return f"has an impossible {name}"
        return ""


def _fields(needed: Mapping[str, Check], other: Mapping[str, Check] | None = None) -> _EventFields:
    return _EventFields(frozenset(needed), {**needed, **(other or {})})


def _object(needed: Mapping[str, Check], other: Mapping[str, Check] | None = None) -> Check:
    fields = _fields(needed, other)
    return lambda value: isinstance(value, dict) and not fields.fault(value)


def _of(*words: str) -> Check:
    return lambda value: isinstance(value, str) and value in words


_CONTENTS = _maybe(_table(_maybe(_text)))
_GIT = _maybe(
    _object(
        {"commit": _maybe(_text), "tree": _maybe(_text), "dirty": _flag},
        {"branch": _maybe(_text), "changed": _CONTENTS, "untracked": _CONTENTS},
    )
)
_PROCESS = _maybe(_object({"pid": _count, "start_ticks": _count, "boot_id": _text, "pid_namespace": _text}))
_USAGE = _maybe(
    _object(
        dict.fromkeys(("wall_seconds", "user_seconds", "system_seconds"), _seconds)
        | dict.fromkeys(("max_rss_bytes", "read_bytes", "written_bytes", "processes"), _maybe(_whole)),
        {
            "tree_rss_bytes": _maybe(_whole),
            "away_seconds": _span,
            "complete": _flag,
            "lower_bounds": _table(_text),
        },
    )
)
_TESTS = _maybe(
    _object({}, dict.fromkeys(("passed", "failed", "skipped", "errors", "flaky"), _count) | {"source": _text})
)
_METRICS = _maybe(_table(_amount))
_TOOLS: Mapping[str, Check] = {
    "tools": _list(_object({"name": _text, "source": _text, **dict.fromkeys(("version", "sha256"), _maybe(_text))}))
}
_STAGE = _object(
    {"id": _text, "title": _text, "kind": _text},
    {"command": _maybe(_text), "argv": _list(_text), "allow_failure": _flag, "needs": _list(_count)},
)
_PLAN = _maybe(
    _object(
        {"goal": _text, "agent": _list(_text), "validator": _list(_text)}
        | {"max_iterations": _count, "max_minutes": _maybe(_amount)}
    )
)
_DIFFERENCE = _maybe(_table(lambda value: _scalar(value) or _list(_scalar)(value)))
_ITERATION = _object(
    {},
    {"diff": _DIFFERENCE, "outside": _list(_text), "outside_count": _count}
    | {**dict.fromkeys(("changed", "refused", "flaky"), _flag), **dict.fromkeys(("verdict", "tree"), _text)},
)
_SETTLED = _of("succeeded", "failed", "skipped", "cancelled")
_ENDED = _of("succeeded", "failed", "cancelled")


_INNER = _list(
    _object(
        {"run_id": _run_id, "manifest": _place, "linked_by": _of("process", "time and folder")}
        | dict.fromkeys(("task_id", "pipeline_id"), _text)
    )
)
_IDENTITY: Mapping[str, Check] = {"process": _PROCESS, "git": _GIT}
_ACCEPTS = _object(dict.fromkeys(("document", "item", "command"), _text))
_HOSTED = _object(
    dict.fromkeys(("platform", "address", "repository"), _text),
    dict.fromkeys(("commit", "workflow", "started_by"), _text),
)
_WATCHED: Mapping[str, Check] = {"observed_by": _maybe(_run_id), "hosted": _HOSTED}
_REPLAYS = _maybe(_object({"run_id": _run_id, "manifest_sha256": _text}, {"lacking": _table(_text)}))
_KINDS: Mapping[object, _EventFields] = {
    "run": _fields(
        {
            **dict.fromkeys(("task_id", "runner"), _text),
            "run_id": _run_id,
            "parent_run_id": _maybe(_run_id),
            "pipeline": _object(
                {"id": _text, "title": _text}, {"digest": _maybe(_text), "slots": _count, "measured": _flag}
            ),
            "stages": _list(_STAGE),
            "machine": _maybe(_table(_scalar)),
            **_IDENTITY,
        },
        {
            "detail": _maybe(_text),
            "agent_loop": _PLAN,
            "accepts": _ACCEPTS,
            "traceparent": _span_name,
            "replays": _REPLAYS,
            **_WATCHED,
            **_TOOLS,
        },
    ),
    "resume": _fields(
        {"reason": _text, **_IDENTITY},
        {"detail": _maybe(_text), "agent_loop": _PLAN, "runner": _text, **_WATCHED, **_TOOLS},
    ),
    "stage": _fields({"stage": _STAGE}),
    "start": _fields(
        {"stage": _count, "attempt": _count},
        {"log_path": _maybe(_place), "uncached": _maybe(_text), **_TOOLS},
    ),
    "end": _fields(
        {"stage": _count, "status": _SETTLED, "exit_code": _maybe(_whole), "summary": _maybe(_text)},
        {
            "usage": _USAGE,
            "tests": _TESTS,
            "failed_tests": _list(_text),
            "metrics": _METRICS,
            **dict.fromkeys(("benchmarks", "run_benchmarks"), _METRICS),
            "iteration": _ITERATION,
            "inner_runs": _INNER,
            **dict.fromkeys(("again", "timed_out"), _maybe(_flag)),
            **dict.fromkeys(("output_bytes", "output_left_out_bytes"), _maybe(_count)),
            **dict.fromkeys(("detail", "signal", "cache_key"), _maybe(_text)),
        },
    ),
    "skip": _fields({"stages": _list(_count), "status": _SETTLED, "detail": _maybe(_text)}),
    "cached": _fields(
        {"stage": _count, "from": _text, "cache_key": _text},
        {"summary": _maybe(_text), "detail": _maybe(_text), "metrics": _METRICS}
        | {"tests": _TESTS, "failed_tests": _list(_text)},
    ),
    "child": _fields(
        {
            "stage": _count,
            "run_id": _run_id,
            "manifest": _place,
            "pipeline_id": _text,
            "status": _of("queued", "in_progress", "succeeded", "failed", "cancelled"),
        }
    ),
    "tree": _fields({"git": _GIT}),
    "finish": _fields(
        {
            "status": _ENDED,
            "summary": _maybe(_text),
            "writes": _maybe(_object(dict.fromkeys(("manifest_writes", "journal_writes", "files", "bytes"), _count))),
        },
        {"detail": _maybe(_text)},
    ),
}

_OF_STAGE = ("start", "end", "cached", "child")


def require(events: Iterable[tuple[int, Any]]) -> None:
    """Refuses what is not a run's journal; events come with the numbers of their lines.

    Raises OrchgateError; its message mentions a newer orchgate where one wrote the journal.
    """
    stages, resumes, over, runner = -1, 0, False, ""
    for number, event in events:
        runner = _runner(event) or runner
        fault = _shape(event) or _order(event, stages, over=over)
        if fault:
            raise _refusal(number, event, fault, runner)
        kind = event["event"]
        stages = len(event["stages"]) if kind == "run" else stages + (kind == "stage")
        resumes += kind == "resume"
        over = kind == "finish"
        if stages > MOST_STAGES or resumes > MOST_RESUMES:
            raise OrchgateError(
                f"line {number}: more than any run has: {stages} stages, resumed {resumes} times", _DAMAGED
            )


def _shape(event: Any) -> str:
    """What keeps a value from being an event; "" for nothing."""
    if not isinstance(event, dict) or not isinstance(event.get("at"), str) or not isinstance(event.get("event"), str):
        return "is not an event"
    if not _moment(event["at"]):
        return "has no point in time that exists"
    version = event.get("journal", JOURNAL_VERSION)
    if not _count(version) or version > JOURNAL_VERSION:
        return f"is of version {str(version)[:20]}, this orchgate reads {JOURNAL_VERSION}"
    if event["event"] not in _KINDS:
        return "is of no known kind"
    if not _span(event.get("away_seconds", 0)):
        return "has an impossible away_seconds"
    return _KINDS[event["event"]].fault(event)


def _order(event: Event, stages: int, *, over: bool) -> str:
    """Why an event cannot come after those before it; "" when it can. `stages` is how many there are, -1 before any."""
    kind = event["event"]
    if kind == "run":
        return "" if stages < 0 else "begins the run again"
    if stages < 0:
        return "has no place here: the run never began"
    if over and kind != "resume":
        return "comes after the end of the run"
    named = event["stages"] if kind == "skip" else [event["stage"]] if kind in _OF_STAGE else []
    unknown = next((number for number in named if not 1 <= number <= stages), None)
    return "" if unknown is None else f"names stage {unknown} of {stages}"


def _refusal(number: int, event: Any, fault: str, runner: str) -> OrchgateError:
    kind = event.get("event") if isinstance(event, dict) else None
    named = f" ({kind[:40]})" if isinstance(kind, str) else ""
    message = f"line {number}{named} {fault}"
    version = event.get("journal", 0) if isinstance(event, dict) else 0
    if _is_newer(runner) or (_count(version) and version > JOURNAL_VERSION):
        return OrchgateError(
            f"{message}; a newer orchgate wrote it ({runner or 'unknown'}, this is {__version__})", _UPGRADE
        )
    return OrchgateError(message, _DAMAGED)


def _runner(event: Any) -> str:
    """The program that writes the journal from this event on; "" where the event does not name one."""
    runner = event.get("runner") if isinstance(event, dict) else None
    return runner[:60] if isinstance(runner, str) and _text(runner) else ""


def _is_newer(runner: str) -> bool:
    return (
        _numbers(runner.removeprefix("orchgate ")) > _numbers(__version__) if runner.startswith("orchgate ") else False
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(digits) for digits in re.findall(r"[0-9]{1,9}", version.partition("+")[0])[:3])
