"""Refs of one push: a report of one holds for another that has the same tree and stands on the same commits.

What is the ref's own counts, too, as far as it was asked for: its name and where its commits are, then its report is of
no other one; and what the messages of its commits excuse, then those of the other one have to say the same.
"""

from __future__ import annotations

import datetime

from orchgate.config.branches import wishes
from orchgate.errors import OrchgateError
from orchgate.git import base, scope
from orchgate.git.messages import Exceptions
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, cached_property

if TYPE_CHECKING:
    from orchgate.git.history import ChangeBase
    from orchgate.git.repository import Repository
    from orchgate.model import Report, Scope, ScopeTarget

MOST_CHANGES = 5000  # of all the reports that are kept: the oldest go
_Key = tuple[object, ...]


class _Kept(NamedTuple):
    """A report, what the messages of its ref were asked, and whether it is still to be measured."""

    report: Report
    messages: tuple[Exceptions, ...]
    waits: bool

    @property
    def size(self) -> int:
        return 1 + len(self.report.scope.changes) + len(self.report.diagnostics)


class RefToJudge:
    """One ref that is to be judged: what it changes, and what its judgement asked of itself."""

    def __init__(self, repository: Repository, target: ScopeTarget, found: ChangeBase | None) -> None:
        self.target = target
        self.own: list[str | Exceptions] = []
        self._repository = repository
        self._found = found

    @cached_property
    def scope(self) -> Scope | None:
        """None where the base is not known, and has to be looked for to say why."""
        return scope.since(self._repository, self.target, self._found) if self._found else None

    @cached_property
    def key(self) -> _Key:
        """Everything that a report rests on but the ref itself; () where nobody knows."""
        tree = self._repository.blobs.resolve(f"{self.target.head}^{{tree}}", 0)
        if tree is None or self._found is None:
            return ()
        unchanged = self._found.bases == (self.target.head,)
        return (tree.oid, *self._found, unchanged, datetime.datetime.now(datetime.UTC).date())

    def has_same_words(self, kept: _Kept, whole: Scope) -> bool:
        """Whether its messages say what those of another ref said, as far as they were asked."""
        return all(Exceptions(self._repository, whole).answers(one) for one in kept.messages)


class JudgedRefs:
    """What was judged of a push so far."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._wishes = wishes(repository)
        self._kept: dict[_Key, list[_Kept]] = {}
        self._size = 0

    def ref(self, target: ScopeTarget) -> RefToJudge:
        assert target.push is not None
        try:
            found = base.push_base(self._repository, target.push, self._wishes)
        except OrchgateError:
            found = None
        return RefToJudge(self._repository, target, found)

    def known(self, ref: RefToJudge) -> tuple[Report, bool] | None:
        """The report of a ref that needs not be judged, and whether it is still to be measured."""
        for kept in self._kept.get(ref.key, ()):
            whole = kept.report.scope._replace(head=ref.target.head)
            if ref.has_same_words(kept, whole):
                return kept.report._replace(scope=whole), kept.waits
        return None

    def keep(self, ref: RefToJudge, report: Report, *, waits: bool) -> None:
        """Keeps a report that may hold for another ref; none that something went wrong with."""
        messages = tuple(one for one in ref.own if isinstance(one, Exceptions))
        failed = any(one.crash or one.troubles or one.uncompared for one in report.checks)
        if not ref.key or report.scope.unknown or failed or len(messages) < len(ref.own):
            return
        kept = _Kept(report, messages, waits)
        self._kept.setdefault(ref.key, []).append(kept)
        self._size += kept.size
        while self._size > MOST_CHANGES and len(self._kept) > 1:
            oldest = self._kept.pop(next(iter(self._kept)))
            self._size -= sum(one.size for one in oldest)
