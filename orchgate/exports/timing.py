"""When what happened in a run: from its journal, or, where there is none, from what its manifest says."""

from __future__ import annotations

from orchgate.exports.spans import (
    MILLISECOND,
    SECOND,
    ChildSpan,
    Span,
    SpanKind,
    TimeRange,
    Timings,
    attempt_span,
    event_facts,
    run_span,
    stage_span,
    within_iterations,
)
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runs import ids
from orchgate.runs.ids import SPAN_AWAY, SPAN_STAGE, SPAN_WAIT
from orchgate.runs.usage import AWAY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from orchgate.exports.spans import Facts
    from orchgate.runs.ids import RunTrace
    from orchgate.runs.run import Attempt, Run, StageRun
    from orchgate.runs.state import Event

FOR_NEEDS, FOR_SLOT, FOR_RETRY = "waiting for needs", "waiting for a free slot", "waiting to try again"
KILLED = "killed with its runner"


def nanoseconds(moment: str) -> int:
    """A point in time as journals write it, exactly."""
    whole, _, fraction = moment.removesuffix("Z").partition(".")
    return int(ids.seconds(whole)) * SECOND + int(fraction[:9].ljust(9, "0"))


def of_datetime(moment: datetime) -> int:
    from datetime import UTC, datetime

    since = moment - datetime.fromtimestamp(0, UTC)
    return (since.days * 86400 + since.seconds) * SECOND + since.microseconds * 1000


def forward(moments: Iterable[int]) -> tuple[list[int], int]:
    """Moments in the order they were written, none before its predecessor, and the most that a clock went back."""
    times: list[int] = []
    latest, back = 0, 0
    for moment in moments:
        latest = max(latest, moment) if times else moment
        back = max(back, latest - moment)
        times.append(latest)
    return times, back


class _Open(NamedTuple):
    number: int
    start: int


class JournalTimes:
    """The times of a run whose journal can be read; `times` are those of its events, never going back."""

    def __init__(self, run: Run, trace: RunTrace, events: Sequence[Event], times: Sequence[int]) -> None:
        self._run, self._trace = run, trace
        self._times = times
        self._sitting = times[0]  # when the process began that runs it
        self._away = 0.0  # seconds in this sitting
        self._open: dict[int, _Open] = {}
        self._retried: dict[int, int] = {}  # since when
        self._begun: dict[int, int] = {}
        self._ended: dict[int, int] = {}
        self._kept: dict[int, str] = {}  # the run whose success answered for a stage
        self._active: set[int] = set()
        self._full_until = -1
        self._spans: list[Span] = []
        self._marks: list[tuple[int, str]] = []
        self._running: list[tuple[int, int]] = []
        self._children: dict[str, ChildSpan] = {}
        first = events[0]
        whole = len(first["stages"]) == len(run.stages)
        self._needs = [tuple(stage.get("needs", ())) for stage in first["stages"]] if whole else []
        self._slots = int(first["pipeline"].get("slots", 0)) if whole else 0
        self._loop = "agent_loop" in first

    def of(self, events: Sequence[Event]) -> Timings:
        for position, event in enumerate(events):
            self._see(event, position)
        latest = self._times[-1]
        for number, attempt in list(self._open.items()):
            self._close(number, attempt, latest, {"status": "running"})
        stages = [self._stage(stage) for stage in self._run.stages if stage.number in self._begun]
        spans = [*stages, *self._spans]
        if self._loop:
            spans = within_iterations(spans, self._trace)
        whole = run_span(self._run, self._trace, TimeRange(self._times[0], latest), self._marks)
        return Timings((whole, *spans), tuple(self._children.values()), tuple(self._running))

    def _see(self, event: Event, position: int) -> None:
        at, before = self._times[position], self._times[max(0, position - 1)]
        away, self._away = self._away, event.get(AWAY, self._away)
        kind = event["event"]
        if kind == "resume":
            self._resumed(before, at)
        elif self._away > away:
            self._spans.append(self._gap(max(before, at - round((self._away - away) * SECOND)), at, "nobody worked"))
        match kind:
            case "start":
                self._start(event, at)
            case "end":
                self._end(event, at)
            case "cached":
                self._kept[event["stage"]] = event["from"]
                self._settle(event["stage"], at)
            case "skip":
                for number in event["stages"]:
                    self._settle(number, at)
            case "child":
                self._child(event)

    def _start(self, event: Event, at: int) -> None:
        number = event["stage"]
        if number in self._retried:
            self._wait(number, FOR_RETRY, self._retried.pop(number), at, self._trace.span_id(SPAN_STAGE, number))
        elif number not in self._begun:
            self._waited(number, at)
        if number in self._open:
            self._close(number, self._open[number], at, {"status": "cancelled"})
        self._begun.setdefault(number, at)
        self._open[number] = _Open(event["attempt"], at)
        self._active.add(number)
        self._count(at)

    def _waited(self, number: int, at: int) -> None:
        """What a stage waited for before its first attempt; that the runner itself takes a moment is no wait."""
        if not self._slots or not 1 <= number <= len(self._needs):
            return
        ready = max((self._ended.get(one, self._sitting) for one in self._needs[number - 1]), default=self._sitting)
        ready = max(ready, self._sitting)
        if ready > self._sitting:
            self._wait(number, FOR_NEEDS, self._sitting, ready)
        if self._full_until > ready:
            self._wait(number, FOR_SLOT, ready, at)

    def _wait(self, number: int, name: str, start: int, end: int, parent: str = "") -> None:
        if end - start < MILLISECOND:
            return
        identity = self._trace.span_id(SPAN_WAIT, number, len(self._spans) + 1)
        facts = {"stage": self._run.stages[number - 1].id}
        parent = parent or self._trace.span_id()
        self._spans.append(Span(SpanKind.WAIT, name, identity, parent, start, end, stage=number, facts=facts))

    def _gap(self, start: int, end: int, why: str) -> Span:
        identity = self._trace.span_id(SPAN_AWAY, 0, len(self._spans) + 1)
        return Span(SpanKind.AWAY, f"away: {why}", identity, self._trace.span_id(), start, end)

    def _end(self, event: Event, at: int) -> None:
        number = event["stage"]
        attempt = self._open.get(number)
        if attempt:
            self._close(number, attempt, at, event_facts(event))
        for link in event.get("inner_runs") or ():
            around = self._trace.attempt(number, event.get("attempt", 1))
            self._children[link["run_id"]] = ChildSpan(link["manifest"], around, called=False)
        if event.get("again"):
            self._retried[number] = at
        else:
            self._retried.pop(number, None)
            self._settle(number, at)

    def _close(self, number: int, attempt: _Open, at: int, facts: Facts) -> None:
        del self._open[number]
        stage = self._run.stages[number - 1]
        self._spans.append(attempt_span(stage, self._trace, attempt.number, TimeRange(attempt.start, at), facts))
        self._ended[number] = at

    def _settle(self, number: int, at: int) -> None:
        if self._slots and len(self._active) >= self._slots:
            self._full_until = at
        self._active.discard(number)
        self._begun.setdefault(number, at)
        self._ended[number] = at
        self._count(at)

    def _count(self, at: int) -> None:
        if self._running and self._running[-1][0] == at:
            self._running.pop()
        self._running.append((at, len(self._active)))

    def _child(self, event: Event) -> None:
        attempt = self._open.get(event["stage"])
        if attempt and event["run_id"] not in self._children:
            around = self._trace.attempt(event["stage"], attempt.number)
            self._children[event["run_id"]] = ChildSpan(_beside(event["run_id"]), around, called=True)

    def _resumed(self, before: int, at: int) -> None:
        for number, attempt in list(self._open.items()):
            self._close(number, attempt, before, {"status": "cancelled", "detail": KILLED})
        self._retried.clear()
        self._active.clear()
        self._count(before)
        self._spans.append(self._gap(before, at, "until the run was resumed"))
        self._marks.append((at, "resumed"))
        self._sitting, self._full_until = at, -1

    def _stage(self, stage: StageRun) -> Span:
        bounds = TimeRange(self._begun[stage.number], self._ended[stage.number])
        needs = self._needs[stage.number - 1] if self._needs else ()
        span = stage_span(stage, self._trace, bounds, [one for one in needs if one in self._begun])
        kept = self._kept.get(stage.number)
        return span._replace(facts={**span.facts, "cached_from": kept}) if kept and stage.cached else span


def _beside(run_id: str) -> str:
    """Where the run of a sub-pipeline is, whatever a record says."""
    return f"../{run_id}/{ids.MANIFEST}"


def from_manifest(run: Run, trace: RunTrace) -> Timings:
    """What a manifest alone says: stages and attempts as far as their times are recorded, and no waits."""
    end = of_datetime(run.completed_at or run.last_sign_of_life)
    bounds = TimeRange(min(of_datetime(run.started_at), end), end)
    marks = [(of_datetime(one.timestamp), "resumed") for one in run.resumptions if one.timestamp]
    spans, children = [run_span(run, trace, bounds, marks)], []
    for stage in run.stages:
        if stage.started_at is None:
            continue
        spans.append(stage_span(stage, trace, _between(stage, end)))
        spans += [_attempt(stage, trace, one, end) for one in stage.attempts if one.started_at]
        around = trace.attempt(stage.number, max(1, len(stage.attempts)))
        if stage.sub_run_id and ids.RUN_ID.fullmatch(stage.sub_run_id):
            children.append(ChildSpan(_beside(stage.sub_run_id), around, called=True))
    around = trace.attempt(1, 1)
    children += [ChildSpan(link.manifest, around, called=False) for link in run.inner_runs]
    return Timings(tuple(spans), tuple(children))


def _between(one: StageRun | Attempt, end: int) -> TimeRange:
    assert one.started_at is not None
    start = of_datetime(one.started_at)
    return TimeRange(start, max(start, of_datetime(one.completed_at) if one.completed_at else end))


def _attempt(stage: StageRun, trace: RunTrace, attempt: Attempt, end: int) -> Span:
    facts: Mapping[str, object] = attempt.asdict()
    known = {
        key: one for key, one in facts.items() if isinstance(one, str | int) and key != "number" and one is not False
    }
    return attempt_span(stage, trace, attempt.number, _between(attempt, end), known)
