"""The table of what was compared: in numbers, and each change drawn around zero with its limit."""

from __future__ import annotations

from orchgate.commands.shared import screen
from orchgate.lib.text import aligned
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.measures import declared
from orchgate.verdict import words
from orchgate.verdict.values import ComparedCounter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchgate.commands.shared.screen import Screen
    from orchgate.verdict.values import Compared, Judgement, Policy

_CAPTIONS = ("", "base", "head", "change", "interval", "")
_INTERVAL = 4  # its column
# Cells of a bar, and whether the interval is also there in numbers: the first that fits is shown.
_LAYOUTS = ((21, True), (15, True), (11, True), (21, False), (15, False), (11, False), (0, False))


def rows(judgement: Judgement, policy: Policy | None = None, seen: Screen = screen.PLAIN) -> Iterator[str]:
    """Nothing where nothing was judged. `policy` has the limits that are drawn."""
    judged: tuple[Compared | ComparedCounter, ...] = (*judgement.metrics, *judgement.counters)
    if not judged:
        return
    table = [_CAPTIONS, *map(words.row, judged)]
    changes = [_change(one, policy) for one in judged]
    lines: list[str] = []
    for cells, in_numbers in _LAYOUTS:
        lines = _lines(table, list(_drawn(changes, cells, seen)), in_numbers=in_numbers)
        if seen.width is None or max(map(len, lines)) <= seen.width:
            break
    yield from lines
    yield from _medians(judgement)


def _lines(table: Sequence[Sequence[str]], drawn: Sequence[str], *, in_numbers: bool) -> list[str]:
    kept = [row if in_numbers else [*row[:_INTERVAL], *row[_INTERVAL + 1 :]] for row in table]
    whole = [[*row[:-1], bar, row[-1]] if any(drawn) else row for row, bar in zip(kept, drawn, strict=True)]
    right = range(1, _INTERVAL + in_numbers)
    return ["  ".join(["", *cells]).rstrip() for cells in aligned(whole, right)]


def _drawn(changes: Sequence[screen.Interval], cells: int, seen: Screen) -> Iterator[str]:
    """The ends of the axis, which is the same for all, and each change."""
    most = screen.reach(changes)
    left, right = (f"{float(f'{end * 100:.2g}'):+,.10g}%" for end in (-most, most))
    yield f"{left}{'0':^{max(1, cells - len(left) - len(right))}}{right}" if cells and most else ""
    yield from (screen.interval(one, most, cells, seen.glyphs) if most else "" for one in changes)


def _change(one: Compared | ComparedCounter, policy: Policy | None) -> screen.Interval:
    if not one.base or one.base_lower_bound is not None or one.head_lower_bound is not None:
        return screen.Interval(None)
    metric = policy.metrics.get(one.name) if policy else None
    limit = None
    if metric and metric.refuses:
        limit = (metric.block + metric.slack / one.base) * (1 if metric.more_is_worse else -1)
    if isinstance(one, ComparedCounter):
        return screen.Interval(one.head / one.base - 1, limit=limit)
    return screen.Interval(one.estimate, one.low, one.high, limit)


def _medians(judgement: Judgement) -> Iterator[str]:
    others = [
        f"{declared.title(one.name)} {words.percent(one.change_of_medians)}"
        for one in judgement.metrics
        if words.disagree(one)
    ]
    if others:
        yield f"  the change is estimated from pairs; the medians of base and head alone moved by: {', '.join(others)}"
