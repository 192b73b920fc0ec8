"""For people: a diagnostic a line, its hint below, and one line that says what was examined."""

from __future__ import annotations

from collections import Counter

from orchgate.gate.suppressions import GONE, KNOWN, MOVED
from orchgate.lib.text import aligned, counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Severity, Verdict
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from typing import TextIO

    from orchgate.model import CheckResult, Diagnostic, Finding, Location, Report, Scope, Step, Trouble

WORDS = {
    Verdict.PASS: "passed",
    Verdict.WARN: "passed with warnings",
    Verdict.INCONCLUSIVE: "inconclusive",
    Verdict.BROKEN: "could not check",
    Verdict.FAIL: "refused",
}

SEPARATOR, ASCII_SEPARATOR = " · ", " - "  # between the parts of the last line
LISTED = 12  # names in one line
_LATER = {Severity.NOTE: 0, Severity.WARNING: 1, Severity.ERROR: 2}
_STYLES = {Severity.ERROR: "1;31", Severity.WARNING: "1;33", Severity.NOTE: "1;36"}  # bold red, yellow, cyan
_VERDICT_STYLES = {Verdict.PASS: "1;32", Verdict.WARN: "1;33"}


class View(NamedTuple):
    """How much of a report is shown, and how; never what it says.

    Of a rule at most `most` findings (0: all) are printed, and none of the checks in `earlier`, which were printed
    before. `quiet` leaves out all that does not keep the change from landing, `statistics` counts findings instead of
    printing them.
    """

    most: int = 0
    earlier: Collection[str] = ()
    quiet: bool = False
    statistics: bool = False
    color: bool = False
    separator: str = SEPARATOR

    def styled(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self.color and text else text


PLAIN = View()


def render(report: Report, stream: TextIO, view: View = PLAIN) -> None:
    """Writes the report."""
    stream.writelines(line + "\n" for line in lines(report, view))


def lines(report: Report, view: View = PLAIN) -> Iterator[str]:
    """The lines of a report; the last ones sum it up."""
    lands = report.verdict in (Verdict.PASS, Verdict.WARN)
    rest = report._replace(checks=tuple(one for one in report.checks if one.id not in view.earlier))
    yield from _statistics(report) if view.statistics else findings(rest, view)
    if not view.quiet:
        yield from _known(report, view)
    if not (view.quiet and lands):
        yield summary(report, view)
    if report.verdict is Verdict.FAIL:
        yield from _explanation(report)


def _known(report: Report, view: View) -> Iterator[str]:
    """What the list of known findings has to follow."""
    outdated = False
    for fact, what in ((MOVED, "in another document now"), (GONE, "gone")):
        number = sum(number for one in report.checks if isinstance(number := one.facts.get(fact), int))
        if number:
            outdated = True
            yield f"{KNOWN}: {counted(number, 'finding')} in it {'is' if number == 1 else 'are'} {what}"
    if outdated:
        yield view.styled("  hint: orchgate check --accept-known", "2")


def findings(report: Report, view: View = PLAIN) -> Iterator[str]:
    """The lines of a report without the last ones."""
    shown, left = _shown(report, view)
    for group in groups(shown):
        yield from _diagnostics(group, view)
    broken = list(causes(report).items())
    for trouble, checks in broken[: view.most or None]:
        yield f"{_place(trouble.location, view)}could not check {', '.join(checks)}: {escape(trouble.message)}"
        yield from _hint(trouble.hint, trouble.steps, view)
    for trouble in dict.fromkeys(trouble for check in report.checks for trouble in check.uncompared):
        why = f"not compared with the base ({escape(trouble.message)}): all findings count"
        yield f"{_place(trouble.location, view)}{why}"
        yield from _hint(trouble.hint, trouble.steps, view)
    left["could not check"] = len(broken) - view.most if view.most else 0
    for what, number in left.items():
        if number > 0:
            yield f"{what}: {number:,} more; --max-per-rule 0 shows all"


def _shown(report: Report, view: View) -> tuple[list[Diagnostic], Counter[str]]:
    """What is printed, and how many of each rule are not: of a rule that is cut the lightest ones go first."""
    heaviest: list[Diagnostic] = []
    seen: Counter[str] = Counter()
    for severity in (Severity.ERROR,) if view.quiet else Severity:
        for diagnostic in report.current:
            if diagnostic.counts and diagnostic.severity is severity:
                rule = diagnostic.finding.rule
                seen[rule] += 1
                if not view.most or seen[rule] <= view.most:
                    heaviest.append(diagnostic)
    left = Counter({rule: number - view.most for rule, number in sorted(seen.items()) if view.most})
    return _by_document(heaviest), left


def _by_document(shown: list[Diagnostic]) -> list[Diagnostic]:
    """What is said of one document stands together; documents with errors, and errors among their own, come last.

    Below them stands only the summary, and nobody has to scroll for the reason of a refusal.
    """
    worst_of: dict[str, int] = {}
    for one in shown:
        path = one.finding.location.path
        worst_of[path] = max(worst_of.get(path, 0), _LATER[one.severity])

    def key(one: Diagnostic) -> tuple[int, str, int]:
        path = one.finding.location.path
        return worst_of[path] if path else _LATER[one.severity], path, _LATER[one.severity]

    return sorted(shown, key=key)


def _statistics(report: Report) -> Iterator[str]:
    """How many findings each rule has, the most first."""
    counts = Counter((one.finding.rule, one.severity) for one in report.current if one.counts)
    rows = [(f"{number:,}", rule, severity.value) for (rule, severity), number in counts.most_common()]
    yield from ("  ".join(row).rstrip() for row in aligned(rows, right=(0,))) if rows else ()
    broken = len(causes(report))
    if broken:
        yield f"could not check {counted(broken, 'input')}"


def _explanation(report: Report) -> Iterator[str]:
    """Where the rule that refuses most often is explained."""
    errors = Counter(one.finding.rule for one in report.current if one.counts and one.severity is Severity.ERROR)
    yield from (
        f"  why: orchgate explain {rule}" for rule, _ in errors.most_common()[:1]
    )  # all of them: `heapq` is a module


def causes(report: Report) -> dict[Trouble, list[str]]:
    """What could not be read, with every check that needed it: a cause is one line."""
    causes: dict[Trouble, list[str]] = {}
    for check in report.checks:
        for trouble in check.troubles:
            causes.setdefault(trouble, []).append(check.id)
    return causes


def groups(shown: Iterable[Diagnostic]) -> Iterable[list[Diagnostic]]:
    """What is one line each: diagnostics of a document that differ only in what they name, where it can be listed."""
    groups: dict[tuple[object, ...], list[Diagnostic]] = {}
    for at, one in enumerate(shown):
        found = one.finding
        same = (found.location.path, found.listed[0]) if found.listed else (at,)
        groups.setdefault((found.rule, one.severity, *same), []).append(one)
    return groups.values()


def merged(group: Sequence[Diagnostic]) -> Finding:
    """One finding for several that differ only in what they name."""
    first, *others = (diagnostic.finding for diagnostic in group)
    if not others:
        return first
    names = [first.listed[1], *(other.listed[1] for other in others)]
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    message = f"{first.listed[0]}: {', '.join(names[:LISTED])}{more}"
    hint = first.hint if {first.hint} == {other.hint for other in others} else ""
    return first._replace(message=message, hint=hint, steps=())


def _diagnostics(group: list[Diagnostic], view: View) -> Iterator[str]:
    found = merged(group)
    weight = "" if group[0].severity is Severity.ERROR else f"({group[0].severity.value}) "
    rule = view.styled(found.rule, _STYLES[group[0].severity])
    yield f"{_place(found.location, view)}{rule} {weight}{escape(found.message)}"
    yield from _hint(found.hint, found.steps, view)


def _place(location: Location, view: View) -> str:
    if not location.path:
        return ""
    return f"{view.styled(escape(location.path), '1')}:{location.line or 1}:{location.column or 1}: "


def _hint(hint: str, steps: Sequence[Step], view: View) -> Iterator[str]:
    if hint:
        yield view.styled(f"  hint: {escape(hint)}", "2")
    yield from (view.styled(f"  {step.label}: {escape(step.command)}", "2") for step in steps)


def summary(report: Report, view: View) -> str:
    """The line that sums a report up."""
    word, base = WORDS[report.verdict], _base(report.scope)
    begin = f"orchgate: {view.styled(word, _VERDICT_STYLES.get(report.verdict, '1;31'))}"
    off = _off(report.checks)
    if report.verdict in (Verdict.PASS, Verdict.WARN) and not any(any(one.examined.values()) for one in report.checks):
        what, way = _nothing(report.scope)
        begin += f": {', '.join((what, *_weights(report)))} ({base}){f'; {way}' if way else ''}"
        return view.separator.join(filter(None, (begin, off)))
    sizes = (one.headline for one in report.checks)
    older = sum(check.older for check in report.checks)
    left = (off, counted(older, "older finding") if older else "")
    counts = (", ".join(_weights(report)), *sizes, ", ".join(_examined(report.checks)), *left, base)
    return view.separator.join((begin, *filter(None, counts)))


def _off(checks: Iterable[CheckResult]) -> str:
    """Checks that can find nothing, by the configuration, and why: a pass that nobody looked for is none."""
    off = [f"{one.id} ({escape(str(one.facts['off']))})" for one in checks if "off" in one.facts]
    return f"off: {', '.join(off)}" if off else ""


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
    current = report.current
    shown = [diagnostic for diagnostic in current if diagnostic.counts]
    for severity in Severity:
        number = sum(diagnostic.severity is severity for diagnostic in shown)
        if number:
            yield f"{number:,} {severity.value}{'s' if number > 1 else ''}"
    if hidden := sum(diagnostic.suppressed is not None for diagnostic in current):
        yield f"{hidden:,} suppressed"


def _examined(checks: tuple[CheckResult, ...]) -> Iterator[str]:
    """What was looked at, once a name: where several checks count the same thing, the largest number stands."""
    totals: dict[str, int] = {}
    for check in checks:
        for name, number in check.examined.items() if not check.headline else ():
            totals[name] = max(totals.get(name, 0), number)
    yield from (counted(number, name.removesuffix("s"), name) for name, number in totals.items() if number)


def explained(report: Report) -> Iterator[str]:
    """Facts of each check as plain lines, for `--explain`."""
    for check in report.checks:
        counts = (counted(number, name.removesuffix("s"), name) for name, number in check.examined.items() if number)
        examined = ", ".join(counts) or "nothing"
        yield f"{check.id}: {WORDS[check.verdict]}; examined {examined}; {check.seconds * 1000:.0f} ms"
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
