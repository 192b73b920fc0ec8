"""The one place where text becomes XML: escaped, wrapped into elements, and a chart's frame; and how that looks."""

from __future__ import annotations

import re

from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orchgate.charts.shapes import State, Tone


# XML 1.0 has no characters for these, not even escaped; what reorders or hides text goes the same way.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\uffff"
    "\U000e0000-\U000e007f]"
)
_SPECIAL = re.compile("[&<>\"']")
_WRITTEN = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}
_NOT_OF_IDS = re.compile("[^A-Za-z0-9-]")
_EDGE = 0.03  # of the width, where a label does not fit around its place
ACROSS = 1000  # units of a stretched box
# A point's shape says how it ended without its color.
_SHAPES = {
    "failed": "M-4-4L4 4M4-4L-4 4",
    "bad": "M-4-4L4 4M4-4L-4 4",
    "cancelled": "M-4-4H4V4H-4Z",
    "warning": "M0-5L5 4H-5Z",
    "skipped": "M-4 0H4",
    "running": "M-3-4L4 0L-3 4Z",
    "unknown": "M0-5L5 0L0 5L-5 0Z",
}


def escape(text: str) -> str:
    r"""Text for an element or an attribute in quotes; characters without a place in XML are written out: `\x1b`."""
    if not text.isprintable():
        text = _UNSAFE.sub(lambda match: _written(match[0]), text)
    return _SPECIAL.sub(lambda match: _WRITTEN[match[0]], text)


def _written(character: str) -> str:
    code = ord(character)
    if character in "\t\r\n":
        return " "
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def identifier(text: str) -> str:
    """A text as an XML id: no two different texts become the same."""
    return "c-" + _NOT_OF_IDS.sub(lambda match: f"_{ord(match[0]):x}_", text)


class Frame(NamedTuple):
    """Around a chart. `kind` is its class, `height` that of the drawing in pixels, without what is around it."""

    id: str
    kind: str
    title: str
    height: int


def framed(frame: Frame, description: str, body: Iterable[str]) -> str:
    """A whole chart, `body` being XML; its title and description are for screen readers and are not drawn.

    An image has no parts for a screen reader: a chart with links in it is a group, or they could not be reached.
    """
    own, drawn = identifier(frame.id), "".join(body)
    role = "group" if "<a href=" in drawn else "img"
    return (
        f'<svg class="chart {frame.kind}" height="{frame.height}" role="{role}"'
        f' aria-labelledby="{own}-t {own}-d"><title id="{own}-t">{escape(frame.title)}</title>'
        f'<desc id="{own}-d">{escape(description)}</desc>{drawn}</svg>'
    )


def number(value: float) -> str:
    """Pixels, to a tenth."""
    return f"{value:.1f}".removesuffix(".0").replace("-0.", "-.") if value else "0"


def percent(fraction: float) -> str:
    """A place across, to a thousandth of the width."""
    return number(100 * fraction) + "%"


def text(across: float, down: float, content: str, kind: str = "", anchor: str = "") -> str:
    """A line of text; `anchor` is "middle" or "end" where it does not begin at its place."""
    classes = " ".join(filter(None, (kind, anchor)))
    chosen = f' class="{classes}"' if classes else ""
    return f'<text x="{percent(across)}" y="{number(down)}"{chosen}>{escape(content)}</text>' if content else ""


def with_rest(across: float, down: float, first: str, rest: str) -> str:
    """A line that ends at its place; the rest of it only where there is room."""
    more = f'<tspan class="wide">, {escape(rest)}</tspan>' if rest else ""
    return f'<text x="{percent(across)}" y="{number(down)}" class="muted end">{escape(first)}{more}</text>'


def below(across: float, down: float, label: str) -> str:
    """A label of an axis across: within the drawing at both ends."""
    return text(across, down, label, "muted", "" if across < _EDGE else "end" if across > 1 - _EDGE else "middle")


def line(start: tuple[float, float], end: tuple[float, float], kind: str) -> str:
    (x1, y1), (x2, y2) = start, end
    return f'<line x1="{percent(x1)}" y1="{number(y1)}" x2="{percent(x2)}" y2="{number(y2)}" class="{kind}"/>'


def rectangle(across: tuple[float, float], down: tuple[float, float], kind: str) -> str:
    """From one place across to another, and from one down to another."""
    (left, right), (top, bottom) = across, down
    return (
        f'<rect x="{percent(left)}" y="{number(top)}" width="{percent(max(0.0, right - left))}"'
        f' height="{number(max(0.0, bottom - top))}" class="{kind}"/>'
    )


def point(across: float, down: float, state: State | Tone) -> str:
    """A dot, or what its state looks like; what succeeded is the most frequent and has no class."""
    kind = state.value
    if kind in _SHAPES:
        place = f'x="{percent(across)}" y="{number(down)}"'
        return f'<svg {place} class="{kind}"><path d="{_SHAPES[kind]}"/></svg>'
    chosen = "" if kind == "succeeded" else f' class="{kind}"'
    return f'<circle cx="{percent(across)}" cy="{number(down)}"{chosen}/>'


class PathData(NamedTuple):
    """What is drawn in a stretched box: its class, and where it goes."""

    kind: str
    steps: str


def stretched(height: float, *paths: PathData) -> str:
    """A box as large as the chart is, `height` being its own, with paths in thousandths of its width; "" for none.

    Places are whole thousandths and pixels, each said from the one before: that is a third of the bytes.
    """
    drawn = "".join(f'<path class="{path.kind}" d="{path.steps}"/>' for path in paths if path.steps)
    box = f'viewBox="0 0 {ACROSS} {number(height)}" preserveAspectRatio="none"'
    return f"<svg {box}>{drawn}</svg>" if drawn else ""


def lines(places: Iterable[Sequence[tuple[float, float]]], kind: str = "line") -> PathData:
    """Lines through places (fraction across, pixels down)."""
    steps = [_steps(line_, "l") for line_ in places]
    return PathData(kind, "".join(steps))


def dots(places: Sequence[tuple[float, float]], kind: str = "dots") -> PathData:
    """A dot at each place: lines of no length with round ends."""
    return PathData(kind, _steps(places, "m", "h0"))


def _steps(places: Sequence[tuple[float, float]], step: str, then: str = "") -> str:
    found = [f"{'M' if not nth else step}{x} {y}{then}" for nth, (x, y) in enumerate(_relative(places))]
    return "".join(found).replace(" -", "-")


def _relative(places: Iterable[tuple[float, float]]) -> Iterator[tuple[int, int]]:
    before = (0, 0)
    for across, down in places:
        at = round(ACROSS * across), round(down)
        yield at[0] - before[0], at[1] - before[1]
        before = at


def linked(address: str, title: str, body: str) -> str:
    """Something with a tooltip; a link where there is an address, of a place on the page or of another page."""
    named = f"<title>{escape(title)}</title>{body}"
    return f'<a href="{escape(address)}">{named}</a>' if is_address(address) else f"<g>{named}</g>"


def is_address(address: str) -> bool:
    """Whether it can be followed; anything else, a script among them, is no link."""
    return address.startswith(("#", "https://", "http://"))


# The style sheet of all charts: once on a page, in a `<style>`. A chart is as wide as the `figure` around it.
#
# Blue and orange are told apart by every kind of color vision, and shapes and words say the same. A test holds the
# colors to contrasts of 4.5 for text and 3 for shapes.


LIGHT = {
    "paper": "#ffffff",
    "ink": "#1f2328",
    "muted": "#59636e",
    "grid": "#dfe3e8",
    "rail": "#eef1f4",
    "data": "#0b62b8",
    "bad": "#c23a00",
    "warning": "#8f5902",
    "band": "#0a7f6f26",
    "center": "#0a7f6f",
    "beyond": "#c23a0022",
    "focus": "#8250df",
    "beam": "#59636e40",
}
DARK = {
    "paper": "#0d1117",
    "ink": "#e6edf3",
    "muted": "#9aa4af",
    "grid": "#2a313b",
    "rail": "#1c222b",
    "data": "#5cb0ff",
    "bad": "#ff8f5e",
    "warning": "#e3b341",
    "band": "#3fc9b033",
    "center": "#3fc9b0",
    "beyond": "#ff8f5e2e",
    "focus": "#c9a6ff",
    "beam": "#9aa4af55",
}


def _variables(colors: dict[str, str]) -> str:
    return "; ".join(f"--chart-{name}: {color}" for name, color in colors.items())


_RULES = """
.chart { display: block; box-sizing: content-box; overflow: visible; fill: var(--chart-ink);
  font: 12px/1.3 system-ui, sans-serif; font-variant-numeric: tabular-nums;
  print-color-adjust: exact; -webkit-print-color-adjust: exact; break-inside: avoid }
.chart.trend { width: calc(100% - 140px); padding: 26px 76px 26px 64px }
.chart.undated { padding-bottom: 8px }
.chart.strips { position: absolute; left: 64px; top: 0; width: calc(100% - 140px); height: 100%; overflow: hidden }
.chart.strips path { stroke: transparent; pointer-events: stroke }
.chart.strips a:hover path { stroke: var(--chart-beam) }
.chart.strips a:focus-visible { outline: 0 }
.chart.strips a:focus-visible path { stroke: var(--chart-focus); opacity: .6 }
.chart.waterfall, .chart.intervals, .chart.distribution { width: calc(100% - 16px); padding: 4px 8px 38px }
.chart text { paint-order: stroke; stroke: var(--chart-paper); stroke-width: 3px; stroke-linejoin: round }
.chart svg { overflow: visible }
.chart text.muted, .chart g.muted { fill: var(--chart-muted) }
.chart text.strong { font-weight: 600 }
.chart text.of-band { fill: var(--chart-center) }
.chart text.state { font-weight: 600 }
.chart text.mark { fill: var(--chart-muted); white-space: pre }
.chart .middle { text-anchor: middle }
.chart .end { text-anchor: end }
.chart .narrow { display: none }
.chart .grid { stroke: var(--chart-grid); shape-rendering: crispEdges }
.chart .zero { stroke: var(--chart-muted); shape-rendering: crispEdges }
.chart path.grid, .chart path.zero { vector-effect: non-scaling-stroke }
.chart .rail { stroke: var(--chart-rail); stroke-width: 12 }
.chart .band { fill: var(--chart-band) }
.chart .center { stroke: var(--chart-center); stroke-dasharray: 6 4; stroke-width: 1.5 }
.chart line.mark { stroke: var(--chart-muted); stroke-dasharray: 2 3 }
.chart .beyond { fill: var(--chart-beyond) }
.chart .limit { stroke: var(--chart-bad); stroke-width: 2 }
.chart .median { stroke: var(--chart-ink); stroke-width: 2 }
.chart .pair { stroke: var(--chart-muted); opacity: .25; vector-effect: non-scaling-stroke }
.chart.distribution path.dots { stroke-width: 6 }
.chart .wait { stroke: var(--chart-muted); stroke-width: 12; stroke-dasharray: 1.5 2.5 }
.chart path.line { fill: none; stroke: var(--chart-data); stroke-width: 1.5; opacity: .45; stroke-linejoin: round;
  vector-effect: non-scaling-stroke }
.chart path.dots { fill: none; stroke: var(--chart-data); stroke-width: 7; stroke-linecap: round;
  vector-effect: non-scaling-stroke }
.chart path.muted { stroke: var(--chart-muted) }
.chart path.bars { fill: none; stroke: var(--chart-bad); stroke-width: 3; vector-effect: non-scaling-stroke }
.chart circle { r: 3.5px; fill: var(--chart-data); stroke: var(--chart-paper) }
.chart.dense path.dots { stroke-width: 5; opacity: .6 }
.chart.dense path.line { opacity: 1; stroke-width: 2 }
.chart circle.cached { fill: var(--chart-paper); stroke: var(--chart-data); stroke-width: 1.5 }
.chart circle.good { r: 4.5px }
.chart circle.neutral { r: 4.5px; fill: var(--chart-muted) }
.chart .failed path, .chart .bad path { fill: none; stroke: var(--chart-bad); stroke-width: 2.5 }
.chart .cancelled path, .chart .warning path { fill: var(--chart-paper); stroke: var(--chart-warning); stroke-width: 2 }
.chart .skipped path, .chart .unknown path { fill: var(--chart-paper); stroke: var(--chart-muted); stroke-width: 2 }
.chart .running path { fill: var(--chart-data) }
.chart .bar { fill: var(--chart-data) }
.chart .bar.failed { fill: var(--chart-paper); stroke: var(--chart-bad); stroke-width: 1.5 }
.chart .bar.cancelled { fill: var(--chart-paper); stroke: var(--chart-warning); stroke-width: 1.5 }
.chart .bar.cached, .chart .bar.skipped, .chart .bar.unknown { fill: var(--chart-paper); stroke: var(--chart-muted) }
.chart .span { stroke: var(--chart-data); stroke-width: 2.5 }
.chart .span.neutral { stroke: var(--chart-muted) }
.chart .span.bad { stroke: var(--chart-bad) }
.chart .span.warning { stroke: var(--chart-warning) }
.chart text.failed, .chart text.bad { fill: var(--chart-bad) }
.chart text.cancelled, .chart text.warning { fill: var(--chart-warning) }
.chart text.cached, .chart text.running, .chart text.good { fill: var(--chart-data) }
.chart text.skipped, .chart text.unknown, .chart text.neutral { fill: var(--chart-muted) }
.chart .arrow path { fill: none; stroke: var(--chart-data); stroke-width: 2.5 }
.chart .arrow.bad path { stroke: var(--chart-bad) }
.chart .arrow.warning path { stroke: var(--chart-warning) }
.chart .arrow.neutral path { stroke: var(--chart-muted) }
.chart a { cursor: pointer }
.chart a:hover circle { r: 5.5px }
.chart a:focus-visible { outline: 2px solid var(--chart-focus); outline-offset: 2px }
.chart a:focus-visible circle { r: 6px; stroke: var(--chart-focus); stroke-width: 3 }
figure:has(> .chart) { container-type: inline-size }
@media (max-width: 600px) { NARROW }
@container (max-width: 520px) { NARROW }
"""

# Where there is little room: by the figure around a chart, or by the window where there is none.
_NARROW = (
    ".chart .wide { display: none } .chart .narrow { display: inline } .chart.dense path.dots { stroke-width: 3.5 }"
)
CSS = (
    f":root {{ {_variables(LIGHT)} }}\n"
    f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK)} }} }}\n"
    + _RULES.replace("NARROW", _NARROW)
)
