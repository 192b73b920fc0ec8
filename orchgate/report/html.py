"""HTML from small functions. Text becomes markup here and in `charts.svg`, by one escape, and nowhere else.

A plain `str` is text, whoever wrote it; only `Html` is markup, and only these functions and the charts make it.
"""

from __future__ import annotations

from orchgate.charts.svg import escape
from orchgate.lib.lazy import lazy
from orchgate.lib.text import clip
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST = 500  # characters of one text; nobody reads more, and a hostile name may have millions
_EMPTY = frozenset({"meta", "br", "hr"})
# Tags whose end HTML lets us leave out: it is understood by what follows.
_OPEN = frozenset({"td", "th", "tr", "li", "dt", "dd"})
_PLAIN = lazy(r"[A-Za-z0-9#_-]+")  # values that HTML takes without quotes


class Html(str):
    """Markup. Everything of a user's world in it has been escaped."""

    __slots__ = ()


def text(value: str, longest: int = LONGEST) -> Html:
    """A text as it is to be read: control characters and those that reorder others are written out."""
    return Html(escape(clip(value, longest)))


def tag(name: str, *children: str, **attributes: str | int | bool | None) -> Html:
    """An element. Underscores of attributes are hyphens, one at the end is dropped; True has no value, None is none."""
    given = "".join(_attribute(key, value) for key, value in attributes.items())
    end = "" if name in _EMPTY or name in _OPEN else f"</{name}>"
    return Html(f"<{name}{given}>{joined(children)}{end}")


def joined(children: Iterable[str], between: str = "") -> Html:
    return Html(between.join(one if isinstance(one, Html) else text(one) for one in children))


def _attribute(name: str, value: str | int | bool | None) -> str:
    if value is None or value is False:
        return ""
    called = name.rstrip("_").replace("_", "-")
    if value is True:
        return f" {called}"
    known = text(str(value))
    return f" {called}={known}" if _PLAIN.fullmatch(known) else f' {called}="{known}"'


def link(target: str, *children: str) -> Html:
    """A link to another place of the page; "" leads nowhere."""
    return tag("a", *children, href=f"#{target}") if target else joined(children)


def table(
    caption: str, header: Iterable[str], rows: Iterable[Html], *, right: int | None = None, tall: bool = False
) -> Html:
    """A table in a box that scrolls by itself, with the keyboard too. Columns from `right` on, of 1, are numbers."""
    heads = (tag("th", name, scope="col") for name in header)
    whole = tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", *heads)),
        tag("tbody", *rows),
        class_=f"numbers-{right}" if right else None,
    )
    name = "scroll tall" if tall else "scroll"
    return tag("div", whole, class_=name, role="region", tabindex=0, aria_label=caption)


def row(first: str, *cells: str, **attributes: str | None) -> Html:
    """A row whose first cell is its heading."""
    return tag("tr", tag("th", first, scope="row"), *(tag("td", cell) for cell in cells), **attributes)


def badge(tone: str, words: str) -> Html:
    """A short state: its color repeats what the words say."""
    return tag("span", words, class_=f"badge {tone}")


def code(value: str) -> Html:
    return tag("code", value)
