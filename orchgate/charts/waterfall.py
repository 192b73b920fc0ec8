"""The stages of one run on a time axis, with what they waited for their turn."""

from __future__ import annotations

from orchgate.charts.numbers import AxisScale, amount, finite, known, ticks
from orchgate.charts.shapes import ChartTable, State, Unit
from orchgate.charts.svg import Frame, below, escape, framed, line, linked, number, point, rectangle, text
from orchgate.lib.text import clip, counted, short_seconds
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.charts.shapes import StageBar, TimeSpan, Waterfall

MOST = 60  # stages that are drawn
_ROW = 36  # pixels a stage
_BAR = (18, 30)  # where in its row its bar is
_WORDS = {State.FAILED: "\u00d7 failed", State.RUNNING: "still running"}
_SHORT = 1e6  # seconds
_NARROW, _WIDE = 22, 90  # characters of a name


def svg(chart: Waterfall) -> str:
    """The chart as an SVG element for an HTML page that has `svg.CSS`."""
    drawn = chart.stages[:MOST]
    frame = Frame(chart.id, "waterfall", chart.title, _ROW * max(1, len(drawn)))
    return framed(frame, _description(chart), _body(chart))


def table(chart: Waterfall) -> ChartTable:
    """What it shows."""
    rows = (
        (one.name, one.state.value, _seconds(waited(one)), _seconds(worked(one)), str(len(one.spans)), one.note)
        for one in chart.stages
    )
    header = ("stage", "state", "waited", "took", "attempts", "note")
    return ChartTable(header, tuple(rows), tuple(one.link for one in chart.stages))


def waited(stage: StageBar) -> float | None:
    """Seconds from when it could have started to its start; None where one of them is not known."""
    start = finite(stage.spans[0].start) if stage.spans else None
    ready = finite(stage.ready)
    return None if start is None or ready is None else max(0.0, start - ready)


def worked(stage: StageBar) -> float | None:
    """Seconds from its first start to its last end; None where one of them is not known."""
    start, end = (finite(stage.spans[0].start), finite(stage.spans[-1].end)) if stage.spans else (None, None)
    return None if start is None or end is None else max(0.0, end - start)


def _seconds(value: float | None) -> str:
    return short_seconds(value) if value is not None and value < _SHORT else amount(Unit.SECONDS, value)


def _length(chart: Waterfall) -> float:
    """Seconds from the run's start to the end of all that is known of it."""
    edges = [one.ready for one in chart.stages]
    edges += [edge for one in chart.stages for span in one.spans for edge in (span.start, span.end)]
    return max(known([*edges, chart.seconds]), default=0.0)


def _description(chart: Waterfall) -> str:
    if not chart.stages:
        return "No stages."
    waits = known(waited(one) for one in chart.stages)
    parts = [f"{counted(len(chart.stages), 'stage')} in {_seconds(_length(chart))}"]
    parts += [f"{_seconds(sum(waits))} of waiting in all"] if sum(waits) else []
    for state in State:
        count = sum(one.state is state for one in chart.stages)
        parts += [f"{count} {state.value}"] if count else []
    slowest = max(chart.stages, key=lambda one: worked(one) or 0.0)
    parts += [f"the longest is {slowest.name} with {_seconds(worked(slowest))}"] if worked(slowest) else []
    return "; ".join(parts) + "."


def _body(chart: Waterfall) -> Iterator[str]:
    scale = AxisScale(0.0, _length(chart) or 1.0)
    stages = chart.stages[:MOST]
    height = _ROW * max(1, len(stages))
    for one in ticks(scale, Unit.SECONDS, most=6):
        across = scale.place(one.value)
        yield line((across, 0), (across, height), "grid")
        yield below(across, height + 16, one.label)
    for nth, stage in enumerate(stages):
        yield linked(stage.link, _title(stage), "".join(_row(stage, scale, _ROW * nth)))
    if not stages:
        yield text(0.5, _ROW / 2, "no stages", "muted", "middle")
    if rest := len(chart.stages) - len(stages):
        yield text(0, height + 32, f"{counted(rest, 'stage')} more in the table", "muted")


def _title(stage: StageBar) -> str:
    parts = [stage.state.value, *_times(stage)]
    parts += [counted(len(stage.spans), "attempt")] if len(stage.spans) > 1 else []
    return f"{stage.name}: {', '.join([*parts, *filter(None, (stage.note,))])}"


def _times(stage: StageBar) -> Iterator[str]:
    if (took := worked(stage)) is not None:
        yield _seconds(took)
    if wait := waited(stage):
        yield f"waited {_seconds(wait)}"


def _row(stage: StageBar, scale: AxisScale, top: float) -> Iterator[str]:
    """A line of words, and below it the bar."""
    rail = top + sum(_BAR) / 2
    yield line((0, rail), (1, rail), "rail")
    yield _name(stage.name, top + 12)
    state = [_WORDS.get(stage.state, stage.state.value)] if stage.state is not State.SUCCEEDED else []
    kind = f"{stage.state.value} state" if state else "muted"
    yield text(1, top + 12, ", ".join([*state, *_times(stage)]), kind, "end")
    start = finite(stage.spans[0].start) if stage.spans else None
    ready = finite(stage.ready)
    if ready is not None and start is not None and start > ready:
        yield line((scale.place(ready), rail), (scale.place(start), rail), "wait")
    for span in stage.spans:
        yield from _bar(span, scale, top)
    if stage.state in (State.SKIPPED, State.CACHED):
        ends = known(edge for span in stage.spans for edge in (span.start, span.end))
        yield point(scale.place(max(ends, default=ready or 0.0)), rail, stage.state)


def _bar(span: TimeSpan, scale: AxisScale, top: float) -> Iterator[str]:
    """How long it took; one that failed is crossed, one that goes on points on."""
    start, end = finite(span.start), finite(span.end)
    if start is None:
        return
    until = scale.high if end is None and span.state is State.RUNNING else max(start, start if end is None else end)
    left, right = scale.place(start), scale.place(until)
    yield rectangle((left, right), (top + _BAR[0], top + _BAR[1]), f"bar {span.state.value}")
    if span.state is State.FAILED:
        yield point((left + right) / 2, top + sum(_BAR) / 2, span.state)
    if span.state is State.RUNNING:
        yield point(right, top + sum(_BAR) / 2, span.state)


def _name(name: str, down: float) -> str:
    """A name, shortened where there is no room for it, which the page's width says and not we."""
    if len(name) <= _NARROW:
        return text(0, down, name, "strong")
    rest = clip(name[_NARROW - 1 :], _WIDE)
    start = escape(name[: _NARROW - 1])
    inner = f'{start}<tspan class="wide">{escape(rest)}</tspan><tspan class="narrow">…</tspan>'
    return f'<text x="0" y="{number(down)}" class="strong">{inner}</text>'
