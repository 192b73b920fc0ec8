"""For people: a diagnostic a line, its hint below, and one line that says what was examined."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from orchgate.model import Severity, Verdict
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from typing import TextIO

    from orchgate.model import CheckResult, Diagnostic, Location, Report, Scope, Trouble

WORDS = {
    Verdict.PASS: "passed",
    Verdict.WARN: "passed with warnings",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.BROKEN: "could not check",
    Verdict.FAIL: "refused",
}


_LATER = {Severity.NOTE: 0, Severity.WARNING: 1, Severity.ERROR: 2}


def render(report: Report, stream: TextIO, most: int = 0, said: Collection[str] = ()) -> None:
    """Writes the report; what is suppressed, or beyond `most` of one rule, is only counted.

    Checks that were `said` have been written already, by `findings`.
    """
    stream.writelines(line + "\n" for line in lines(report, most, said))


def lines(report: Report, most: int = 0, said: Collection[str] = ()) -> Iterator[str]:
    """The lines of a report, at most so many findings of a rule and causes of "could not check"; 0 for all."""
    yield from findings(report._replace(checks=tuple(one for one in report.checks if one.id not in said)), most)
    yield _summary(report)


def findings(report: Report, most: int = 0) -> Iterator[str]:
    """The lines of a report without the last, which sums it up."""
    shown, left = _shown(report, most)
    for diagnostic in shown:
        yield from _diagnostic(diagnostic)
    causes = list(_causes(report).items())
    for trouble, checks in causes[: most or None]:
        yield f"{_place(trouble.location)}could not check {', '.join(checks)}: {escape(trouble.message)}"
        yield from _hint(trouble.hint)
    left["could not check"] = len(causes) - most if most else 0
    for what, number in left.items():
        if number > 0:
            yield f"{what}: {number:,} more; --max-per-rule 0 shows all"


def _shown(report: Report, most: int) -> tuple[list[Diagnostic], Counter[str]]:
    """What is printed, and how many of each rule are not: of a rule that is cut the lightest ones go first."""
    heaviest: list[Diagnostic] = []
    seen: Counter[str] = Counter()
    for severity in Severity:
        for diagnostic in report.diagnostics:
            if diagnostic.suppressed is None and diagnostic.severity is severity:
                rule = diagnostic.finding.rule
                seen[rule] += 1
                if not most or seen[rule] <= most:
                    heaviest.append(diagnostic)
    # Errors last: below them stands only the summary, and nobody has to scroll for the reason of a refusal.
    shown = sorted(heaviest, key=lambda diagnostic: _LATER[diagnostic.severity])
    return shown, Counter({rule: number - most for rule, number in sorted(seen.items()) if most})


def _causes(report: Report) -> dict[Trouble, list[str]]:
    """What could not be read, with every check that needed it: a cause is said once."""
    causes: dict[Trouble, list[str]] = {}
    for check in report.checks:
        for trouble in check.troubles:
            causes.setdefault(trouble, []).append(check.id)
    return causes


def _diagnostic(diagnostic: Diagnostic) -> Iterator[str]:
    finding = diagnostic.finding
    weight = "" if diagnostic.severity is Severity.ERROR else f"({diagnostic.severity.value}) "
    yield f"{_place(finding.location)}{finding.rule} {weight}{escape(finding.message)}"
    yield from _hint(finding.hint)


def _place(location: Location) -> str:
    if not location.path:
        return ""
    return f"{escape(location.path)}:{location.line or 1}:{location.column or 1}: "


def _hint(hint: str) -> Iterator[str]:
    if hint:
        yield f"  hint: {escape(hint)}"


def _summary(report: Report) -> str:
    scope = report.scope
    base = f"base {scope.base[:7]}" if scope.base else "no base"
    if scope.origin and not scope.base:
        base += f" ({escape(scope.origin)})"
    counts = (*_nothing(report), *_weights(report), *_examined(report.checks))
    return f"orchgate: {WORDS[report.verdict]}{': ' if counts else ''}{', '.join(counts)}; {base}"


def _nothing(report: Report) -> Iterator[str]:
    """That there was nothing to look at, and how that is known; said first, because it is easily taken for a pass."""
    checks = report.checks
    if not any(check.troubles or any(check.examined.values()) for check in checks):
        why = _why_nothing(report.scope)
        yield f"nothing was examined{f' ({escape(why)})' if why else ''}"


def _why_nothing(scope: Scope) -> str:
    if scope.settled or scope.unknown is not None or scope.changes or scope.whole_tree:
        return scope.settled
    if scope.kind == "staged":
        return "nothing is staged"
    return f"no change since {scope.origin or 'the base'}"


def _weights(report: Report) -> Iterator[str]:
    shown = [diagnostic for diagnostic in report.diagnostics if diagnostic.suppressed is None]
    for severity in Severity:
        number = sum(diagnostic.severity is severity for diagnostic in shown)
        if number:
            yield f"{number:,} {severity.value}{'s' if number > 1 else ''}"
    hidden = len(report.diagnostics) - len(shown)
    if hidden:
        yield f"{hidden:,} suppressed"


def _examined(checks: tuple[CheckResult, ...]) -> Iterator[str]:
    """What was looked at, once a name, and then what there was none of.

    Where several checks count the same thing, the largest number stands.
    """
    totals: dict[str, int] = {}
    for check in checks:
        for name, number in check.examined.items():
            totals[name] = max(totals.get(name, 0), number)
    for name, number in totals.items():
        if number:
            yield f"{number:,} {name if number != 1 else _singular(name)}"
    if none := [name for name, number in totals.items() if not number]:
        yield "no " + ", ".join(none)


def _singular(name: str) -> str:
    return name.removesuffix("s")


def explained(report: Report) -> Iterator[str]:
    """Facts of each check as plain lines, for `--explain`."""
    for check in report.checks:
        counts = ", ".join(f"{number} {name}" for name, number in check.examined.items()) or "nothing"
        yield f"{check.id}: {WORDS[check.verdict]}; examined {counts}; {check.seconds * 1000:.0f} ms"
        yield from _facts(check.facts, "  ")


def _facts(facts: Mapping[str, object], indent: str) -> Iterator[str]:
    for name, value in facts.items():
        if isinstance(value, dict):
            yield f"{indent}{escape(name)}:"
            yield from _facts(value, indent + "  ")
        elif isinstance(value, list):
            yield f"{indent}{escape(name)}: {len(value)}"
            for item in value:
                yield f"{indent}  {_row(item)}"
        else:
            yield f"{indent}{escape(name)}: {_word(value)}"


def _row(item: object) -> str:
    if isinstance(item, dict):
        return "  ".join(f"{escape(str(key))}={_word(value)}" for key, value in item.items())
    return _word(item)


def _word(value: object) -> str:
    return "none" if value is None else escape(str(value))
