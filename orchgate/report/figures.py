"""The charts of the page, each with the table behind it."""

from __future__ import annotations

import contextlib
import datetime

from orchgate.charts import distribution, intervals, numbers, shapes, trend, waterfall
from orchgate.lib.text import clip, counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.measures.declared import title
from orchgate.model import Verdict
from orchgate.report.html import Html, joined, link, row, table, tag
from orchgate.verdict import words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchgate.report.values import (
        BeforeAfter,
        HistoryTrend,
        MetricTrend,
        PipelineState,
        Samples,
        StageRow,
        StageTimes,
        TrendPoint,
    )


class Said(NamedTuple):
    """A verdict in words: `tone` is a class of the style sheet."""

    word: str
    tone: str
    mark: str
    means: str


VERDICTS = {
    Verdict.PASS.value: Said("passed", "good", "✓", "The gate lets this through as it is."),
    Verdict.WARN.value: Said("passed with warnings", "warning", "!", "The gate lets this through, and has a warning."),
    Verdict.FAIL.value: Said("refused", "bad", "✗", "The gate refuses this as it is."),
    Verdict.BROKEN.value: Said(
        "could not check", "warning", "?", "Something could not be read, so nobody knows. This is not a pass."
    ),
    Verdict.INCONCLUSIVE.value: Said(
        "inconclusive", "neutral", "?", "The evidence does not decide, and the configuration wants it decided."
    ),
}
TONES = {
    Verdict.PASS.value: shapes.Tone.GOOD,
    Verdict.WARN.value: shapes.Tone.WARNING,
    Verdict.FAIL.value: shapes.Tone.BAD,
    Verdict.BROKEN.value: shapes.Tone.WARNING,
    Verdict.INCONCLUSIVE.value: shapes.Tone.NEUTRAL,
}
_STATES = {state.value: state for state in shapes.State} | {
    "in_progress": shapes.State.RUNNING,
    "pending": shapes.State.SKIPPED,
    "abandoned": shapes.State.CANCELLED,
}
_LOST = "retrying"
_TOLD = 3  # metrics of a run in its tooltip


def state(status: str, *, cached: bool = False) -> shapes.State:
    return shapes.State.CACHED if cached else _STATES.get(status, shapes.State.UNKNOWN)


def short(name: str) -> str:
    """A name as it has a place in a chart, whose text does not break into lines."""
    return clip(name, 60)


def of_pipeline(one: PipelineState, name: str) -> Html:
    """Its metrics below each other, and a strip for each run across all of them, which leads to it.

    The table of runs has the values. Whoever uses a keyboard passes the strips by at once, or takes the table.
    """
    runs = {point.anchor: point for trend_ in one.trends for point in trend_.points}
    ordered = sorted(runs.values(), key=lambda point: point.started_at)
    anchors = [run.anchor for run in ordered]
    costs = [(trend_.metric, {point.anchor: point.value for point in trend_.points}) for trend_ in one.trends]
    parts: list[str] = []
    for number, (trend_, (_, values)) in enumerate(zip(one.trends, costs, strict=True), 1):
        points = [_point(run, values.get(run.anchor)) for run in ordered]
        parts.append(tag("figcaption", *_caption(trend_)))
        parts.append(_of_trend(trend_, points, anchors, f"{name}-{number}", dated=number == len(one.trends)))
    over = f"{name}-over"
    passed = tag("a", f"Skip the links to {counted(len(ordered), 'run')}", class_="skip", href=f"#{over}")
    title_ = f"Runs of {short(one.pipeline_id)}, oldest first"
    strips_ = shapes.Strips(f"{name}-runs", title_, [_strip(run, costs[:_TOLD]) for run in ordered])
    return joined((tag("figure", *parts, passed, Html(trend.strips(strips_)), class_="trends"), tag("span", id=over)))


def _of_trend(
    one: MetricTrend, points: Sequence[shapes.Point], anchors: Sequence[str], name: str, *, dated: bool
) -> Html:
    band = one.baseline
    chart = shapes.Trend(
        name,
        f"{capital(title(one.metric))} of {short(one.pipeline_id)}",
        shapes.unit_of(one.metric),
        points,
        shapes.Band(band.low, band.middle, band.high) if band else None,
        [
            shapes.ChangeMark(anchors.index(mark.anchor), short(mark.label))
            for mark in one.marks
            if mark.anchor in anchors
        ],
        dated=dated,
    )
    return Html(trend.svg(chart))


def _caption(one: MetricTrend) -> list[str]:
    said: list[str] = [tag("b", capital(title(one.metric))), f": {_middle(one)}"]
    if band := one.baseline:
        low, high = (words.amount(one.metric, value) for value in (band.low, band.high))
        said.append(f"; baseline {low} to {high}{', stale' if band.stale else ''}")
    if len(one.points) < one.run_count:
        said.append(f"; the newest {len(one.points)} of {counted(one.run_count, 'run')}")
    return said


def capital(words_: str) -> str:
    return words_[:1].upper() + words_[1:]


def _middle(one: MetricTrend) -> str:
    if one.median is None:
        return "no run succeeded"
    shown = f"median {words.amount(one.metric, one.median)}"
    if one.change_per_run is None or not one.median:
        return shown
    return f"{shown}, {'rising' if one.change_per_run > 0 else 'falling'} from run to run"


def _point(point: TrendPoint, value: float | None) -> shapes.Point:
    at = None
    with contextlib.suppress(ValueError):
        at = datetime.datetime.fromisoformat(point.started_at).timestamp()
    return shapes.Point(value, "", "", state(point.status), at)


def of_history(one: HistoryTrend, name: str) -> Html:
    """The runs of all machines of a class, and where their level changed."""
    what = " ".join(filter(None, (one.key.pipeline, one.key.stage, one.key.benchmark)))
    chart = shapes.Trend(
        name,
        f"{capital(title(one.key.metric))} of {short(what)}",
        shapes.unit_of(one.key.metric),
        [shapes.Point(value, "", at=moment) for moment, value in one.points],
        marks=[shapes.ChangeMark(place, short(label)) for place, label in one.marks],
    )
    above = tag("figcaption", tag("b", chart.title), f" on machine type {one.key.machine}")
    return tag("figure", above, Html(trend.svg(chart)), class_="trends")


def _strip(run: TrendPoint, costs: Sequence[tuple[str, Mapping[str, float]]]) -> shapes.Point:
    """A run and what it cost, in the words of a tooltip."""
    told = [
        f"{title(metric).removesuffix(' time')} {words.amount(metric, of[run.anchor])}"
        for metric, of in costs
        if run.anchor in of
    ]
    ended = [] if run.status == "succeeded" else [run.status.replace("_", " ")]
    label = f"{run.started_at[5:16].replace('T', ' ')}: {', '.join([*ended, *told])}"
    return shapes.Point(None, clip(label, 200), f"#{run.anchor}")


def of_stages(one: StageTimes) -> Html:
    chart = shapes.Waterfall(
        one.anchor,
        f"Stages of {short(one.pipeline_id)}, run {short(one.run_id)}",
        [_bar(stage) for stage in one.stages],
        one.wall_seconds,
    )
    return _figure(Html(waterfall.svg(chart)), waterfall.table(chart), chart.title)


def _bar(stage: StageRow) -> shapes.StageBar:
    how = state(stage.status, cached=stage.cached)
    spans = [
        shapes.TimeSpan(span.begin_seconds, span.end_seconds, shapes.State.FAILED if span.phase == _LOST else how)
        for span in stage.spans
    ]
    note = f"{stage.attempts} attempts" if stage.attempts > 1 else ""
    return shapes.StageBar(short(stage.stage_id), how, stage.ready_seconds, spans, note)


def of_changes(one: BeforeAfter, name: str) -> Html:
    rows = [
        shapes.ChangeInterval(
            capital(short(title(change.metric))),
            change.change,
            change.low,
            change.high,
            change.limit,
            numbers.amount(shapes.unit_of(change.metric), change.before),
            numbers.amount(shapes.unit_of(change.metric), change.after),
            short(change.outcome),
            TONES[change.verdict] if change.verdict else shapes.Tone.NEUTRAL,
            more_is_worse=(change.limit or 0.0) >= 0 and shapes.unit_of(change.metric) is not shapes.Unit.RATE,
        )
        for change in one.rows
    ]
    chart = shapes.Intervals(name, f"{short(one.subject)}: {short(one.before)} to {short(one.after)}", rows)
    return _figure(Html(intervals.svg(chart)), intervals.table(chart), chart.title)


def of_samples(one: Samples, subject: str, name: str, sides: tuple[str, str], note: str) -> Html:
    chart = shapes.Distribution(
        name,
        f"{capital(title(one.metric))} of {short(subject)}",
        shapes.unit_of(one.metric),
        one.before,
        one.after,
        (short(sides[0]), short(sides[1])),
        one.paired,
        TONES[one.verdict],
    )
    above = tag("figcaption", tag("b", capital(title(one.metric))), f"; {note}" if note else "")
    return _figure(Html(distribution.svg(chart)), distribution.table(chart), chart.title, above)


def _figure(drawn: Html, behind: shapes.ChartTable, caption: str, *above: Html) -> Html:
    """A chart with its table, which is closed until somebody wants it."""
    return tag("figure", *above, drawn, _behind(behind, caption))


def _behind(behind: shapes.ChartTable, caption: str) -> Html:
    rows = [_row(cells, where) for cells, where in zip(behind.rows, behind.links, strict=True)]
    shown = table(caption, behind.header, rows)
    return tag("details", tag("summary", "As a table"), shown) if rows else joined(())


def _row(cells: Sequence[str], where: str) -> Html:
    first, *rest = cells
    return row(link(where.removeprefix("#"), first), *rest)
