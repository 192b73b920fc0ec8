"""Exceptions that commit messages make, and which part of a change each of them covers."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from orchgate.git import messages
from orchgate.git.diff import merged
from orchgate.git.fork import left

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orchgate.git.messages import Commit
    from orchgate.git.repository import Repository
    from orchgate.model import Change, Scope


class Reason(NamedTuple):
    """A trailer's value, and who says it: a commit, or the message that is being written ("").

    `merge` is the merge that brought the commit along, "" for a commit of the judged branch itself.
    """

    text: str
    commit: str = ""
    merge: str = ""

    @property
    def source(self) -> str:
        """Where the reason stands, for people."""
        if not self.commit:
            return "this commit's message"
        covers = f", for what merge {self.merge[:12]} brought in" if self.merge else ""
        return f"commit {self.commit[:12]}{covers}"


class Part(NamedTuple):
    """A stretch of the change that no exception covers; `head` is None for the index."""

    base: str | None
    head: str | None
    changes: tuple[Change, ...]


class Exceptions:
    """Trailers of the judged commits, read when first asked for.

    A trailer of the judged branch's own commits excuses the whole change. One that only came along with a merged side
    branch excuses what that merge brought in, and nothing else.
    """

    def __init__(self, repository: Repository | None, scope: Scope, message: Callable[[], str] | None = None) -> None:
        self._repository = repository
        self._scope = scope
        self._message = message

    def reasons(self, name: str) -> tuple[Reason, ...]:
        """What a trailer says, those that excuse the whole change first."""
        return tuple(sorted(self._reasons.get(name.lower(), ()), key=lambda reason: bool(reason.merge)))

    def whole(self, name: str) -> Reason | None:
        """The reason that excuses the whole change, if there is one."""
        return next((reason for reason in self.reasons(name) if not reason.merge), None)

    def rest(self, name: str) -> tuple[Part, ...]:
        """What is left of the change where a trailer excuses only some merges, oldest first. Raises GitError."""
        merges = {reason.merge for reason in self.reasons(name)}
        start: str | None = None  # none: where the change begins
        parts: list[Part] = []
        for commit in self._chain:
            if commit.oid not in merges:
                continue
            before = commit.parents[0]
            if before in self._commits and before != start:
                parts.append(self._part(start, before))
            start = commit.oid
        if self._scope.head is None or start != self._scope.head:
            parts.append(self._part(start, self._scope.head))
        return tuple(part for part in parts if part.changes)

    def _part(self, start: str | None, end: str | None) -> Part:
        """What lies between two commits, without what came in by merging what the change is compared with."""
        assert self._repository is not None  # there are merges
        changes = self._repository.changes
        if end is None or end == self._scope.head:
            base, whole = self._scope.base, [self._scope.changes]
        else:
            bases: tuple[str | None, ...] = left(self._repository, end, self._bases) or (None,)
            base, whole = bases[0], [changes(one, end) for one in bases]
        if start is None:
            return Part(base, end, merged(whole))
        return Part(start, end, merged([changes(start, end), *whole]))

    @property
    def _bases(self) -> tuple[str, ...]:
        return tuple(base for base in (self._scope.base, *self._scope.beside) if base)

    @cached_property
    def _commits(self) -> Mapping[str, Commit]:
        """The judged commits by id, newest first; a commit in the making is none of them."""
        scope, repository = self._scope, self._repository
        if repository is None or scope.kind == "staged" or scope.settled:
            return {}
        head = scope.head or repository.head
        if head is None:
            return {}
        span = ("--no-walk", head) if scope.kind == "commit" else (head, "--not", *self._bases)
        return {commit.oid: commit for commit in messages.commits(repository.git, span)}

    @cached_property
    def _chain(self) -> tuple[Commit, ...]:
        """The judged branch's own commits, oldest first: first parents, as far as they are judged."""
        found = self._commits
        commit = next(iter(found.values()), None)
        if commit is not None and commit.parents and commit.parents[0] not in found:
            # CI's own merge of a proposed change with the branch it goes to: the branch is the other parent.
            inside = [parent for parent in commit.parents if parent in found]
            chain = [commit] if len(inside) != 1 else [commit, *self._first_parents(inside[0])]
        else:
            chain = [] if commit is None else list(self._first_parents(commit.oid))
        return tuple(reversed(chain))

    def _first_parents(self, oid: str) -> Iterator[Commit]:
        while commit := self._commits.get(oid):
            yield commit
            oid = commit.parents[0] if commit.parents else ""

    @cached_property
    def _reasons(self) -> Mapping[str, list[Reason]]:
        found: dict[str, list[Reason]] = {}
        if self._message is not None:
            for name, values in messages.trailers(self._message()).items():
                found.setdefault(name, []).extend(map(Reason, values))
        brought = self._brought_by()
        for commit in self._commits.values():
            for name, values in commit.trailers.items():
                reasons = (Reason(value, commit.oid, brought.get(commit.oid, "")) for value in values)
                found.setdefault(name, []).extend(reasons)
        return found

    def _brought_by(self) -> Mapping[str, str]:
        """The merge of the judged branch that brought each commit of a side branch along, the oldest that did."""
        own = {commit.oid for commit in self._chain}
        brought: dict[str, str] = {}
        for merge in self._chain:
            waiting = list(merge.parents[1:])
            while waiting:
                oid = waiting.pop()
                if oid in self._commits and oid not in own and oid not in brought:
                    brought[oid] = merge.oid
                    waiting.extend(self._commits[oid].parents)
        return brought
