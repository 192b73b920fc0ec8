"""A large tree is judged by two processes: what each does, and how that becomes one outcome a check."""

from __future__ import annotations

from orchgate.gate.context import Share
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Finding, Location, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from orchgate.gate.asked import Answers
    from orchgate.gate.parts import Parts
    from orchgate.model import Check

    Work = tuple[Iterable[Check], Iterable[Check]]  # checks of documents, and others

_LOCATION = Finding._fields.index("location")
PARTS = 64  # small enough that both processes end at about the same time


class Raw(NamedTuple):
    """What a check returned, before anything is stamped on it. Can travel between processes."""

    check: str
    outcome: Outcome
    seconds: float
    crash: str | None = None


class HalfDone(NamedTuple):
    """What one of two processes did: outcomes, the documents it read that hold suppressions, and what was asked.

    `marked` are those of the checks of documents, `marked_beside` those that only others read. `asked` are questions
    with their answers, and why the outcome is not to be kept, by check.
    """

    raws: list[Raw]
    marked: list[str]
    marked_beside: list[str]
    asked: Mapping[str, tuple[Answers, str]]
    parts: Parts | None


def _taken(paths: list[str], take: Callable[[], int | None]) -> Iterator[list[str]]:
    """Consecutive parts of the paths as this process gets hold of them."""
    size = -(-len(paths) // PARTS)
    while (number := take()) is not None:
        yield paths[number * size : (number + 1) * size]


def joined(mine: HalfDone, theirs: HalfDone) -> Iterable[Raw]:
    """The outcomes of both, those of a check that both ran as one."""
    raws = {raw.check: raw for raw in theirs.raws}
    for raw in mine.raws:
        raws[raw.check] = _joined(raw, raws[raw.check])
    return raws.values()


def _joined(one: Raw, other: Raw) -> Raw:
    """Two outcomes of one check, each about its own documents; `one` is of the process that leads.

    What that one says besides, once for all, comes after what is said of the same place.
    """
    counted = (one.outcome.examined, other.outcome.examined)
    examined = {name: sum(numbers.get(name, 0) for numbers in counted) for numbers in counted for name in numbers}
    outcome = Outcome(
        tuple(sorted((*other.outcome.findings, *one.outcome.findings), key=lambda finding: finding.location)),
        examined,
        {**one.outcome.facts, **other.outcome.facts},
        (*other.outcome.troubles, *one.outcome.troubles),
    )
    return Raw(one.check, outcome, max(one.seconds, other.seconds), one.crash or other.crash)


def _columns(findings: Sequence[Finding]) -> list[Any]:
    """Findings by field, for another process: of plain values in few tuples, pickle makes a tenth of the work."""
    columns: list[Any] = list(zip(*findings, strict=True))
    if columns:
        columns[_LOCATION] = list(zip(*columns[_LOCATION], strict=True))
    return columns


def _findings(columns: list[Any]) -> tuple[Finding, ...]:
    if columns:
        columns[_LOCATION] = map(Location, *columns[_LOCATION])
    return tuple(map(Finding, *columns)) if columns else ()


def both(
    half: Callable[[Share, Iterable[Check], Iterable[Check]], HalfDone], mine: Work, theirs: Work
) -> list[HalfDone]:
    """What this process did, which leads, and the other; both get to parts of what is shared."""
    from orchgate.lib.process import shares, spread

    take = shares(PARTS)
    parts = [(True, *mine), (False, *theirs)]

    def work(jobs: Sequence[tuple[bool, Iterable[Check], Iterable[Check]]]) -> tuple[HalfDone, list[Any]]:
        leads, checks, rest = jobs[0]
        done = half(Share(lambda paths: _taken(paths, take), leads), checks, rest)
        if leads:
            return done._replace(parts=None), []
        bare = [raw._replace(outcome=raw.outcome._replace(findings=())) for raw in done.raws]
        return done._replace(raws=bare), [_columns(raw.outcome.findings) for raw in done.raws]

    (led, _), (other, found) = spread(work, parts, 1)
    raws = [
        raw._replace(outcome=raw.outcome._replace(findings=_findings(columns)))
        for raw, columns in zip(other.raws, found, strict=True)
    ]
    return [led, other._replace(raws=raws)]
