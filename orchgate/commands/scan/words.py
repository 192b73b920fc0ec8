"""What a scan says to people: a line for each unit, how far it is, and what all of them add up to."""

from __future__ import annotations

from orchgate.commands.shared import screen
from orchgate.lib.text import clip, counted, short_seconds
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Verdict
from orchgate.outputs._escape import escape
from orchgate.scan.values import COMMIT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from orchgate.commands.shared.screen import Screen
    from orchgate.scan.summary import ScanSummary
    from orchgate.scan.values import UnitResult

SHORT = 12  # digits of a commit
MOST_RULES = 15
_PLURALS = {"commit": "commits", "repository": "repositories"}
# How many units have a verdict, in words.
_SAID = {
    Verdict.PASS: "passed",
    Verdict.WARN: "passed with warnings",
    Verdict.FAIL: "refused",
    Verdict.INCONCLUSIVE: "not decided",
    Verdict.BROKEN: "could not be judged",
}


def name_of(unit: str, kind: str) -> str:
    return unit[:SHORT] if kind == COMMIT else escape(unit)


def unit_line(one: UnitResult, width: int | None) -> str:
    """`fail  1a2b3c4d5e6f  EVD001 x 12, DIF001  0.3 s`, as wide as the terminal."""
    found = ", ".join(rule if count == 1 else f"{rule} x {count}" for rule, count in one.rules.items())
    told = "; ".join(filter(None, (escape(one.error), found)))
    line = f"{one.verdict:<6}  {name_of(one.unit, one.kind)}  {short_seconds(one.seconds)}  {told}".rstrip()
    return clip(line, width) if width else line


def progress(summary: ScanSummary, total: int) -> str:
    return f"{summary.units:,} of {total:,}: {_verdicts(summary)}"


def _verdicts(summary: ScanSummary) -> str:
    known = [(said, summary.verdicts.get(one.value, 0)) for one, said in _SAID.items()]
    return ", ".join(f"{count:,} {said}" for said, count in known if count)


def summary_lines(summary: ScanSummary, noun: str, seconds: float, here: Screen) -> Iterator[str]:
    """What all units add up to; `seconds` are those that somebody waited."""
    units = counted(summary.units, noun, _PLURALS[noun])
    if not summary.units:
        yield f"{units}: nothing was judged"
        return
    yield from screen.wrapped(f"{units} in {short_seconds(seconds)}: {_verdicts(summary)}", here.width, 2)
    if rules := summary.rules():
        yield from _rules(rules, noun)
    if worst := summary.worst():
        yield "worst:"
        table = [
            [one["verdict"], name_of(one["unit"], noun), _found(one["error_count"], one["finding_count"])]
            for one in worst
        ]
        yield from screen.rows(screen.fitted(table, here.width and here.width - 2, {1: 12}))
    if summary.problems:
        yield "not judged, or not as a whole:"
        for unit, why in summary.problems:
            yield from screen.wrapped(f"  {name_of(unit, noun)}: {escape(why)}", here.width, 4)
        if summary.unjudged > len(summary.problems):
            yield f"  and {summary.unjudged - len(summary.problems):,} more"


def _rules(rules: Sequence[Mapping[str, Any]], noun: str) -> Iterator[str]:
    table = [["rule", _PLURALS[noun], "share", "refused", "findings"]]
    table += [
        [
            one["rule"],
            f"{one['unit_count']:,}",
            f"{one['unit_rate']:.0%}",
            f"{one['refused_unit_count']:,}",
            f"{one['finding_count']:,}",
        ]
        for one in rules[:MOST_RULES]
    ]
    yield from screen.rows(table, range(1, 5))
    if len(rules) > MOST_RULES:
        yield f"  and {counted(len(rules) - MOST_RULES, 'more rule')}"


def _found(errors: int, findings: int) -> str:
    others = findings - errors
    both = (counted(errors, "error") if errors else "", counted(others, "warning or note", "warnings and notes"))
    return ", ".join(filter(None, both if others else both[:1]))
