"""How the metrics of each task's pipelines moved from run to run, beside their baseline. Pure."""

from __future__ import annotations

from collections import defaultdict

from orchgate.hotspots.timeline import series
from orchgate.lib.text import median
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.report.values import BaselineBand, MetricTrend, PipelineState, TrendPoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from orchgate.report.values import RunRow
    from orchgate.verdict.baseline import Baseline, BaselineRecord

    BandOf = Callable[[str], BaselineBand | None]  # of a metric
    StaleOf = Callable[[BaselineRecord], str]

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


def of_tasks(
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
        with_value = [run for run in runs if metric in run.metrics and not run.cached]
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
