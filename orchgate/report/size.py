"""Keeps the page small: what a reader looks for last is thinned first, and what is left out is said."""

from __future__ import annotations

from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.report import page

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchgate.report.values import BeforeAfter, MetricTrend, Page, PipelineState, TaskState

LIMIT = 300_000  # bytes


class Level(NamedTuple):
    """How much of each kind is shown. `metrics` are of one pipeline, `samples` of all distributions.

    `owes` are the missing things of one task.
    """

    metrics: int
    charts: int
    timelines: int
    samples: int
    comparisons: int
    findings: int
    artifacts: int
    owes: int
    tasks: int
    runs: int


# From what one would like to see down to what always fits.
LEVELS = (
    Level(8, 90, 16, 600, 20, 200, 100, 12, 60, 500),
    Level(5, 90, 16, 500, 16, 200, 80, 12, 60, 500),
    Level(4, 80, 12, 400, 12, 160, 80, 8, 60, 500),
    Level(3, 80, 10, 320, 10, 120, 60, 8, 60, 500),
    Level(3, 70, 8, 240, 8, 100, 60, 6, 60, 500),
    Level(3, 60, 6, 160, 6, 60, 40, 3, 60, 500),
    Level(3, 60, 4, 90, 4, 40, 30, 2, 60, 500),
    Level(3, 60, 3, 50, 3, 30, 20, 1, 40, 500),
    Level(3, 60, 2, 40, 2, 20, 10, 1, 40, 500),
    Level(3, 45, 4, 100, 4, 40, 30, 2, 40, 500),
    Level(3, 24, 3, 60, 3, 30, 20, 1, 30, 400),
    Level(3, 12, 3, 60, 2, 20, 20, 1, 20, 200),
    Level(2, 3, 1, 30, 1, 10, 10, 1, 10, 50),
)
# Bytes that each usually takes: whoever guesses well draws the page once.
_POINT, _STRIP = 9, 160
_TYPICAL = Level(0, 1050, 3600, 90, 4500, 350, 285, 200, 350, 177)
_REST = 16_000


def fitted(said: Page) -> bytes:
    """The page as UTF-8, as much of it as has room."""
    data = b""
    for level in LEVELS:
        shown = thinned(said, level)
        if level is not LEVELS[-1] and _guessed(shown) > LIMIT:
            continue
        data = page.render(shown).encode("utf-8", "xmlcharrefreplace")
        if len(data) <= LIMIT:
            break
    return data


def _guessed(said: Page) -> int:
    trends = _trends(said)
    counts = Level(
        0,
        len(trends),
        len(said.stage_times),
        sum(len(one.before) + len(one.after) for compared in said.comparisons for one in compared.samples),
        len(said.comparisons),
        len(said.gate.findings),
        len(said.evidence.artifacts),
        sum(len(task.owes) for task in said.tasks),
        len(said.tasks),
        len(said.runs),
    )
    drawn = _POINT * sum(len(one.points) for one in trends) + _STRIP * _linked(said)
    return _REST + drawn + sum(count * each for count, each in zip(counts, _TYPICAL, strict=True))


def _linked(said: Page) -> int:
    """How many strips lead from the charts to a run."""
    pipelines = [pipeline for task in said.tasks for pipeline in task.pipelines]
    return sum(max((len(one.points) for one in pipeline.trends), default=0) for pipeline in pipelines)


def _trends(said: Page) -> list[MetricTrend]:
    return [one for task in said.tasks for pipeline in task.pipelines for one in pipeline.trends]


def thinned(said: Page, level: Level) -> Page:
    runs = said.runs[: level.runs]
    anchors = {run.anchor for run in runs}
    compared = said.comparisons[: level.comparisons]
    most = level.samples // max(1, 2 * sum(len(one.samples) for one in compared))
    tasks, left = [], level.charts
    for task in said.tasks[: level.tasks]:
        shown_task = _task(task._replace(owes=task.owes[: level.owes]), level.metrics, anchors, left)
        left -= sum(len(one.trends) for one in shown_task.pipelines)
        tasks.append(shown_task)
    shown = said._replace(
        tasks=tuple(tasks),
        runs=runs,
        stage_times=tuple(one for one in said.stage_times if one.run_anchor in anchors)[: level.timelines],
        comparisons=tuple(_comparison(one, most) for one in compared),
        gate=said.gate._replace(findings=said.gate.findings[: level.findings]),
        evidence=said.evidence._replace(artifacts=said.evidence.artifacts[: level.artifacts]),
    )
    return shown._replace(left_out=tuple(_left_out(shown, said)))


def _task(task: TaskState, metrics: int, anchors: set[str], charts: int) -> TaskState:
    pipelines = []
    for one in task.pipelines:
        pipelines.append(_pipeline(one, min(metrics, charts), anchors))
        charts -= len(pipelines[-1].trends)
    return task._replace(pipelines=tuple(pipelines))


def _pipeline(pipeline: PipelineState, most: int, anchors: set[str]) -> PipelineState:
    trends = [
        one._replace(points=tuple(point for point in one.points if point.anchor in anchors))
        for one in pipeline.trends[:most]
    ]
    return pipeline._replace(trends=tuple(one for one in trends if one.points))


def _comparison(one: BeforeAfter, most: int) -> BeforeAfter:
    samples = (
        sample._replace(before=_spread(sample.before, most), after=_spread(sample.after, most))
        for sample in one.samples
    )
    return one._replace(samples=tuple(samples))


def _spread(values: Sequence[float], most: int) -> tuple[float, ...]:
    """At most so many of the values, from all of their row; pairs stay pairs."""
    return tuple(values[at * len(values) // most] for at in range(most)) if len(values) > most > 0 else tuple(values)


def _left_out(said: Page, whole: Page) -> Iterator[str]:
    if len(said.runs) < said.run_count or said.older_runs:
        some = f"the newest {len(said.runs):,}" + ("" if said.older_runs else f" of {said.run_count:,}")
        yield f"Runs: {some} are listed; `orchgate metrics` counts all."
    if charts := said.trend_count - len(_trends(said)):
        yield f"Trends: {counted(charts, 'more chart')}; `orchgate report --task TASK` has those of one task."
    if timelines := said.timeline_count - len(said.stage_times):
        yield f"Stages: those of {counted(timelines, 'older run')}; `orchgate hotspots RUN` shows one."
    if compared := len(whole.comparisons) - len(said.comparisons):
        more = counted(compared, "more comparison")
        yield f"Before and after: {more}; `orchgate report --output-format json` has all."
    drawn = [(one, sample) for one in said.comparisons for sample in one.samples]
    if any(len(sample.before) < one.before_count or len(sample.after) < one.after_count for one, sample in drawn):
        yield "Samples: of many, some are drawn, evenly spread over the measurement."
    if tasks := said.task_count - len(said.tasks):
        yield f"Tasks: {counted(tasks, 'more task')}; `orchgate tasks --all` lists all."
    if findings := said.gate.finding_count - len(said.gate.findings):
        yield f"Findings: {counted(findings, 'more finding')}; `orchgate check --max-per-rule 0` prints all."
    if pins := said.evidence.pin_count - sum(one.pinned for one in said.evidence.artifacts):
        yield f"Evidence: {counted(pins, 'more pinned artifact')}; `orchgate evidence verify` compares all."
