"""A metric over runs."""

from __future__ import annotations

import functools
from collections import Counter
from itertools import groupby, pairwise
from typing import TypeVar

from orchgate.charts.numbers import NONE, AxisScale, amount, date, finite, known, scale_of, ticks
from orchgate.charts.shapes import Point, State
from orchgate.charts.svg import (
    ACROSS,
    Frame,
    dots,
    escape,
    framed,
    identifier,
    line,
    lines,
    linked,
    number,
    point,
    rectangle,
    stretched,
    text,
)
from orchgate.lib.text import clip, counted, median
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orchgate.charts.shapes import ChangeMark, Strips, Trend
    from orchgate.charts.svg import PathData


_T = TypeVar("_T")
HEIGHT = 116
MOST = 500  # points that are drawn
_EXTREMES = 130  # stretches of which the extremes are drawn where there are more
_MANY = 40  # points that did not succeed; more are drawn as bars, which are short to write
DENSE = 150  # from so many on the line is not through each of them
_STRETCHES = 50  # that the line of many points has
_HALF = 5  # pixels that a bar reaches up and down
_BAD = (State.FAILED, State.CANCELLED)
_COMPARABLE = (State.SUCCEEDED, State.CACHED)
_ENOUGH = 3  # runs that are an axis
_MARGIN = 0.012  # of the width, before the first point and after the last
_LINE = 15  # pixels from one label to the next
_MARK_LABEL = 24  # characters of a mark's label
_LETTER = 0.015  # of a wide drawing's width that a character takes; of a narrow one twice as much


class _Point(NamedTuple):
    """A point that is drawn, and where: a fraction across and pixels down. `gaps` are those before it."""

    point: Point
    across: float
    down: float
    gaps: int


class _Drawn(NamedTuple):
    """Where all runs are across; all that have a place, those of them that are drawn, and what is said of that."""

    places: Sequence[float]
    placed: Sequence[_Point]
    chosen: Sequence[_Point]
    notes: Sequence[str]


def svg(chart: Trend) -> str:
    """The chart as an SVG element for an HTML page that has `svg.CSS`."""
    scale = _scale(chart)
    places = across(chart.points, by_time=chart.by_time)
    placed = list(_placed(chart, scale, places))
    chosen = thinned(placed)
    notes = list(_notes(scale, chosen, len(placed)))
    body = _body(chart, scale, _Drawn(places, placed, chosen, notes))
    dense = " dense" * (len(chosen) > DENSE)
    kind = "trend" + dense + " undated" * (not chart.dated)
    frame = Frame(chart.id, kind, chart.title, HEIGHT)
    return framed(frame, _description(chart, notes), body)


def _placed(chart: Trend, scale: AxisScale, places: Sequence[float]) -> Iterator[_Point]:
    """A run without a value is a gap in the line; one that ended badly is at the bottom, to be seen."""
    gaps = 0
    for one, across in zip(chart.points, places, strict=True):
        value = finite(one.value)
        gaps += value is None
        if value is not None:
            yield _Point(one, across, _down(scale, value), gaps)
        elif one.state in _BAD:
            yield _Point(one, across, HEIGHT, gaps)


def _scale(chart: Trend) -> AxisScale:
    """From what succeeded: how long runs took that ended early would make the others a flat line."""
    values = known(one.value for one in chart.points if one.state in _COMPARABLE)
    if len(values) < _ENOUGH:
        values = known(one.value for one in chart.points)
    return scale_of([*values, *known(_of_band(chart))])


def _of_band(chart: Trend) -> tuple[float | None, ...]:
    return (chart.band.low, chart.band.center, chart.band.high) if chart.band else ()


def across(points: Sequence[Point], *, by_time: bool = False) -> list[float]:
    """Where each point is across: as the times are apart, else one after the other."""
    times = known(one.at for one in points)
    timed = by_time and len(times) == len(points) and times and times[0] < times[-1]
    values = times if timed else [float(nth) for nth in range(len(points))]
    if len(values) < 2:
        return [0.5] * len(values)
    scale = AxisScale(min(values), max(values))
    return [_MARGIN + (1 - 2 * _MARGIN) * scale.place(value) for value in values]


def _down(scale: AxisScale, value: float) -> float:
    return HEIGHT * (1 - scale.place(value))


def thinned(placed: Sequence[_Point]) -> list[_Point]:
    """All, or of more than `MOST` what stands out: of each stretch its lowest, its highest and one that failed."""
    if len(placed) <= MOST:
        return list(placed)
    chosen: list[_Point] = []
    for stretch in _parts(range(len(placed)), _EXTREMES):
        usual = [at for at in stretch if placed[at].point.state in _COMPARABLE]
        others = [at for at in stretch if placed[at].point.state not in _COMPARABLE]
        ends = (min, max) if usual else ()
        chosen += [
            placed[at] for at in sorted({*(end(usual, key=lambda at: placed[at].down) for end in ends), *others[:1]})
        ]
    return chosen


def _parts(all_: Sequence[_T], number: int) -> Iterator[Sequence[_T]]:
    """Cut into so many stretches of about the same length; none is empty."""
    bounds = [len(all_) * nth // number for nth in range(number + 1)]
    return (all_[start:end] for start, end in pairwise(bounds) if start < end)


def _notes(scale: AxisScale, drawn: Sequence[_Point], values: int) -> Iterator[str]:
    """What has to be known to read the chart, the most important first."""
    if len(drawn) < values:
        yield f"{len(drawn):,} of {values:,} runs drawn"
    if scale.logarithmic:
        yield "logarithmic scale"
    elif scale.low > 0:
        yield "axis not from 0"
    if beyond := sum(not scale.low <= one <= scale.high for one in known(placed.point.value for placed in drawn)):
        yield f"{counted(beyond, 'run')} beyond the axis, at its edge"
    if len(drawn) > DENSE:
        yield f"line: median{', points: lowest, highest, one that failed' * (len(drawn) < values)} of each stretch"
    if len(_not_succeeded(drawn)) > _MANY:
        yield "bars: failed or cancelled"


def _description(chart: Trend, notes: Sequence[str]) -> str:
    values = known(one.value for one in chart.points)
    if not values:
        return f"{counted(len(chart.points), 'run')}, none with a value."
    say = functools.partial(amount, chart.unit)
    ends = f"lowest {say(min(values))}, median {say(median(values))}, highest {say(max(values))}"
    parts = [f"{counted(len(chart.points), 'run')}, oldest first: newest value {say(values[-1])}, {ends}"]
    if gaps := len(chart.points) - len(values):
        parts.append(f"{counted(gaps, 'run')} without a value")
    others = Counter(one.state.value for one in chart.points if one.state is not State.SUCCEEDED)
    parts += [f"{count:,} {state}" for state, count in others.items()]
    if chart.band and known(_of_band(chart)):
        low, center, high = map(say, _of_band(chart))
        parts.append(f"{chart.band.label} {center}, from {low} to {high}")
    return "; ".join([*parts, *notes]) + "."


def _body(chart: Trend, scale: AxisScale, drawn: _Drawn) -> Iterator[str]:
    valued = [placed for placed in drawn.placed if finite(placed.point.value) is not None]
    if valued:
        marks = [(_down(scale, one.value), one) for one in ticks(scale, chart.unit, most=4)]
        grid = [[(0.0, down), (1.0, down)] for down, _ in marks]
        labels = (f'<text x="-8" y="{round(down + 4)}">{one.label}</text>' for down, one in marks)
        yield f'<g class="muted end">{"".join(labels)}</g>'
        yield _caption(drawn.notes)
        yield from _band(chart, scale)
    else:
        grid = [[(0.0, float(HEIGHT)), (1.0, float(HEIGHT))]]
        yield text(0.5, HEIGHT / 2, "no values", "muted", "middle")
    yield from _marks(chart.marks, drawn.places)
    yield stretched(HEIGHT, lines(grid, "grid"), lines(_lines(valued)), *_paths(drawn))
    yield from _others(drawn)
    if chart.dated:
        yield from _dates(chart, drawn.places)
    if valued:
        yield from _labels(chart, scale, valued[-1])


def _caption(notes: Sequence[str]) -> str:
    """The notes above the chart; two of them where there is little room."""
    if not notes:
        return ""
    rest = f'<tspan class="wide">; {escape("; ".join(notes[2:]))}</tspan>' if notes[2:] else ""
    return f'<text x="-56" y="-12" class="muted">{escape("; ".join(notes[:2]))}{rest}</text>'


def _paths(drawn: _Drawn) -> Iterator[PathData]:
    """What succeeded is dots, and what did not stands out; `strips` lead to the runs."""
    yield dots([(one.across, one.down) for one in drawn.chosen if one.point.state is State.SUCCEEDED])
    others = _not_succeeded(drawn.chosen)
    if len(others) > _MANY:
        yield lines([_bar(one) for one in others if one.point.state in _BAD], "bars")
        yield dots([(one.across, one.down) for one in others if one.point.state not in _BAD], "dots muted")


def _others(drawn: _Drawn) -> Iterator[str]:
    others = _not_succeeded(drawn.chosen)
    if len(others) <= _MANY:
        yield from (point(one.across, one.down, one.point.state) for one in others)


def _not_succeeded(placed: Iterable[_Point]) -> list[_Point]:
    return [one for one in placed if one.point.state is not State.SUCCEEDED]


def _bar(one: _Point) -> list[tuple[float, float]]:
    return [(one.across, one.down - _HALF), (one.across, one.down + _HALF)]


def _lines(valued: Sequence[_Point]) -> Iterator[list[tuple[float, float]]]:
    """Lines through what succeeded, broken where a value is missing."""
    succeeded = [placed for placed in valued if placed.point.state is State.SUCCEEDED]
    if len(valued) > DENSE:
        yield _medians(succeeded)
        return
    for _, group in groupby(succeeded, key=lambda placed: placed.gaps):
        places = [(placed.across, placed.down) for placed in group]
        if len(places) > 1:
            yield places


def _medians(placed: Sequence[_Point]) -> list[tuple[float, float]]:
    parts = _parts(placed, _STRETCHES)
    return [(median(one.across for one in part), median(one.down for one in part)) for part in parts]


def _band(chart: Trend, scale: AxisScale) -> Iterator[str]:
    low, center, high = map(finite, _of_band(chart) or (None,) * 3)
    if low is not None and high is not None:
        yield rectangle((0, 1), (_down(scale, max(low, high)), _down(scale, min(low, high))), "band")
    if center is not None:
        yield line((0, _down(scale, center)), (1, _down(scale, center)), "center")


def _marks(marks: Sequence[ChangeMark], places: Sequence[float]) -> Iterator[str]:
    """A line before its point; its label where the one before leaves room."""
    free = narrow = 0.0
    for mark in sorted(marks, key=lambda mark: mark.place):
        if not 0 <= mark.place < len(places):
            continue
        at = places[mark.place]
        across = (at + places[mark.place - 1]) / 2 if mark.place else max(0.0, at - _MARGIN)
        drawn = line((across, 0), (across, HEIGHT), "mark")
        label = clip(mark.label, _MARK_LABEL)
        room = (len(label) + 2) * _LETTER
        late = across + room > 1
        start = across - room if late else across
        if start >= free:
            wide = "" if start >= narrow and 2 * room < 1 else " wide"
            drawn += text(across, 8, f"{label} " if late else f" {label}", f"mark{wide}", "end" * late)
            free, narrow = start + room, narrow if wide else start + 2 * room
        yield linked(mark.link, mark.label, drawn)


def _dates(chart: Trend, places: Sequence[float]) -> Iterator[str]:
    """When the runs were, at the ends and between; their numbers where that is not known."""
    points = chart.points
    times = known((points[0].at, points[-1].at)) if points else []
    form = "%H:%M" if len(times) == 2 and date(times[0])[:10] == date(times[1])[:10] else "%Y-%m-%d"
    before = ""
    for part in range(5 if len(points) > 4 else min(2, len(points))):
        last = 4 if len(points) > 4 else max(1, len(points) - 1)
        at = (len(points) - 1) * part // last
        one = points[at]
        label = date(one.at, form) if len(times) == 2 else f"run {at + 1:,}"
        if label not in (before, NONE):
            day = date(one.at, "%Y-%m-%d ") if form == "%H:%M" and not part else ""
            anchor = ("" if part == 0 else "end" if part == last else "middle") if len(points) > 1 else "middle"
            # The year is said once, as long as it is the same one.
            shown = label[5:] if "-" in label and label[:5] == before[:5] else day + label
            yield text(places[at], HEIGHT + 18, shown, "muted" + " wide" * (part in (1, 3)), anchor)
        before = label


def _labels(chart: Trend, scale: AxisScale, last: _Point) -> Iterator[str]:
    """What the newest value and the baseline are, beside the chart."""
    labels = [(last.down, amount(chart.unit, last.point.value), "strong")]
    if chart.band and (center := finite(chart.band.center)) is not None:
        down = _down(scale, center)
        labels += [(down, clip(chart.band.label, 11), "of-band"), (down, amount(chart.unit, center), "of-band")]
    for (_, content, kind), down in zip(labels, apart([down for down, _, _ in labels]), strict=True):
        yield f'<text x="100%" dx="8" y="{number(down + 4)}" class="{kind}">{escape(content)}</text>'


def apart(places: Sequence[float]) -> list[float]:
    """The places moved so that lines of text do not overlap, as little as that needs, in the same order."""
    order = sorted(range(len(places)), key=lambda at: places[at])
    middle = sum(places) / len(places)
    found = list(places)
    for before, after in pairwise(order):
        found[after] = max(found[after], found[before] + _LINE)
    moved = (sum(found) / len(found)) - middle
    return [place - moved for place in found]


# What leads from trends of the same runs to each of them: a strip a run, from the top of the first to the last's end.
#
# It lies over charts that are below each other, once for all of them: a link for each point of each would be most of a
# page of 500 runs.


_WIDEST = 0.06  # of the width


def strips(chart: Strips) -> str:
    """As large as what it is put into, which has `position: relative`."""
    places = across(chart.points)
    apart = min([_WIDEST, *(after - before for before, after in pairwise(places))])
    own = identifier(chart.id)
    strips = (
        linked(one.link, one.label, f'<path d="M{number(ACROSS * across)} 0V1"/>')
        for one, across in zip(chart.points, places, strict=True)
    )
    return (
        f'<svg class="chart strips" role="group" aria-labelledby="{own}-t" viewBox="0 0 {ACROSS} 1"'
        f' preserveAspectRatio="none"><title id="{own}-t">{escape(chart.title)}</title>'
        f'<g stroke-width="{number(ACROSS * apart)}">{"".join(strips)}</g></svg>'
    )
