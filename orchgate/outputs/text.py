"""For people: a diagnostic a line, its hint below, and one line that says what was examined."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from orchgate.model import Severity, Verdict
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from typing import TextIO

    from orchgate.model import CheckResult, Diagnostic, Location, Report, Scope, Step, Trouble

WORDS = {
    Verdict.PASS: "passed",
    Verdict.WARN: "passed with warnings",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.BROKEN: "could not check",
    Verdict.FAIL: "refused",
}

LISTED = 12  # names in one line
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
    for group in _groups(shown):
        yield from _diagnostics(group)
    causes = list(_causes(report).items())
    for trouble, checks in causes[: most or None]:
        yield f"{_place(trouble.location)}could not check {', '.join(checks)}: {escape(trouble.message)}"
        yield from _hint(trouble.hint, trouble.steps)
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
    """What could not be read, with every check that needed it: a cause is one line."""
    causes: dict[Trouble, list[str]] = {}
    for check in report.checks:
        for trouble in check.troubles:
            causes.setdefault(trouble, []).append(check.id)
    return causes


def _groups(shown: Iterable[Diagnostic]) -> Iterable[list[Diagnostic]]:
    """What is one line each: diagnostics of a document that differ only in what they name, where it can be listed."""
    groups: dict[tuple[object, ...], list[Diagnostic]] = {}
    for at, one in enumerate(shown):
        found = one.finding
        same = (found.location.path, found.listed[0]) if found.listed else (at,)
        groups.setdefault((found.rule, one.severity, *same), []).append(one)
    return groups.values()


def _diagnostics(group: list[Diagnostic]) -> Iterator[str]:
    first, *others = (diagnostic.finding for diagnostic in group)
    weight = "" if group[0].severity is Severity.ERROR else f"({group[0].severity.value}) "
    message, hint = first.message, first.hint
    if others:
        names = [first.listed[1], *(other.listed[1] for other in others)]
        more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
        message = f"{first.listed[0]}: {', '.join(names[:LISTED])}{more}"
        hint = hint if {hint} == {other.hint for other in others} else ""
    yield f"{_place(first.location)}{first.rule} {weight}{escape(message)}"
    yield from _hint(hint, () if others else first.steps)


def _place(location: Location) -> str:
    if not location.path:
        return ""
    return f"{escape(location.path)}:{location.line or 1}:{location.column or 1}: "


def _hint(hint: str, steps: Sequence[Step]) -> Iterator[str]:
    if hint:
        yield f"  hint: {escape(hint)}"
    yield from (f"  {step.label}: {escape(step.command)}" for step in steps)


def _summary(report: Report) -> str:
    word, base = WORDS[report.verdict], _base(report.scope)
    if report.verdict in (Verdict.PASS, Verdict.WARN) and not any(any(one.examined.values()) for one in report.checks):
        what, way = _nothing(report.scope)
        return f"orchgate: {word}: {', '.join((what, *_weights(report)))} ({base}){f'; {way}' if way else ''}"
    counts = (*_weights(report), *_examined(report.checks))
    return f"orchgate: {word}{': ' if counts else ''}{', '.join(counts)}; {base}"


def _base(scope: Scope) -> str:
    if scope.base:
        return f"base {scope.base[:7]}"
    return f"no base: {escape(scope.origin)}" if scope.origin else "no base"


def _nothing(scope: Scope) -> tuple[str, str]:
    """That there was nothing to look at, how that is known, and the next step: it is easily taken for a pass."""
    if scope.settled:
        return escape(scope.settled), ""
    if scope.unknown is not None or scope.changes or scope.whole_tree:
        number = len(scope.changes)
        return f"nothing to check in {number:,} changed file{'s' * (number != 1)}" if number else "nothing to check", ""
    if scope.kind == "staged":
        return "no staged changes", "`git add` what you want checked"
    return f"no changes since {escape(scope.origin or 'the base')}", ""


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
    """What was looked at, once a name: where several checks count the same thing, the largest number stands."""
    totals: dict[str, int] = {}
    for check in checks:
        for name, number in check.examined.items():
            totals[name] = max(totals.get(name, 0), number)
    yield from (_counted(number, name) for name, number in totals.items() if number)


def _counted(number: int, name: str) -> str:
    return f"{number:,} {name if number != 1 else name.removesuffix('s')}"


def explained(report: Report) -> Iterator[str]:
    """Facts of each check as plain lines, for `--explain`."""
    for check in report.checks:
        counts = ", ".join(_counted(number, name) for name, number in check.examined.items() if number) or "nothing"
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
