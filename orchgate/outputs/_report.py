"""What several formats say of a report in the same words: the order, titles of rules, places, hints, identities."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

from orchgate.gate.suppressions import every_rule, faults_of, paths_of
from orchgate.lib.files import sha256_hex
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Severity
from orchgate.outputs import text
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchgate.model import CheckResult, Diagnostic, Finding, Report, Rule, Trouble

HOME = "https://github.com/orchgate/orchgate"
RULES = f"{HOME}/blob/main/docs/reference/rules.md"
COULD_NOT_CHECK = "could not check"
NOBODY = "orchgate"  # the check that stands for a command which ended before there was any
_FIGURE = lazy(r"\d")
_WORST_FIRST = {severity: rank for rank, severity in enumerate((Severity.ERROR, Severity.WARNING, Severity.NOTE))}


def worst_first(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Errors, then warnings, then notes; those of one weight as the checks reported them."""
    return sorted(diagnostics, key=lambda one: _WORST_FIRST[one.severity])


def counting(report: Report) -> list[Diagnostic]:
    """What weighs in the verdict, the worst first."""
    return worst_first(one for one in report.diagnostics if one.counts)


def lines(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Several that differ only in what they name are one, as in text."""
    return [group[0]._replace(finding=text.merged(group)) for group in text.groups(diagnostics)]


def headline(report: Report) -> str:
    """The last line of text after the verdict: `1 error · 41 links · base 1c7363c`; "" where nothing was judged."""
    if report.about.failed:
        return ""
    line = text.summary(report, text.PLAIN).removeprefix(f"orchgate: {text.WORDS[report.verdict]}")
    return line.removeprefix(text.SEPARATOR).removeprefix(": ")


def rules_of(report: Report) -> Mapping[str, tuple[str, Rule]]:
    """The rules of every check in the report, by id, with the check; and those that it speaks of."""
    checks = {one.id for one in report.checks}
    named = {one.finding.rule for one in report.diagnostics}
    if not checks & {check for check, _ in every_rule().values()} and not named:
        return {}
    return {id_: rule for id_, rule in sorted(every_rule().items()) if rule[0] in checks or id_ in named}


def is_idle(check: CheckResult) -> bool:
    """Whether a check had nothing to look at: that it found nothing shows nothing."""
    return not (check.diagnostics or check.troubles or any(check.examined.values()))


@lru_cache(maxsize=256)  # thousands of findings have a few
def title(rule: str) -> str:
    """`EVD001 target missing`."""
    known = every_rule().get(rule)
    return f"{rule} {known[1].title}" if known else rule


def hints(one: Finding | Trouble) -> Iterator[str]:
    """What to do next, a line each."""
    yield from (escape(one.hint),) if one.hint else ()
    yield from (f"{step.label}: {escape(step.command)}" for step in one.steps)


def said(one: Finding | Trouble) -> str:
    """The message and what to do next, a line each."""
    return "\n".join((escape(one.message), *hints(one)))


def identities(diagnostics: Sequence[Diagnostic]) -> list[str]:
    """What makes each the same finding tomorrow: its rule, document and faults, and no line; the second has a number.

    What a finding about the change as a whole says ends in figures, which are others tomorrow.
    """
    seen: Counter[str] = Counter()
    found = []
    for one in diagnostics:
        identity = _identity(one)
        seen[identity] += 1
        number = seen[identity]
        found.append(sha256_hex(f"{identity}\0{number}".encode()) if number > 1 else identity)
    return found


def _identity(one: Diagnostic) -> str:
    finding = one.finding
    paths = paths_of(finding)
    whole = not any(paths) and not finding.about
    faults = [_FIGURE.split(finding.message)[0]] if whole else sorted(fault.about for fault in faults_of(one))
    return sha256_hex("\0".join((finding.rule, *sorted(paths)[:1], *faults)).encode("utf-8", "surrogatepass"))
