"""Pinned artifacts, and what was found out about each of them just now: no mark without a look."""

from __future__ import annotations

from collections import Counter

from orchgate.errors import GitError
from orchgate.evidence import lock as locks
from orchgate.evidence.lock_checks import PinComparison
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.references.artifacts import Artifacts
from orchgate.report.values import Artifact, EvidenceMark, EvidenceSection, ReadProblem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from orchgate.evidence.lock import Lock, Pinned
    from orchgate.gate.context import Context
    from orchgate.report.values import FindingRow

LISTED = 100
COMPARED = 200  # artifacts that are hashed
COMPARED_BYTES = 32 << 20  # in all
NOT_PINNED = "EVD009"


def read(
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
    return EvidenceSection(len(pins), dict(sorted(counts.items())), tuple(artifacts[:LISTED])), tuple(problems)


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
