"""The samples behind a verdict: a dot each, those of two sides on one axis, with their medians."""

from __future__ import annotations

from itertools import zip_longest

from orchgate.charts.numbers import NONE, amount, change, finite, known, scale_of, ticks
from orchgate.charts.shapes import ChartTable
from orchgate.charts.svg import Frame, below, dots, framed, line, lines, stretched, text, with_rest
from orchgate.lib.text import clip, counted, median
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchgate.charts.numbers import AxisScale
    from orchgate.charts.shapes import Distribution

MOST = 128  # dots a side
_ROW = 66  # pixels a side
_MIDDLE = 42  # where in its row its dots are
_REACH = 15  # pixels that dots go up and down
_WIDTH = 300  # pixels of the narrowest drawing, for which dots are laid beside each other
_DOT = 6  # pixels across


def svg(chart: Distribution) -> str:
    """The chart as an SVG element for an HTML page that has `svg.CSS`."""
    frame = Frame(chart.id, "distribution", chart.title, 2 * _ROW)
    return framed(frame, _description(chart), _body(chart))


def table(chart: Distribution) -> ChartTable:
    """What it shows."""
    sides = (tuple(amount(chart.unit, value) for value in side) for side in (chart.base, chart.head))
    rows = tuple((str(nth), *pair) for nth, pair in enumerate(zip_longest(*sides, fillvalue=NONE), 1))
    return ChartTable(("sample", *chart.names), rows, ("",) * len(rows))


def _sides(chart: Distribution) -> Iterator[tuple[str, list[float]]]:
    for name, side in zip(chart.names, (chart.base, chart.head), strict=True):
        yield name, known(side)


def _description(chart: Distribution) -> str:
    parts = []
    for name, values in _sides(chart):
        if not values:
            parts.append(f"{name}: no samples")
            continue
        low, middle, high = (amount(chart.unit, value) for value in (min(values), median(values), max(values)))
        parts.append(f"{name}: {counted(len(values), 'sample')}, median {middle}, from {low} to {high}")
    return "; ".join([*parts, *_moved(chart)]) + "."


def _moved(chart: Distribution) -> Iterator[str]:
    base, head = (values for _, values in _sides(chart))
    if base and head and median(base) > 0:
        yield f"the medians differ by {change(median(head) / median(base) - 1)}"


def _body(chart: Distribution) -> Iterator[str]:
    sides = list(_sides(chart))
    scale = scale_of([value for _, values in sides for value in values])
    height = 2 * _ROW
    if any(values for _, values in sides):
        for one in ticks(scale, chart.unit, most=6):
            across = scale.place(one.value)
            yield line((across, 0), (across, height), "grid")
            yield below(across, height + 16, one.label)
    yield from _pairs(chart, scale)
    for nth, (name, values) in enumerate(sides):
        yield from _side(chart, clip(name, 24), values, scale, _ROW * nth)


def _side(chart: Distribution, name: str, values: Sequence[float], scale: AxisScale, top: float) -> Iterator[str]:
    yield text(0, top + 14, name, "strong")
    if not values:
        yield text(1, top + 14, "no samples", "muted", "end")
        return
    shown = thinned(sorted(values))
    middle = median(values)
    first = f"median {amount(chart.unit, middle)}"
    rest = counted(len(values), "sample") + (f", {len(shown)} drawn" if len(shown) < len(values) else "")
    yield with_rest(1, top + 14, first, rest)
    places = [scale.place(value) for value in shown]
    drawn = [(place, top + _MIDDLE + off) for place, off in zip(places, offsets(places), strict=True)]
    yield stretched(2 * _ROW, dots(drawn, "dots" if top else "dots muted"))
    across = scale.place(middle)
    yield line((across, top + _MIDDLE - _REACH - 4), (across, top + _MIDDLE + _REACH + 4), "median")


def thinned(ordered: Sequence[float]) -> list[float]:
    """At most `MOST` of the ordered values, the lowest and the highest among them."""
    if len(ordered) <= MOST:
        return list(ordered)
    return [ordered[(len(ordered) - 1) * nth // (MOST - 1)] for nth in range(MOST)]


def offsets(places: Sequence[float]) -> list[float]:
    """How many pixels each dot is moved up or down, so that those at the same place stay visible; places ascend."""
    found: list[float] = []
    start = 0
    for nth, place in enumerate(places):
        if (place - places[start]) * _WIDTH >= _DOT:
            start = nth
        level = nth - start
        found.append((level + 1) // 2 * (1 if level % 2 else -1))
    step = min(_DOT, _REACH / max([1.0, *map(abs, found)]))
    return [off * step for off in found]


def _pairs(chart: Distribution, scale: AxisScale) -> Iterator[str]:
    """What was measured one right after the other is connected."""
    if not chart.paired or max(len(chart.base), len(chart.head)) > MOST:
        return
    sides = zip(map(finite, chart.base), map(finite, chart.head), strict=False)
    pairs = [
        [(scale.place(base), float(_MIDDLE)), (scale.place(head), float(_ROW + _MIDDLE))]
        for base, head in sides
        if base is not None and head is not None
    ]
    yield stretched(2 * _ROW, lines(pairs, "pair"))
