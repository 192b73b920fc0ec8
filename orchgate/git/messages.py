"""Commit messages: trailers, the exceptions they make, and whether our commit-msg hook sees them.

They are read by ourselves: git's own reading obeys the user's settings.
"""

from __future__ import annotations

from orchgate.errors import OrchgateError
from orchgate.git.objects import merged
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, cached_property

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orchgate.git.call import Git
    from orchgate.git.repository import Repository
    from orchgate.model import Change, Scope


MAX_BYTES = 32 * 1024 * 1024  # of a message in the making; `commit --verbose` puts the whole diff below it
# `log.showSignature` would run gpg and print what it says, `i18n.logOutputEncoding` would garble a reason.
_PINNED = ("--no-show-signature", "--no-color", "--no-notes", "--encoding=UTF-8", "-z", "--format=%H %P%n%B")
_TRAILER = lazy(r"(?P<name>[A-Za-z0-9][A-Za-z0-9-]*)[ \t]*:(?P<value>.*)")
_PICKED = lazy(r"\(cherry picked from commit [0-9a-f]+\)")
_SEPARATOR = lazy(r"\s*|-{3,}\s*")  # a blank line, or what GitHub puts below the messages it squashes
_REVERT = lazy(r"(?:Revert|Reapply) \"|[Rr]evert(?:\([^()]*\))?!?: ")
_FIXUP = lazy(r"(?:fixup|squash|amend)! ")
_SQUASHED = "Squashed commit of the following:"
_SCISSORS = "------------------------ >8 ------------------------"
_COMMENTS = "#;@!$%^&|:"  # what `core.commentChar = auto` chooses from


class Commit(NamedTuple):
    """A commit's parents, and the trailers and the subject of its message."""

    oid: str
    parents: tuple[str, ...]
    trailers: Mapping[str, tuple[str, ...]]
    subject: str = ""


def commits(git: Git, span: Sequence[str]) -> tuple[Commit, ...]:
    """The commits that arguments of `git log` name, each before its parents. Raises GitError."""
    output = git("log", "--topo-order", *_PINNED, *span, "--").decode("utf-8", "replace")
    records = (record.partition("\n") for record in output.split("\0") if record.strip())
    return tuple(Commit(*_ids(ids), trailers(message), _subject(message)) for ids, _, message in records)


def _subject(message: str) -> str:
    return next((line.strip() for line in message.split("\n") if line.strip()), "")


def _ids(line: str) -> tuple[str, tuple[str, ...]]:
    oid, *parents = line.split()
    return oid, tuple(parents)


def trailers(message: str) -> dict[str, tuple[str, ...]]:
    """Trailers by lower-case name: of every paragraph but the subject's that consists of nothing else.

    Squashed messages and co-authors put other paragraphs below. A trailer without a value says nothing.
    """
    found: dict[str, list[str]] = {}
    if _SQUASHED in message:  # `git merge --squash` indents what it squashes
        message = "\n".join(line.removeprefix("    ") for line in message.split("\n"))
    for paragraph in list(_paragraphs(message))[1:]:
        for name, value in _all_trailers(paragraph):
            if any(character.isalnum() for character in value):
                found.setdefault(name.lower(), []).append(value)
    return {name: tuple(values) for name, values in found.items()}


def _paragraphs(message: str) -> Iterator[list[str]]:
    lines: list[str] = []
    for line in (*message.replace("\r\n", "\n").split("\n"), ""):
        if not _SEPARATOR.fullmatch(line):
            lines.append(line)
        elif lines:
            yield lines
            lines = []


def _all_trailers(lines: list[str]) -> list[tuple[str, str]]:
    """The trailers of a paragraph; none when it holds anything else."""
    found: list[tuple[str, str]] = []
    for line in lines:
        if line[0] in " \t" and found:
            name, value = found[-1]
            found[-1] = (name, f"{value} {line.strip()}".strip())
        elif match := _TRAILER.fullmatch(line):
            found.append((match["name"], match["value"].strip()))
        elif not _PICKED.fullmatch(line.strip()):
            return []
    return found


def in_the_making(git: Git, path: str, *, edited: bool) -> str:
    """The message that git is about to take from a file, without what git will strip from it.

    `edited` says whether an editor was open: only then are comments stripped by default. Raises OrchgateError.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_BYTES).decode("utf-8", "replace")
    except OSError as error:
        raise OrchgateError(f"the commit message {path} cannot be read: {error.strerror}") from error
    settings = _settings(git)
    lines = text.replace("\r\n", "\n").split("\n")
    mark = _comment_mark(settings, lines)
    end = next((number for number, line in enumerate(lines) if line == f"{mark} {_SCISSORS}"), len(lines))
    cleanup = settings.get("commit.cleanup", "default")
    strips = cleanup == "strip" or (cleanup == "default" and edited)
    return "\n".join(line for line in lines[:end] if not (strips and line.startswith(mark)))


def _settings(git: Git) -> dict[str, str]:
    asked = git.attempt("config", "-z", "--get-regexp", r"^(core\.comment(char|string)|commit\.cleanup)$")
    records = (record.partition("\n") for record in asked.stdout.decode("utf-8", "replace").split("\0") if record)
    return {key: value for key, _, value in records}


def _comment_mark(settings: Mapping[str, str], lines: Sequence[str]) -> str:
    mark = settings.get("core.commentstring") or settings.get("core.commentchar") or "#"
    if mark != "auto":
        return mark
    last = next((line for line in reversed(lines) if line.strip()), "")  # git's own words stand below the message
    return last[0] if last and last[0] in _COMMENTS else "#"


class TrailerReason(NamedTuple):
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


class ChangePart(NamedTuple):
    """A stretch of the change that no exception covers; `head` is None for the index."""

    base: str | None
    head: str | None
    changes: tuple[Change, ...]


_REST, _FOLLOW_UP = "/rest", "/follow-up"  # questions, among names of trailers


class Exceptions:
    """Trailers of the judged commits, read when first asked for.

    A trailer of the judged branch's own commits excuses the whole change. One that only came along with a merged side
    branch excuses what that merge brought in, and nothing else.
    """

    def __init__(self, repository: Repository | None, scope: Scope, message: Callable[[], str] | None = None) -> None:
        self._repository = repository
        self._scope = scope
        self._message = message
        self._asked: dict[str, object] = {}  # what somebody was answered

    def answers(self, other: Exceptions) -> bool:
        """Whether this answers all that the other one was asked as the other one did."""
        return all(self._answer(question) == answer for question, answer in other._asked.items())

    def _answer(self, question: str) -> object:
        if question == _REST:
            return self._scope.head
        return self.follow_up if question == _FOLLOW_UP else self.reasons(question)

    def reasons(self, name: str) -> tuple[TrailerReason, ...]:
        """What a trailer says, those that excuse the whole change first."""
        found = tuple(sorted(self._reasons.get(name.lower(), ()), key=lambda reason: bool(reason.merge)))
        self._asked[name] = found
        return found

    def whole(self, name: str) -> TrailerReason | None:
        """The reason that excuses the whole change, if there is one."""
        return next((reason for reason in self.reasons(name) if not reason.merge), None)

    def rest(self, name: str) -> tuple[ChangePart, ...]:
        """What is left of the change where a trailer excuses only some merges, oldest first. Raises GitError."""
        self._asked[_REST] = self._scope.head
        merges = {reason.merge for reason in self.reasons(name)}
        start: str | None = None  # none: where the change begins
        parts: list[ChangePart] = []
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

    def _part(self, start: str | None, end: str | None) -> ChangePart:
        """What lies between two commits, without what came in by merging what the change is compared with."""
        assert self._repository is not None  # there are merges
        changes = self._repository.changes
        if end is None or end == self._scope.head:
            base, whole = self._scope.base, [self._scope.changes]
        else:
            from orchgate.git.history import merge_bases

            bases: tuple[str | None, ...] = merge_bases(self._repository, end, self._bases) or (None,)
            base, whole = bases[0], [changes(one, end) for one in bases]
        if start is None:
            return ChangePart(base, end, merged(whole))
        return ChangePart(start, end, merged([changes(start, end), *whole]))

    @property
    def follow_up(self) -> str:
        """As `_follow_up`, and remembers that it was asked."""
        self._asked[_FOLLOW_UP] = self._follow_up
        return self._follow_up

    @cached_property
    def _follow_up(self) -> str:
        """What earlier commit the change only takes back or completes, by its messages; "" for a change of its own.

        A fixup is one until its branch is pushed: there its own commit is judged with it.
        """
        own = [commit.subject for commit in self._commits.values() if len(commit.parents) < 2]
        if self._message is not None:
            own = [_subject(self._message())]
        if own and all(_REVERT.match(subject) for subject in own):
            return "a revert"
        alone = len(own) == 1 and self._scope.kind in ("staged", "commit")
        return "a fixup of an earlier commit" if alone and _FIXUP.match(own[0]) else ""

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
        return {commit.oid: commit for commit in commits(repository.git, (head, "--not", *self._bases))}

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
    def _reasons(self) -> Mapping[str, list[TrailerReason]]:
        found: dict[str, list[TrailerReason]] = {}
        if self._message is not None:
            for name, values in trailers(self._message()).items():
                found.setdefault(name, []).extend(map(TrailerReason, values))
        merged_by = self._brought_by()
        for commit in self._commits.values():
            for name, values in commit.trailers.items():
                reasons = (TrailerReason(value, commit.oid, merged_by.get(commit.oid, "")) for value in values)
                found.setdefault(name, []).extend(reasons)
        return found

    def _brought_by(self) -> Mapping[str, str]:
        """The merge of the judged branch that brought each commit of a side branch along, the oldest that did."""
        own = {commit.oid for commit in self._chain}
        merged_by: dict[str, str] = {}
        for merge in self._chain:
            waiting = list(merge.parents[1:])
            while waiting:
                oid = waiting.pop()
                if oid in self._commits and oid not in own and oid not in merged_by:
                    merged_by[oid] = merge.oid
                    waiting.extend(self._commits[oid].parents)
        return merged_by
