"""Everything that the page says, from the rooms that know it, and without the places and names of this machine."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from itertools import islice
from types import MappingProxyType

from orchgate.errors import GitError, OrchgateError
from orchgate.hotspots.timeline import series
from orchgate.lib.text import median
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.report import comparisons, gate, history, runs
from orchgate.report.values import (
    BaselineBand,
    EvidenceSection,
    MetricTrend,
    Page,
    PageJob,
    PipelineState,
    ReadProblem,
    TaskState,
    TrendPoint,
)
from orchgate.runs.hosted import attested_by, job_of
from orchgate.verdict import baseline as baselines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from orchgate.gate.context import Context
    from orchgate.report.runs import RunHistory
    from orchgate.report.values import BeforeAfter, FindingRow, GateState, RunRow
    from orchgate.verdict.baseline import Baseline, BaselineRecord

    BandOf = Callable[[str], BaselineBand | None]
    StaleOf = Callable[[BaselineRecord], str]

TASKS = 60
CLAIMED = 12  # tables of documents


class Sources(NamedTuple):
    """What was found out before. `ctx` is None where nobody could judge; `row_of` knows a run by its task and folder,
    `stale_of` says why a baseline should be recorded anew, "" where it need not be.
    `tasks` are those with packets, the oldest first, as they stand without their runs; `only` is the one asked for.
    """

    root: str
    now: str
    gate: GateState
    ctx: Context | None
    tasks: Sequence[TaskState]
    problems: tuple[ReadProblem, ...]
    row_of: Callable[[str, str], Mapping[str, Any]]
    stale_of: Callable[[BaselineRecord], str]
    only: str = ""
    environ: Mapping[str, str] = MappingProxyType({})


def page(sources: Sources) -> Page:
    """The page, shown to whoever gets it."""
    found, ctx = runs.read(sources.root, sources.only, sources.row_of), sources.ctx
    baseline, baseline_problems = _baseline(sources.root)
    tasks, trend_count = _tasks(sources, found, baseline)
    past, past_problems = history.read(ctx) if ctx and not sources.only else (None, ())
    times, time_problems, timelines = runs.stage_times(sources.root, found.rows)
    compared, sample_problems = _comparisons(ctx, found.rows, baseline, tasks, sources.only)
    pins, pin_problems = _evidence(ctx, tasks, sources) if ctx else (EvidenceSection(), ())
    problems = (*baseline_problems, *time_problems, *sample_problems, *pin_problems, *past_problems)
    said = Page(
        os.path.basename(sources.root),
        ctx.branch if ctx else "",
        sources.now,
        sources.gate,
        tuple(history.marked(tasks[:TASKS], past)),
        len(tasks),
        found.rows,
        found.total,
        found.older,
        trend_count,
        times,
        timelines,
        tuple(compared),
        pins,
        tuple(dict.fromkeys((*sources.problems, *found.problems, *problems))),  # several checks may say the same
        only_task=sources.only,
        history=past,
        hosted=_hosted(sources.environ),
    )
    return _without_this_machine(said, sources.root)


def _hosted(environ: Mapping[str, str]) -> PageJob | None:
    job = job_of(environ)
    if job is None:
        return None
    commit, workflow, started_by = (one or "" for one in (job.commit, job.workflow, job.started_by))
    return PageJob(job.platform, job.address, job.repository, commit, workflow, started_by, attested_by(job))


def _baseline(root: str) -> tuple[Baseline, tuple[ReadProblem, ...]]:
    try:
        return baselines.load(root), ()
    except OrchgateError as error:
        what = f"{getattr(error, 'path', baselines.PATH)}: {error.message}"
        return baselines.Baseline(), (ReadProblem("baseline-unreadable", what, error.hint),)


def _tasks(sources: Sources, found: RunHistory, baseline: Baseline) -> tuple[list[TaskState], int]:
    """All tasks, those that ran last first, then those that did not; and how many trends there are."""
    recent = list(dict.fromkeys(row.task_id for row in found.rows))
    pipelines, trend_count = trends_of(found.rows, baseline, recent, sources.stale_of)
    known = {task.task_id: task for task in sources.tasks}
    counts, last = _counts(found.rows)
    names = [*recent, *(name for name in sorted(known, key=lambda one: _later(known[one])) if name not in recent)]
    tasks: list[TaskState] = []
    for name in names:
        task = known.get(name) or TaskState(name, "")
        newest = last.get(name)
        tasks.append(
            task._replace(
                anchor=f"task-{len(tasks) + 1}",
                pipelines=pipelines.get(name, ()),
                run_count=max(task.run_count, counts.get(name, 0)),
                last_run=newest.run_id if newest else task.last_run,
                last_status=newest.status if newest else task.last_status,
            )
        )
    return tasks, trend_count


def _later(task: TaskState) -> int:
    """What is open comes before what is finished and owes something, and that before the rest."""
    over = task.standing in ("finished", "inactive")
    return 2 if over and not task.owed_count else int(over)


def _counts(rows: Iterable[RunRow]) -> tuple[dict[str, int], dict[str, RunRow]]:
    """How many runs each task has, and its newest one."""
    counts: dict[str, int] = {}
    last: dict[str, RunRow] = {}
    for row in rows:
        counts[row.task_id] = counts.get(row.task_id, 0) + 1
        last.setdefault(row.task_id, row)
    return counts, last


def _comparisons(
    ctx: Context | None, rows: Sequence[RunRow], baseline: Baseline, tasks: Sequence[TaskState], only: str
) -> tuple[list[BeforeAfter], tuple[ReadProblem, ...]]:
    from orchgate.git.call import common_dir
    from orchgate.verdict.values import KNOWN, Policy, policy

    held_to = policy(ctx.config.performance) if ctx else Policy({one.name: one for one in KNOWN})
    held_to = held_to._replace(benchmarks=held_to.benchmarks._replace(required=False))  # older samples hold none
    found: list[BeforeAfter] = []
    problems: list[ReadProblem] = []
    if ctx and ctx.repository and not only:
        folder = os.path.join(common_dir(ctx.repository.git_dir), "orchgate", "perf")
        found, problems = comparisons.measured(folder, held_to)
    found += comparisons.since_baseline(baseline, rows, held_to)
    claimed = comparisons.claimed(ctx, tasks[:TASKS]) if ctx else iter(())
    return [*found, *islice(claimed, CLAIMED)], tuple(problems)


def _evidence(
    ctx: Context, tasks: Iterable[TaskState], sources: Sources
) -> tuple[EvidenceSection, tuple[ReadProblem, ...]]:
    from orchgate.git.store.reference import Store

    stored: frozenset[str] | GitError = frozenset()
    try:
        if ctx.repository:
            stored = frozenset(Store(ctx.repository, ctx.environ).known())
    except GitError as error:
        stored = error
    owed: list[FindingRow] = [one for task in tasks for one in task.owes]
    return gate.pinned(ctx, stored, [*sources.gate.findings, *owed], sources.only)


def _without_this_machine(said: Page, root: str) -> Page:
    """The page with paths of this machine made relative: whoever gets it has another one, and need not know whose."""
    home = os.path.expanduser("~")
    places = {place for place in (root, os.path.realpath(root), home) if place.startswith("/") and len(place) > 1}
    if not places:
        return said
    either = "|".join(map(re.escape, sorted(places, key=len, reverse=True)))
    pattern = re.compile(rf"(?<![\w.~/-])({either})(/|(?![\w.-]))")

    def relative(match: re.Match[str]) -> str:
        if match[1] == home != root:
            return f"~{match[2]}"
        return "" if match[2] else "."

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            return pattern.sub(relative, value) if "/" in value else value
        if isinstance(value, tuple):
            made = map(clean, value)
            return type(value)(*made) if hasattr(value, "_fields") else tuple(made)
        if isinstance(value, dict):
            return {clean(key): clean(one) for key, one in value.items()}
        return value

    cleaned: Page = clean(said)
    return cleaned


# How the metrics of each task's pipelines moved from run to run, beside their baseline. Pure.


# The order on the page; what a metric is called, and its unit, is for `measures` to say.
METRICS = (
    "wall_seconds",
    "cpu_seconds",
    "max_rss_bytes",
    "tree_rss_bytes",
    "written_bytes",
    "read_bytes",
    "processes",
    "manifest_writes",
)
CHARTS = 90  # of all tasks together
POINTS = 500  # in one


def trends_of(
    rows: Iterable[RunRow], baseline: Baseline, order: Sequence[str], stale_of: StaleOf
) -> tuple[Mapping[str, tuple[PipelineState, ...]], int]:
    """The pipelines of each task, those first in `order` with trends; and how many trends there are.

    `stale_of` says why a record should be taken anew, "" where it need not be.
    """
    by_task: dict[str, dict[tuple[str, str], list[RunRow]]] = defaultdict(lambda: defaultdict(list))
    for row in reversed(list(rows)):
        by_task[row.task_id][row.pipeline_id, row.machine_id].append(row)
    tasks = [*(task for task in order if task in by_task), *(task for task in by_task if task not in order)]
    found = {
        task: tuple(_pipeline(*key, runs, _band_of(baseline, stale_of, *key)) for key, runs in by_task[task].items())
        for task in tasks
    }
    return _first(found), sum(len(pipeline.trends) for pipelines in found.values() for pipeline in pipelines)


def _first(found: Mapping[str, tuple[PipelineState, ...]]) -> Mapping[str, tuple[PipelineState, ...]]:
    """The pipelines with the first `CHARTS` trends."""
    left, kept = CHARTS, {}
    for task, pipelines in found.items():
        shown = []
        for pipeline in pipelines:
            shown.append(pipeline._replace(trends=pipeline.trends[: max(0, left)]))
            left -= len(pipeline.trends)
        kept[task] = tuple(shown)
    return kept


def _pipeline(pipeline: str, machine: str, runs: Sequence[RunRow], band: BandOf) -> PipelineState:
    """Of runs in the order of their start."""
    trends, unchanged = [], {}
    for metric in METRICS:
        with_value = [run for run in runs if metric in run.metrics and not (run.cached or run.replays)]
        if len({run.metrics[metric] for run in with_value}) > 1:
            trends.append(_trend(pipeline, machine, metric, with_value, band(metric)))
        elif with_value:
            unchanged[metric] = with_value[0].metrics[metric]
    return PipelineState(
        pipeline,
        machine,
        len(runs),
        sum(run.succeeded for run in runs),
        sum(run.flaky for run in runs),
        tuple(trends),
        unchanged,
    )


def _trend(pipeline: str, machine: str, metric: str, runs: Sequence[RunRow], band: BaselineBand | None) -> MetricTrend:
    """What runs that failed cost is shown, and is in no figure."""
    points = tuple(TrendPoint(run.anchor, run.started_at, run.status, run.metrics[metric]) for run in runs)
    values = [point.value for point in points if point.status == "succeeded"]
    moved = series(values) if values else None
    return MetricTrend(
        pipeline,
        machine,
        metric,
        points[-POINTS:],
        band,
        sorted(values)[(len(values) - 1) // 2] if values else None,  # the one that `orchgate metrics` says
        moved.slope if moved and moved.clear else None,
        len(points),
    )


def _band_of(baseline: Baseline, stale_of: StaleOf, pipeline: str, machine: str) -> BandOf:
    record = baseline.of(pipeline, machine)
    stale = stale_of(record) if record else ""

    def band(metric: str) -> BaselineBand | None:
        samples = record.samples.get(metric) if record else None
        if record is None or not samples:
            return None
        ends = min(samples), median(samples), max(samples)
        return BaselineBand(*ends, len(samples), record.recorded_at, record.reason, stale)

    return band
