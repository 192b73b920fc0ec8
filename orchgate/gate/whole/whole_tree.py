"""A tree that is judged as a whole: by what was kept of the last time, and a large one by two processes.

What each of the two does becomes one outcome a check.
"""

from __future__ import annotations

from functools import partial

from orchgate.errors import OrchgateError
from orchgate.gate import outcomes, suppressions
from orchgate.gate.context import Share
from orchgate.gate.engine import CheckRun, Raw
from orchgate.lib.forks import cores
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, suppress
from orchgate.model import Finding, Location, Outcome, RunOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from orchgate.gate.asked import Answers
    from orchgate.gate.outcomes import Kept, Outcomes
    from orchgate.gate.whole.parts import Parts
    from orchgate.model import Check, CheckResult, Report

    Work = tuple[Iterable[Check], Iterable[Check]]  # checks of documents, and others

_LOCATION = Finding._fields.index("location")
MANY_FILES = 1500  # from here on a second process for a whole tree pays for itself
PARTS = 64  # small enough that both processes end at about the same time


class HalfDone(NamedTuple):
    """What one of two processes did: outcomes, the documents it read that hold suppressions, and what was asked.

    `marked` are those of the checks of documents, `marked_beside` those that only others read. `clean` are documents
    that something was found in, and that hold none. `asked` are questions with their answers, and why the outcome is
    not to be kept, by check.
    """

    raws: list[Raw]
    marked: list[str]
    marked_beside: list[str]
    asked: Mapping[str, tuple[Answers, str]]
    parts: Parts | None
    clean: Sequence[str] = ()


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
    from orchgate.lib.forks import shares, spread

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


class TreeRun(CheckRun):
    """A judgement of a whole tree: what is known of it from the last time is not judged again."""

    _marked: Sequence[str] = ()  # documents that hold suppressions

    def report(self) -> Report:
        self._judge_tree()
        return super().report()

    def _judge_tree(self) -> None:
        """Results of the checks of documents: as they were kept, or as they are now, and then kept."""
        ids = ([check.id for check in self._checks], sorted(self._available))
        self._outcomes = found = outcomes.of(self._ctx, (*ids, self._ignores, self._strict, self._narrowing))
        new = [check for check in self._checks if outcomes.is_kept(check) and not self._recalled(check)]
        if new:
            self._see_parts(new)
        if new and not self._knows_parts and len(self._ctx.snapshot.entries) >= MANY_FILES and cores() > 1:
            self._judge_side_by_side(new)
        for check in new:
            self.result(check.id)
        if found is not None:
            self._marked = self._marked or self._that_may_hold_suppressions()
            for check in new:
                rules = {rule.id for rule in check.rules}
                used = tuple((place, rule) for place, rule in self._used if rule in rules)
                kept = outcomes.Kept(self.result(check.id), used, tuple(self._marked))
                self._keep(found, check, kept)

    def _keep(self, found: Outcomes, check: Check, kept: Kept) -> None:
        asked = self._asked_of(check.id)
        if found.may_keep(kept.result, asked):
            from orchgate.gate.whole import kept_parts

            parts = self._ctx.parts
            texts = kept_parts.keep(found, check, kept, asked, parts) if parts is not None else {}
            found.keep(check, kept, asked, texts)

    def _see_parts(self, new: Iterable[Check]) -> None:
        """Lets parts of the tree be held against the base, and against the tree that was judged the last time."""
        from orchgate.gate.older import Comparison, nothing_before
        from orchgate.gate.whole.parts import Parts, state_of

        alone = self._strict or nothing_before(self._ctx)
        if self._ctx.scope.unknown is not None or (alone and self._outcomes is None):
            return
        try:
            now, parts = state_of(self._ctx), Parts(self._ctx.situation)
        except OrchgateError:  # the checks say what cannot be read
            return
        self._ctx = self._ctx.judging(parts=parts)
        self._comparison = None if alone else Comparison(self._ctx, self._at_base)
        before = self._comparison.before if self._comparison is not None else None
        if before is not None:
            with suppress(OrchgateError):
                parts.compare(now, state_of(before, self._ctx, now))
        if self._outcomes is not None:
            from orchgate.gate.whole import kept_parts

            kept = {check.id: kept_parts.of(self._outcomes, check, now) for check in new}
            for name, one in kept.items():
                self._asked_of(name).join(one.answers, "")
            parts.recalled = kept

    @property
    def _knows_parts(self) -> bool:
        """Whether much is known of the parts of the tree: then no second process helps."""
        parts = self._ctx.parts
        return parts is not None and any(recalled.any for recalled in parts.recalled.values())

    def _recalled(self, check: Check) -> bool:
        """Whether the result of a check is known from the last time."""
        kept = self._outcomes.find(check) if self._outcomes is not None else None
        if kept is None:
            return False
        result = kept.result
        self._results[check.id] = (
            result.else_by(partial(self._anew, check)) if isinstance(result, outcomes.KeptResult) else result
        )
        self._used.update(kept.used)
        self._ctx.documents.read(kept.marked)
        return True

    def _anew(self, check: Check) -> CheckResult:
        """A check's result with nothing of what was kept."""
        inner = CheckRun(
            (check,),
            self._available,
            self._ctx._replace(noted=None),
            ignores=self._ignores,
            strict=self._strict,
            narrowing=self._narrowing,
        )
        try:
            return inner.result(check.id)
        finally:
            inner.let_go()

    def _judge_side_by_side(self, new: Sequence[Check]) -> None:
        """Outcomes of a large tree's checks by two processes.

        This one begins with the check that reads every document; the other does the rest and then helps with it. `new`
        are the checks of documents whose results are not known from the last time.
        """
        longest = [check for check in new if check.shared][:1]
        others = [check for check in new if check not in longest]
        if not longest:
            return
        together = [check for check in self._checks if check.order is RunOrder.WITH_OTHERS]
        rest = [check for check in together if check not in new and check.id not in self._results]
        with suppress(OrchgateError):  # the checks say what cannot be read
            _ = self._ctx.packets.owners  # both processes ask for them
        mine, theirs = both(self._half, (longest, []), ([*others, *longest], rest))
        self._marked = list(dict.fromkeys((*mine.marked, *theirs.marked)))
        self._ctx.documents.read((*theirs.marked, *theirs.marked_beside))
        self._suppressions.update(dict.fromkeys(theirs.clean, suppressions.NONE))
        for name, (answers, lost) in theirs.asked.items():
            self._asked_of(name).join(answers, lost)
        if self._ctx.parts is not None and theirs.parts is not None:
            self._ctx.parts.join(theirs.parts)
        for raw in joined(mine, theirs):
            self._results[raw.check] = self._judged(raw)

    def _half(self, share: Share, checks: Iterable[Check], rest: Iterable[Check]) -> HalfDone:
        self._ctx = self._ctx.judging(share=share)
        raws = [self._outcome(check) for check in checks]
        marked = self._that_may_hold_suppressions()
        raws += [self._outcome(check) for check in rest]
        asked: dict[str, tuple[Answers, str]] = {
            name: (one.answers, one.lost or self._unsettled()) for name, one in self._asked.items()
        }
        beside = [path for path in self._that_may_hold_suppressions() if path not in marked]
        clean = self._named_and_read(raws) - {*marked, *beside}
        return HalfDone(raws, marked, beside, asked, self._ctx.parts and self._ctx.parts.result(), sorted(clean))

    def _named_and_read(self, raws: Iterable[Raw]) -> set[str]:
        """The documents that findings are about, of those that were read."""
        named = {finding.location.path for raw in raws for finding in raw.outcome.findings}
        return {path for path in named if self._ctx.documents.parsed(path) is not None}

    def _unsettled(self) -> str:
        repository = self._ctx.repository
        return "" if repository is None or repository.blobs.settled else "something that was read is not here"

    def _that_may_hold_suppressions(self) -> list[str]:
        """Those of the documents that were read."""
        documents = self._ctx.documents
        read = ((path, documents.parsed(path)) for path in documents.parsed_paths)
        return [path for path, document in read if document and suppressions.may_hold(document.source)]
