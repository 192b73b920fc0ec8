"""What the gate says, for the page: the judgement that `orchgate check` gives, measuring nothing."""

from __future__ import annotations

from collections import Counter

from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Severity, Verdict
from orchgate.report.values import CheckRow, FindingRow, GateState, ReadProblem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orchgate.errors import OrchgateError
    from orchgate.model import Diagnostic, Report, Trouble

LISTED = 200  # findings
PER_RULE = 25  # of those that are older, or not: a rule that finds hundreds must not hide the others
LONGEST = 400  # characters of a message


def of(report: Report) -> tuple[GateState, tuple[ReadProblem, ...]]:
    """The judgement, and what its checks could not read."""
    shown = [one for one in report.diagnostics if one.suppressed is None]
    ordered = sorted(shown, key=lambda one: (one.older, _WEIGHT[one.severity], one.finding.location))
    counting = [one.severity for one in shown if not one.older]
    scope = report.scope
    gate = GateState(
        report.verdict.value,
        scope.kind,
        scope.base,
        scope.head,
        scope.origin,
        tuple(
            CheckRow(one.id, one.verdict.value, dict(one.examined), str(one.facts.get("off", "")))
            for one in report.checks
        ),
        tuple(map(finding, _first_of_each(ordered)))[:LISTED],
        len(shown),
        counting.count(Severity.ERROR),
        counting.count(Severity.WARNING),
        counting.count(Severity.NOTE),
        len(shown) - len(counting),
        len(report.diagnostics) - len(shown),
    )
    crashes = [
        ReadProblem("check-crashed", f"{one.id}: internal error: {one.crash.strip().splitlines()[-1]}")
        for one in report.checks
        if one.crash
    ]
    return gate, (*crashes, *(problem(one) for check in report.checks for one in check.troubles))


def _first_of_each(ordered: Iterable[Diagnostic]) -> Iterator[Diagnostic]:
    seen: Counter[tuple[str, bool]] = Counter()
    for one in ordered:
        seen[one.finding.rule, one.older] += 1
        if seen[one.finding.rule, one.older] <= PER_RULE:
            yield one


_WEIGHT = {severity: rank for rank, severity in enumerate(Severity)}


def finding(one: Diagnostic) -> FindingRow:
    found = one.finding
    hint = found.hint or next((step.command for step in found.steps), "")
    where = found.location
    return FindingRow(
        one.check,
        found.rule,
        one.severity.value,
        where.path,
        where.line,
        found.message[:LONGEST],
        hint[:LONGEST],
        one.older,
    )


def problem(one: Trouble) -> ReadProblem:
    """Why a check could not look at something."""
    where = one.location.path
    return ReadProblem("could-not-check", f"{where}: {one.message}" if where else one.message, one.hint)


def nobody(error: OrchgateError) -> GateState:
    """Where nobody could judge at all."""
    return GateState(Verdict.BROKEN.value, why=of_error(error).message, hint=error.hint)


def of_troubles(troubles: Iterable[Trouble], known: Iterable[ReadProblem]) -> tuple[ReadProblem, ...]:
    """What else could not be read of documents, beside what is known."""
    told = {one.message for one in known}
    return tuple(one for one in map(problem, troubles) if one.message not in told)


def of_error(error: OrchgateError) -> ReadProblem:
    """Why something could not be looked at as a whole."""
    where = getattr(error, "path", "")
    return ReadProblem("could-not-check", f"{where}: {error.message}" if where else error.message, error.hint)
