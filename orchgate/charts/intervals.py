"""How far metrics moved, with their intervals, from which change on it is refused, and in words."""

from __future__ import annotations

from orchgate.charts.numbers import AxisScale, change, finite, known, ticks
from orchgate.charts.shapes import ChartTable, Unit
from orchgate.charts.svg import Frame, below, framed, line, lines, linked, point, rectangle, stretched, text, with_rest
from orchgate.lib.text import clip, counted, median
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.charts.shapes import ChangeInterval, Intervals

MOST = 40  # rows that are drawn
_ROW = 58  # pixels a row
_RAIL = 26  # where in its row the interval is
_MARK = 8  # pixels that the axis' lines reach up and down from there
_HALF = 7  # pixels an interval's ends and its limit reach up and down
_OTHERS = 8  # times the usual interval from which on one leaves the axis
_LIMITS = 2.5  # times the largest limit that are always on it
_ROOM = 0.03


def svg(chart: Intervals) -> str:
    """The chart as an SVG element for an HTML page that has `svg.CSS`."""
    rows = chart.rows[:MOST]
    frame = Frame(chart.id, "intervals", chart.title, _ROW * max(1, len(rows)))
    return framed(frame, _description(chart), _body(chart))


def table(chart: Intervals) -> ChartTable:
    """What it shows."""
    rows = (
        (one.name, one.before, one.after, *map(change, (one.change, one.low, one.high, one.limit)), one.outcome)
        for one in chart.rows
    )
    header = ("metric", "before", "after", "change", "from", "to", "limit", "outcome")
    return ChartTable(header, tuple(rows), tuple(one.link for one in chart.rows))


def _description(chart: Intervals) -> str:
    if not chart.rows:
        return "Nothing was compared."
    return (
        "; ".join([counted(len(chart.rows), "metric"), *(f"{one.name}: {_words(one)}" for one in chart.rows[:MOST])])
        + "."
    )


def _words(one: ChangeInterval) -> str:
    parts = [f"{one.before} before, {one.after} after"] if one.before and one.after else []
    return ", ".join([*parts, *_moved(one), *filter(None, (one.outcome,))])


def _moved(one: ChangeInterval) -> Iterator[str]:
    """`+2.5 % (+1.1 % to +3.9 %)`, `limit +5.0 %`."""
    known_ends = finite(one.low) is not None and finite(one.high) is not None
    ends = f" ({change(one.low)} to {change(one.high)})" if known_ends else ""
    yield change(one.change) + ends if finite(one.change) is not None else "change not known"
    if finite(one.limit) is not None:
        yield f"limit {change(one.limit)}"


def _scale(chart: Intervals) -> AxisScale:
    """All that was found and zero; but what is far beyond the rest does not make the rest invisible."""
    numbers = [known((one.change, one.low, one.high)) for one in chart.rows]
    limits = known(one.limit for one in chart.rows)
    reaches = [max(map(abs, row)) for row in numbers if row]
    most = max([_OTHERS * median(reaches) if reaches else 0.0, *(_LIMITS * abs(limit) for limit in limits)])
    shown = [min(max(value, -most), most) for value in [*(value for row in numbers for value in row), *limits]]
    low, high = min([0.0, *shown]), max([0.0, *shown])
    room = (high - low) * _ROOM or 0.01
    return AxisScale(low - room, high + room)


def _body(chart: Intervals) -> Iterator[str]:
    rows = chart.rows[:MOST]
    if not rows:
        yield text(0.5, _ROW / 2, "nothing was compared", "muted", "middle")
        return
    scale = _scale(chart)
    height = _ROW * len(rows)
    yield from _grid(scale, len(rows))
    for nth, row in enumerate(rows):
        yield linked(row.link, f"{row.name}: {_words(row)}", "".join(_row(row, scale, _ROW * nth)))
    if rest := len(chart.rows) - len(rows):
        yield text(0, height + 32, f"{counted(rest, 'metric')} more in the table", "muted")


def _grid(scale: AxisScale, rows: int) -> Iterator[str]:
    """The axis below, and its lines where the intervals are: not through the words between them."""
    height = _ROW * rows
    found: dict[str, list[list[tuple[float, float]]]] = {"grid": [], "zero": []}
    for one in ticks(scale, Unit.RATE, most=6):
        across = scale.place(one.value)
        rails = (_ROW * nth + _RAIL for nth in range(rows))
        found["grid" if one.value else "zero"] += [[(across, at - _MARK), (across, at + _MARK)] for at in rails]
        yield below(across, height + 16, ("+" if one.value > 0 else "") + one.label)
    yield stretched(height, *(lines(of_kind, kind) for kind, of_kind in found.items()))


def _row(one: ChangeInterval, scale: AxisScale, top: float) -> Iterator[str]:
    rail = top + _RAIL
    yield text(0, top + 12, clip(one.name, 34), "strong")
    yield text(1, top + 12, clip(one.outcome, 24), f"{one.tone.value} state", "end")
    yield line((0, rail), (1, rail), "rail")
    yield from _limit(one, scale, rail)
    yield from _interval(one, scale, rail)
    values = f"{one.before} → {one.after}" if one.before and one.after else ""
    yield text(0, top + 46, values, "muted")
    yield _change(one, top + 46)


def _change(one: ChangeInterval, down: float) -> str:
    """In words; its interval and the limit, which are also drawn, only where there is room."""
    first, *rest = _moved(one)
    moved, _, ends = first.partition(" (")
    return with_rest(1, down, moved, ", ".join([ends.removesuffix(")")] * bool(ends) + rest))


def _limit(one: ChangeInterval, scale: AxisScale, rail: float) -> Iterator[str]:
    """From the limit to the end of the axis it would be refused."""
    limit = finite(one.limit)
    if limit is None:
        return
    across = scale.place(limit)
    if scale.low <= limit <= scale.high:
        yield rectangle((across, 1) if one.more_is_worse else (0, across), (rail - _HALF, rail + _HALF), "beyond")
        yield line((across, rail - _HALF), (across, rail + _HALF), "limit")


def _interval(one: ChangeInterval, scale: AxisScale, rail: float) -> Iterator[str]:
    """The interval with its ends, and the change in it; an arrow instead of an end that is beyond the axis."""
    low, high, middle = finite(one.low), finite(one.high), finite(one.change)
    if low is not None and high is not None:
        ends = scale.place(low), scale.place(high)
        yield line((ends[0], rail), (ends[1], rail), f"span {one.tone.value}")
        for end, across in zip((low, high), ends, strict=True):
            if scale.low <= end <= scale.high:
                yield line((across, rail - 5), (across, rail + 5), f"span {one.tone.value}")
    for value in (low, middle, high):
        if value is not None and not scale.low <= value <= scale.high:
            yield _arrow(value > 0, rail, one.tone.value)
    if middle is not None and scale.low <= middle <= scale.high:
        yield point(scale.place(middle), rail, one.tone)


def _arrow(right: bool, rail: float, tone: str) -> str:
    path = "M-8-5L0 0L-8 5" if right else "M8-5L0 0L8 5"
    return f'<svg x="{"100%" if right else 0}" y="{rail:.0f}" class="arrow {tone}"><path d="{path}"/></svg>'
