"""What the gate says, for the page: what `orchgate check` says, measuring nothing; and pinned artifacts."""

from __future__ import annotations

from collections import Counter

from orchgate.errors import GitError
from orchgate.evidence import lock as locks
from orchgate.evidence.lock_checks import PinComparison
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Severity, Verdict
from orchgate.references.artifacts import Artifacts
from orchgate.report import signed
from orchgate.report.values import Artifact, CheckRow, EvidenceMark, EvidenceSection, FindingRow, GateState, ReadProblem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from orchgate.errors import OrchgateError
    from orchgate.evidence.lock import Lock, Pinned
    from orchgate.gate.context import Context
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


# Pinned artifacts, and what was found out about each of them just now: no mark without a look


PINS_LISTED = 100
COMPARED = 200  # artifacts that are hashed
COMPARED_BYTES = 32 << 20  # in all
NOT_PINNED = "EVD009"


def pinned(
    ctx: Context, stored: Iterable[str] | GitError, found: Iterable[FindingRow], only: str = ""
) -> tuple[EvidenceSection, tuple[ReadProblem, ...]]:
    """The pins of the judged tree against disk and store; `only` those of one task's folder. `found`: open findings.

    `stored` are the hashes of what the repository's own store holds, or why nobody knows.
    """
    try:
        lock = locks.of(ctx.snapshot) or locks.Lock()
    except locks.LockError as error:
        return EvidenceSection(), (ReadProblem("lock-unreadable", f"{error.path}: {error.message}", error.hint),)
    problems: list[ReadProblem] = []
    if isinstance(stored, GitError):
        problems.append(ReadProblem("store-unreadable", f"the store of evidence: {stored.message}", stored.hint))
        stored = ()
    pins = [pin for pin in lock.pins.values() if not only or f"/{only}/" in f"/{pin.path}/"]
    artifacts = [*_not_pinned(found, lock), *_compared(ctx, pins, frozenset(stored), problems)]
    counts = Counter(one.mark.value for one in artifacts if one.pinned)
    artifacts.sort(key=lambda one: (_ORDER.index(one.mark) if one.pinned else -1, one.path))
    listed = signed.marked(ctx, lock, artifacts[:PINS_LISTED], problems)
    return EvidenceSection(len(pins), dict(sorted(counts.items())), tuple(listed)), tuple(problems)


# What needs somebody comes first.
_ORDER = (
    EvidenceMark.CHANGED,
    EvidenceMark.UNKNOWN,
    EvidenceMark.ABSENT,
    EvidenceMark.STORED,
    EvidenceMark.VERIFIED,
    EvidenceMark.UNCHECKED,
)


def _not_pinned(found: Iterable[FindingRow], lock: Lock) -> list[Artifact]:
    """What documents cite and only this disk has; the gate says so itself, naming the document."""
    rows = [one for one in found if one.rule == NOT_PINNED and one.path not in lock.pins]
    return [Artifact(one.path, False, EvidenceMark.UNCHECKED, detail=one.message) for one in rows]


def _compared(ctx: Context, pins: list[Pinned], stored: Collection[str], problems: list[ReadProblem]) -> list[Artifact]:
    evidence = ctx.config.evidence
    disk = Artifacts(ctx.root, evidence.roots)
    comparison = PinComparison(disk, evidence.max_artifact_bytes, ctx.config.manifests.max_bytes)
    rows, count, size = [], 0, 0
    for pin in pins:
        status = pin.run.status if pin.run else ""
        row = Artifact(pin.path, True, EvidenceMark.UNCHECKED, pin.size, status)
        if not ctx.root or not disk.on_disk(pin.path):
            rows.append(row._replace(mark=EvidenceMark.STORED if pin.sha256 in stored else EvidenceMark.ABSENT))
            continue
        if count < COMPARED and size + pin.size <= COMPARED_BYTES:
            count, size = count + 1, size + pin.size
            row = _looked_at(row, pin, comparison)
        rows.append(row)
    problems += [
        ReadProblem("artifact-unreadable", f"{one.location.path} {one.message}", one.hint)
        for one in comparison.troubles.values()
    ]
    return rows


def _looked_at(row: Artifact, pin: Pinned, comparison: PinComparison) -> Artifact:
    difference = comparison.difference(pin)
    if pin.path in comparison.troubles:
        return row._replace(mark=EvidenceMark.UNKNOWN, detail=comparison.troubles[pin.path].message)
    if difference:
        return row._replace(mark=EvidenceMark.CHANGED, detail=f"it {difference}")
    return row._replace(mark=EvidenceMark.VERIFIED)
