"""What standard output can show: how wide it is, which characters it has, and bars made of them."""

from __future__ import annotations

import os
import sys
from math import isfinite

from orchgate.lib.text import aligned
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from typing import TextIO


class Glyphs(NamedTuple):
    """What bars are made of: `levels` from low to high; an interval with its zero and its limit, and what is beyond."""

    full: str
    empty: str
    levels: str
    zero: str
    limit: str
    span: str
    middle: str
    beyond: tuple[str, str]


BLOCKS = Glyphs("█", "░", "▁▂▃▄▅▆▇█", "│", "┊", "─", "●", ("◂", "▸"))
ASCII = Glyphs("#", ".", "_.-=+*%#", "|", ":", "-", "o", ("<", ">"))


def glyphs(encoding: str | None) -> Glyphs:
    """Those that an encoding has; ASCII where it is not known."""
    try:
        "".join(map("".join, BLOCKS)).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return BLOCKS


def bar(share: float, cells: int, of: Glyphs) -> str:
    """So much of `cells` full, from 0 to 1; what is neither nothing nor all does not look like it."""
    share = min(1.0, max(0.0, share)) if isfinite(share) else 0.0
    full = round(share * cells)
    if cells > 1 and 0 < share < 1:
        full = min(max(full, 1), cells - 1)
    return of.full * full + of.empty * (cells - full)


def sparkline(values: Sequence[float | None], of: Glyphs) -> str:
    """A cell for each value, the lowest the lowest; equal ones in the middle, a space for none."""
    known = [value for value in values if value is not None and isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=0.0)
    cells = []
    for value in values:
        if value is None or not isfinite(value):
            cells.append(" ")
        else:
            # Halves: the difference of two huge numbers is none.
            share = (value / 2 - low / 2) / (high / 2 - low / 2) if high / 2 > low / 2 else 0.5
            cells.append(of.levels[min(len(of.levels) - 1, int(share * len(of.levels)))])
    return "".join(cells)


def stretch(start: float, end: float, whole: float, cells: int, of: Glyphs) -> str:
    """From one moment to another of `whole`, all in one unit: at least one cell, where it begins."""
    if not (isfinite(start) and isfinite(end) and whole > 0) or cells < 1:
        return ""
    begin, until = (min(1.0, max(0.0, moment / whole)) for moment in (start, end))
    first = min(cells - 1, int(cells * begin))
    return " " * first + of.full * max(1, round(cells * until) - first)


class Interval(NamedTuple):
    """A change with its interval and its limit; None where one is not known."""

    middle: float | None
    low: float | None = None
    high: float | None = None
    limit: float | None = None


_FAR = 10  # times the limit in the middle


def reach(intervals: Iterable[Interval]) -> float:
    """How far an axis for some intervals goes to both sides: they and their limits are on it.

    What is far beyond the rest is not: beside it, nothing could be told apart.
    """
    ends = [
        max((abs(value) for value in one[:3] if value is not None and isfinite(value)), default=0.0)
        for one in intervals
    ]
    limits = sorted(abs(one.limit) for one in intervals if one.limit is not None and isfinite(one.limit))
    limits = [limit for limit in limits if limit <= _FAR * limits[len(limits) // 2]]
    usual = sorted(ends)[len(ends) // 2] if ends else 0.0
    return max([min(max(ends, default=0.0), 4 * usual + 2 * max(limits, default=0.0)), *(1.25 * one for one in limits)])


def interval(one: Interval, most: float, cells: int, of: Glyphs) -> str:
    """An interval on an axis from `-most` to `most` with zero in the middle; an arrow for what is beyond."""
    if cells < 3 or one.middle is None or not isfinite(one.middle):
        return ""
    half = (cells - 1) // 2
    drawn = [" "] * (2 * half + 1)

    def put(value: float | None, glyph: str) -> None:
        if value is not None and abs(value) <= most:
            drawn[half + round(half * value / most if most else 0.0)] = glyph

    if one.low is not None and one.high is not None:
        ends = [round(half * max(-1.0, min(1.0, end / most))) if most else 0 for end in (one.low, one.high)]
        drawn[half + ends[0] : half + ends[1] + 1] = of.span * (ends[1] - ends[0] + 1)
    put(0.0, of.zero)
    put(one.limit, of.limit)
    put(one.middle, of.middle)
    for value in (one.low, one.middle, one.high):
        if value is not None and abs(value) > most:
            drawn[-1 if value > 0 else 0] = of.beyond[value > 0]
    return "".join(drawn)


def narrowed(table: list[list[str]], width: int | None, least_first: Sequence[str], gap: int) -> list[list[str]]:
    """A table without the columns that there is no room for, by their titles in its first row, in that order."""
    gone: set[str] = set()
    for name in ("", *least_first):
        gone.add(name)
        kept = [[cell for title, cell in zip(table[0], row, strict=True) if title not in gone] for row in table]
        if width is None or sum(max(map(len, column)) + gap for column in zip(*kept, strict=True)) + 2 <= width:
            break
    return kept


def fitted(
    rows: Sequence[Sequence[str]], width: int | None, shrinking: Mapping[int, int], gap: int = 2
) -> list[list[str]]:
    """Rows whose columns `shrinking`, the widest first, are cut until a line has at most `width` characters.

    None of them gets narrower than what it is mapped to; without a width nothing is cut.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    while width is not None and sum(widths) + gap * (len(widths) - 1) > width:
        wide = [place for place, least in shrinking.items() if place < len(widths) and widths[place] > least]
        if not wide:
            break
        widths[max(wide, key=lambda place: widths[place])] -= 1
    return [[_cut(cell, limit) for cell, limit in zip(row, widths, strict=True)] for row in rows]


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + ("…" if limit > 1 else "")


# What standard output can show: how wide it is, and which characters it has


_GLUE = "\x00"  # in place of a space that is not broken at; what is printed holds none
NARROWEST = 20  # columns; what calls itself narrower does not know


class Screen(NamedTuple):
    """`width` is None where lines are not cut: in a pipe or a file."""

    width: int | None
    glyphs: Glyphs


PLAIN = Screen(None, BLOCKS)


def rows(table: Sequence[Sequence[str]], right: Collection[int] = ()) -> Iterator[str]:
    """A table line by line, indented by two, its columns aligned: those of `right` to that side."""
    return ("  " + "  ".join(cells).rstrip() for cells in aligned(table, right))


def here() -> Screen:
    """Standard output as it is now: a window may have changed its size since."""
    width = _columns(sys.stdout) if sys.stdout.isatty() else 0
    return Screen(width if width >= NARROWEST else None, glyphs("ascii" if _is_ascii() else sys.stdout.encoding))


def _is_ascii() -> bool:
    """Whether somebody wants no other characters: Python itself takes this locale for one of UTF-8."""
    said = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_CTYPE", "LANG"))), "")
    return said in ("C", "POSIX")


def _columns(stream: TextIO) -> int:
    """As wide as the terminal says; what the environment says where it says nothing."""
    try:
        own = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):  # no descriptor, or not of a terminal
        own = 0
    said = os.environ.get("COLUMNS", "")
    return own or (int(said) if said.isdecimal() and len(said) < 5 else 0)


def wrapped(text: str, width: int | None, indent: int) -> list[str]:
    """A line as it is, or broken between words where the terminal would break it anywhere; then so far indented.

    A command in backquotes stays whole, to be copied, unless it is too long for a line of its own.
    """
    if width is None or len(text) <= width:
        return [text]
    import textwrap

    whole = "`".join(part.replace(" ", _GLUE) if nth % 2 else part for nth, part in enumerate(text.split("`")))
    later = " " * indent
    lines = textwrap.wrap(whole, width, subsequent_indent=later, break_long_words=False, break_on_hyphens=False)
    return [line.replace(_GLUE, " ") for line in lines]
