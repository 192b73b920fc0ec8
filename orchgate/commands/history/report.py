"""What a history shows, as people read it."""

from __future__ import annotations

import sys

from orchgate.commands.shared import screen
from orchgate.errors import quoted
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.outputs._escape import escape
from orchgate.trends import told
from orchgate.verdict import baseline

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchgate.commands.shared.screen import Glyphs
    from orchgate.trends.answers import Answers, TrendContext
    from orchgate.trends.changes import TrendChange

MOST = 10  # of a section


def write(answers: Answers, *, drawn: bool = False) -> None:
    """Prints sections of what there is to say, and nothing where there is nothing.

    `drawn`: with the runs around each change.
    """
    seen = screen.here()
    for line in lines(answers, seen.glyphs if drawn else None):
        indent = len(line) - len(line.lstrip()) + 2
        sys.stdout.writelines(f"{part}\n" for part in screen.wrapped(escape(line), seen.width, indent))


def notes(known: TrendContext, answers: Answers) -> Iterator[str]:
    """What could not be looked at, or was not."""
    if answers.left_out:
        parts = counted(answers.left_out, "stage or benchmark", "stages and benchmarks")
        yield f"changes were not looked for in {parts}, those with the fewest runs"
    if known.problem:
        yield f"{baseline.PATH}: {known.problem.message}; how far runs are from it is not told"


def lines(answers: Answers, glyphs: Glyphs | None = None) -> Iterator[str]:
    name = told.Names(answers)
    where = f" on {answers.line.name}" if answers.line else ""
    changes = [[*told.change_lines(one, name), *_drawn(one, glyphs)] for one in answers.changes]
    yield from _section(f"changes{where}:", changes)
    if command := bisection(answers):
        yield f"  hint: {command}"
    yield from _section(
        "against the baseline:", [told.drift_lines(one, name, answers.described) for one in answers.drifts]
    )
    yield from _section("flaky stages (95 % interval):", [told.flaky_lines(one, name) for one in answers.flaky])
    yield from _section(
        "classes of machines, by runs of the same commits:", [told.ratio_lines(one, name) for one in answers.classes]
    )


def _drawn(one: TrendChange, glyphs: Glyphs | None) -> Iterator[str]:
    """The runs before and after a change, a cell each."""
    before, after = one.around
    if glyphs and before and after:
        cells = screen.sparkline([*before, *after], glyphs)
        yield f"{cells[: len(before)]}{glyphs.zero}{cells[len(before) :]}  {counted(len(cells), 'run')} around it"


def _section(heading: str, said: Sequence[Sequence[str]]) -> Iterator[str]:
    if said:
        yield heading
    for first, *others in said[:MOST]:
        yield f"  {first}"
        yield from (f"    {line}" for line in others)
    if more := said[MOST:]:
        yield f"  and {len(more):,} more, with --output-format json"


def bisection(answers: Answers) -> str:
    """The command that finds the commit of the newest change for the worse; "" where one is known, or none is here."""
    for one in sorted(answers.changes, key=lambda change: -change.since):
        old, new, number = one.range
        worse = one.by > 0 and not (one.key.benchmark or one.is_accepted)
        if worse and number and number > 1 and old and new:
            return f"orchgate bisect --good {old[:12]} --bad {new[:12]} {quoted(one.key.pipeline)}"
    return ""
