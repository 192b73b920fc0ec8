"""What a history shows, as people read it."""

from __future__ import annotations

import sys

from orchgate.commands.shared import screen
from orchgate.errors import quoted
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.outputs._escape import escape
from orchgate.trends import told
from orchgate.verdict import baseline

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchgate.trends.answers import Answers, Known

MOST = 10  # of a section


def write(answers: Answers) -> None:
    """Prints sections of what there is to say, and nothing where there is nothing."""
    width = screen.here().width
    for line in lines(answers):
        indent = len(line) - len(line.lstrip()) + 2
        sys.stdout.writelines(f"{part}\n" for part in screen.wrapped(escape(line), width, indent))


def notes(known: Known) -> Iterator[str]:
    """What could not be looked at."""
    if known.problem:
        yield f"{baseline.PATH}: {known.problem.message}; how far runs are from it is not told"


def lines(answers: Answers) -> Iterator[str]:
    name = told.Names(answers)
    where = f" on {answers.line.name}" if answers.line else ""
    yield from _section(f"changes{where}:", [told.change_lines(one, name) for one in answers.changes])
    if command := bisection(answers):
        yield f"  hint: {command}"
    yield from _section(
        "against the baseline:", [told.drift_lines(one, name, answers.described) for one in answers.drifts]
    )
    yield from _section("flaky stages (95 % interval):", [told.flaky_lines(one, name) for one in answers.flaky])
    yield from _section(
        "classes of machines, by runs of the same commits:", [told.ratio_lines(one, name) for one in answers.classes]
    )


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
        if number and number > 1 and one.by > 0 and old and new and not one.key.benchmark:
            return f"orchgate bisect --good {old[:12]} --bad {new[:12]} {quoted(one.key.pipeline)}"
    return ""
