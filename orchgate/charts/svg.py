"""The one place where text becomes XML: escaped, wrapped into elements, and a chart's frame.

A chart has no view box: across it is placed in percent of its own width and down it in pixels, so that words and points
have the same size on a telephone and on a wide screen. Only lines with many corners are in a box that is stretched.
"""

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
