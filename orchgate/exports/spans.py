"""A recorded run as spans: the run, its stages, their attempts, what they waited for, and when nobody worked.

Times are nanoseconds since 1970. The ids are those that the programs of the run were handed as `TRACEPARENT`.
"""

from __future__ import annotations

from orchgate.lib.typed import TYPE_CHECKING, Enum, NamedTuple
from orchgate.runs.ids import SPAN_ATTEMPT, SPAN_AWAY, SPAN_ITERATION, SPAN_RUN, SPAN_STAGE, SPAN_WAIT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchgate.runs.ids import RunTrace, SpanContext
    from orchgate.runs.run import Run, StageRun, Usage
    from orchgate.runs.state import Event

    Scalar = str | int | float | bool
    Facts = Mapping[str, Scalar]

MILLISECOND, SECOND = 10**6, 10**9


class SpanKind(Enum):
    RUN = "run"
    STAGE = "stage"
    ATTEMPT = "attempt"
    ITERATION = "iteration"  # of an agent loop: the agent's stage and the validator's
    WAIT = "waiting"
    AWAY = "away"  # nobody worked: it was killed and not yet resumed, it was stopped, the machine slept


_NUMBERS = {
    SpanKind.RUN: SPAN_RUN,
    SpanKind.STAGE: SPAN_STAGE,
    SpanKind.ATTEMPT: SPAN_ATTEMPT,
    SpanKind.ITERATION: SPAN_ITERATION,
    SpanKind.WAIT: SPAN_WAIT,
    SpanKind.AWAY: SPAN_AWAY,
}


class SpanStatus(Enum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    OPEN = "open"  # it says neither: skipped, failed where it may, or a wait


class Span(NamedTuple):
    """`stage` counts from 1, 0 for what is of no stage. `links` are spans that this one had to wait for.

    `marks` are moments with a name.
    """

    kind: SpanKind
    name: str
    span_id: str
    parent_id: str | None
    start: int
    end: int
    outcome: SpanStatus = SpanStatus.OPEN
    detail: str = ""
    stage: int = 0
    facts: Mapping[str, Scalar] = {}
    links: tuple[str, ...] = ()
    marks: tuple[tuple[int, str], ...] = ()


class ChildSpan(NamedTuple):
    """The run of a sub-pipeline, or one that an observed program recorded, and the attempt within which it was made."""

    path: str  # of its manifest, from the folder of the run
    around: SpanContext
    called: bool  # by us, and so of the same trace


class Timings(NamedTuple):
    """The spans of a run, its own first. `running` are moments with how many stages ran from then on."""

    spans: tuple[Span, ...]
    children: tuple[ChildSpan, ...] = ()
    running: tuple[tuple[int, int], ...] = ()


def settled(status: str, *, may_fail: bool = False) -> SpanStatus:
    if status == "succeeded":
        return SpanStatus.SUCCEEDED
    return SpanStatus.FAILED if status in ("failed", "cancelled") and not may_fail else SpanStatus.OPEN


def usage_facts(usage: Usage | None) -> Facts:
    """What was measured; where a figure is only a lower bound, that is a fact, too."""
    if usage is None:
        return {}
    known = {key: value for key, value in usage.asdict().items() if isinstance(value, int | float)}
    bounds = {"lower_bounds": ", ".join(sorted(usage.lower_bounds))} if usage.lower_bounds else {}
    return {**known, **bounds}


def attempts(stage: StageRun) -> int | None:
    """How often a stage was tried; None where it ran and nobody recorded that, as other programs do not."""
    return len(stage.attempts) if stage.attempts or stage.cached or not stage.started_at else None


def stage_facts(stage: StageRun) -> Facts:
    named = ("title", "status", "command", "exit_code", "status_detail", "summary", "log_path", "sub_run_id")
    facts: dict[str, Scalar] = {"stage_kind": stage.kind}
    if (count := attempts(stage)) is not None:
        facts["attempts"] = count
    facts |= {key: value for key in named if (value := getattr(stage, key)) is not None}
    facts |= {key: True for key in ("allow_failure", "flaky", "cached") if getattr(stage, key)}
    sizes = ("output_bytes", "output_left_out_bytes")
    facts |= {key: value for key in sizes if (value := getattr(stage, key)) is not None}
    facts |= usage_facts(stage.usage)
    if stage.tests:
        facts |= {f"tests.{key}": count for key, count in stage.tests.counts().items()}
    if stage.failed_tests:
        facts["failed_tests"] = "\n".join(stage.failed_tests)
    facts |= {f"metrics.{name}": value for name, value in stage.metrics.items()}
    return facts | {f"benchmarks.{name}": value for name, value in stage.benchmarks.items()}


_OF_RUN = (
    *("task_id", "run_id", "pipeline_id", "pipeline_title", "status", "status_detail", "summary"),
    *("parent_run_id", "observed_by", "away_seconds"),
)


def run_facts(run: Run) -> Facts:
    facts: dict[str, Scalar] = {key: value for key in _OF_RUN if (value := getattr(run, key)) not in (None, "")}
    if run.git:
        state = run.git.asdict()
        facts |= {f"git.{key}": state[key] for key in ("commit", "tree", "dirty", "branch") if state[key] is not None}
    if run.machine:
        facts |= {f"machine.{key}": value for key, value in run.machine.asdict().items() if value is not None}
    if run.hosted:
        facts |= {f"hosted.{key}": value for key, value in run.hosted.asdict().items() if value is not None}
    if run.replays:
        facts["replays"] = run.replays.run_id
    if run.accepts:
        facts |= {f"accepts.{key}": value for key, value in run.accepts.asdict().items()}
    facts |= {f"tools.{tool.name}": known for tool in run.tools if (known := tool.version or tool.sha256)}
    facts |= usage_facts(run.usage)
    if run.tests:
        facts |= {f"tests.{key}": count for key, count in run.tests.counts().items()}
    return facts | {f"benchmarks.{name}": value for name, value in run.benchmarks.items()}


class TimeRange(NamedTuple):
    start: int
    end: int


def run_span(run: Run, trace: RunTrace, bounds: TimeRange, marks: Sequence[tuple[int, str]] = ()) -> Span:
    return Span(
        SpanKind.RUN,
        run.pipeline_id,
        trace.span_id(),
        trace.parent.span_id if trace.parent else None,
        *bounds,
        settled(run.status),
        run.status_detail or ("" if run.status == "succeeded" else run.status),
        facts=run_facts(run),
        marks=tuple(marks),
    )


def stage_span(stage: StageRun, trace: RunTrace, bounds: TimeRange, needs: Sequence[int] = ()) -> Span:
    return Span(
        SpanKind.STAGE,
        stage.id,
        trace.span_id(SPAN_STAGE, stage.number),
        trace.span_id(),
        *bounds,
        settled(stage.status, may_fail=stage.allow_failure),
        stage.status_detail or ("" if stage.status == "succeeded" else stage.status),
        stage.number,
        stage_facts(stage),
        tuple(trace.span_id(SPAN_STAGE, number) for number in needs),
    )


def attempt_span(stage: StageRun, trace: RunTrace, number: int, bounds: TimeRange, facts: Facts) -> Span:
    status = str(facts.get("status", ""))
    name = stage.id if len(stage.attempts) < 2 else f"{stage.id}, attempt {number}"
    return Span(
        SpanKind.ATTEMPT,
        name,
        trace.attempt(stage.number, number).span_id,
        trace.span_id(SPAN_STAGE, stage.number),
        *bounds,
        settled(status),
        str(facts.get("detail") or ("" if status == "succeeded" else status)),
        stage.number,
        facts,
    )


def within_iterations(spans: Sequence[Span], trace: RunTrace) -> list[Span]:
    """The spans of an agent loop, its stages below one span for each iteration."""
    numbers = {span.stage: _iteration(span.name) for span in spans if span.kind is SpanKind.STAGE}
    around: dict[int, Span] = {}
    for span in spans:
        number = numbers.get(span.stage, 0)
        if span.kind is SpanKind.STAGE and number:
            known = around.get(number)
            start, end = (min(known.start, span.start), max(known.end, span.end)) if known else (span.start, span.end)
            found = Span(SpanKind.ITERATION, f"iteration {number}", "", trace.span_id(), start, end, span.outcome)
            identity = trace.span_id(SPAN_ITERATION, 0, number)
            around[number] = found._replace(span_id=identity, detail=span.detail, facts={"iteration": number})
    return [*around.values(), *(_moved(span, around.get(numbers.get(span.stage, 0))) for span in spans)]


def _moved(span: Span, around: Span | None) -> Span:
    return span._replace(parent_id=around.span_id) if around and span.kind is SpanKind.STAGE else span


def _iteration(stage: str) -> int:
    kind, _, digits = stage.rpartition("-")
    return int(digits) if kind in ("iteration", "validator") and digits.isdecimal() and len(digits) < 7 else 0


def event_facts(event: Event) -> Facts:
    """What the end of an attempt recorded, on one level."""
    plain = ("status", "exit_code", "signal", "timed_out", "detail", "summary", "output_bytes", "output_left_out_bytes")
    facts: dict[str, Scalar] = {key: event[key] for key in plain if event.get(key) is not None}
    usage = event.get("usage") or {}
    facts |= {key: value for key, value in usage.items() if isinstance(value, int | float)}
    if usage.get("lower_bounds"):
        facts["lower_bounds"] = ", ".join(sorted(usage["lower_bounds"]))
    iteration = event.get("iteration") or {}
    facts |= {f"iteration.{key}": one for key, one in iteration.items() if isinstance(one, bool | int | str)}
    return facts
