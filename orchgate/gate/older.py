"""Findings that were there before the change: they are counted, and not charged to it.

The base is judged by the same configuration, and only where the change has findings, in the documents that they are
in. Two findings are the same fault where check, rule, document and what they are about are the same; a renamed
document is the same one. Each counts once: a fault that was doubled is new once. What weighs more than it did, such as
an empty section of a packet that this change calls finished, is new.

Words that a change moves from one of its documents to another take their faults along: what is new where it is now is
looked for a second time, among the faults that left the change's other documents together with their words. A copy is
new, since the original stayed.
"""

from __future__ import annotations

from orchgate.errors import Unreadable
from orchgate.gate.context import ALL
from orchgate.gate.documents import ParsedDocuments
from orchgate.gate.suppressions import (
    ACROSS,
    ELSEWHERE,
    GONE,
    KNOWN,
    MOVED,
    WRITTEN,
    EarlierFaults,
    faults_of,
    paths_of,
)
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.markdown.parts import is_markdown
from orchgate.model import ABSENT, Change, Diagnostic, Location, Scope, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from orchgate.config.settings import Config
    from orchgate.gate.context import Context
    from orchgate.gate.suppressions import Fault
    from orchgate.git.snapshot import Snapshot, TreeEntry
    from orchgate.model import Check, CheckResult, Finding

    Judge = Callable[[Context, Check], CheckResult]


class Base(NamedTuple):
    """A tree that the change is compared with, and its commit."""

    commit: str
    tree: Snapshot


class Comparison:
    """Of one judgement. `judge` gives a check's result for another context."""

    def __init__(self, ctx: Context, judge: Judge) -> None:
        self._ctx = ctx
        self._judge = judge
        self._old_names = {change.path: change.old_path for change in ctx.scope.changes if change.old_path}
        self._contexts: dict[str, Context] = {}

    def compared(self, check: Check, result: CheckResult) -> CheckResult:
        """The result with those findings marked that the base had too; verdict and the rest are as they were."""
        charged = [(at, one) for at, one in enumerate(result.diagnostics) if _may_be_older(one)]
        if nothing_before(self._ctx):
            return self._compared_with_known(check, result, charged)
        same = self._same(check)
        older = {at for at, one in charged if _stands_in(one, same)}
        charged = [one for one in charged if one[0] not in older]
        uncompared: dict[Trouble, None] = {}
        crash = result.crash
        bases = tuple(self._bases)
        for base in bases:
            paths = self._wanted(base, check, [one.finding for _, one in charged])
            if not paths:
                continue
            before = self._judge(self._context(base, paths), check)
            uncompared.update(dict.fromkeys(_concerning(before.troubles, paths)))
            crash = crash or before.crash
            there = [one for one in self._there(base, before) if not _stands_in(one, same)]
            older.update(self._matched(charged, there))
        left = [one for one in charged if one[0] not in older and one[1].finding.rule in WRITTEN]
        for base in bases if left else ():
            older.update(self._moved(base, check, result.diagnostics, left))
        return _marked(result, older)._replace(crash=crash, uncompared=tuple(uncompared))

    def _compared_with_known(
        self, check: Check, result: CheckResult, charged: list[tuple[int, Diagnostic]]
    ) -> CheckResult:
        """As `compared`, where only the list of what was there at adoption can tell."""
        from orchgate.gate import known

        try:
            listed = known.of(self._ctx.snapshot)
        except known.KnownError as error:
            trouble = Trouble(Location(KNOWN), error.message, error.hint)
            return result._replace(troubles=(*result.troubles, trouble))
        earlier = listed.earlier(self._ctx.snapshot.entries, frozenset(rule.id for rule in check.rules))
        here, moved = known.excused(earlier, charged)
        compared = _marked(result, here | moved)
        if not self._ctx.scope.whole_tree:
            return compared
        return compared._replace(facts={**result.facts, GONE: earlier.left, MOVED: len(moved)})

    @property
    def before(self) -> Context | None:
        """The base, where it is judged as the tree is: then what is the same in both need not be judged there."""
        ctx = self._ctx
        base = next(self._bases, None) if ctx.layout is None else None
        if base is None or _for_tree(ctx, base.tree.entries) is not ctx.config:
            return None
        return self._whole(base)

    def _same(self, check: Check) -> Collection[str]:
        """Documents of which the base's findings are known: they are those of the tree."""
        parts = self._ctx.parts
        return parts.same_in(check.id) if parts is not None else ()

    @property
    def _bases(self) -> Iterator[Base]:
        scope, repository = self._ctx.scope, self._ctx.repository
        if scope.base is None or repository is None:
            return
        yield Base(scope.base, self._ctx.base)
        yield from (Base(commit, repository.tree(commit)) for commit in scope.beside)

    def _wanted(self, base: Base, check: Check, findings: Iterable[Finding]) -> tuple[str, ...]:
        """Paths of the base that have to be judged to compare the findings; none where all of it is new."""
        places = dict.fromkeys(place for finding in findings for place in self._documents(finding))
        if check.again is not None:
            return tuple(dict.fromkeys(check.again(self._ctx, base.tree, places)))
        return tuple(place for place in places if place in base.tree.entries)

    def _documents(self, finding: Finding) -> tuple[str, ...]:
        """The documents of a finding, by the names they had."""
        paths = paths_of(finding)
        return tuple(dict.fromkeys(self._old_names.get(path, path) for path in paths)) if self._old_names else paths

    def _context(self, base: Base, paths: tuple[str, ...]) -> Context:
        """The base as if some of its documents had just been written, by the configuration that judges the change."""
        made, entries = self._whole(base), base.tree.entries
        changes = tuple(_unchanged(path, entries.get(path)) for path in paths)
        scope = Scope("commit", base.commit, base.commit, changes, origin=self._ctx.scope.origin)
        return made.of_same_tree(scope)

    def _whole(self, base: Base) -> Context:
        ctx, entries = self._ctx, base.tree.entries
        if base.commit not in self._contexts:
            made = ctx._replace(
                config=_for_tree(ctx, entries),
                proposed=ctx.accepted or ctx.proposed,
                accepted=None,
                snapshot=base.tree,
                base=base.tree,
                documents=ParsedDocuments(base.tree, ctx.documents),
                layout=None,
                engine=None,
                share=ALL,
            )
            self._contexts[base.commit] = made.with_packets_beside(ctx)
        return self._contexts[base.commit]

    def _there(self, base: Base, before: CheckResult) -> list[Diagnostic]:
        """What counted in the base; not what a check found on disk for it, in a file that the change adds."""
        entries, now = base.tree.entries, self._ctx.snapshot.entries
        places = ((one.finding.location.path, one) for one in before.diagnostics if one.suppressed is None)
        return [one for path, one in places if path in entries or path not in now]

    def _matched(self, now: Sequence[tuple[int, Diagnostic]], there: Sequence[Diagnostic]) -> Iterator[int]:
        """Numbers of the findings that were there before: those that nothing happened to, then those that moved."""
        unchanged, left, rest = _paired(now, there, self._old_names)
        yield from unchanged
        if not left:
            return
        places = ((one.finding.rule, one.finding.location) for one in there)
        earlier = EarlierFaults((fault for one in rest for fault in faults_of(one)), places)
        for at, diagnostic in earlier.order(left):
            documents = self._documents(diagnostic.finding)
            if earlier.excuse([fault._replace(paths=documents) for fault in faults_of(diagnostic)]):
                yield at

    def _moved(
        self, base: Base, check: Check, now: Iterable[Diagnostic], left: Sequence[tuple[int, Diagnostic]]
    ) -> Iterator[int]:
        """Numbers of those findings that left another document of the change, with their words."""
        changes = (one for one in self._ctx.scope.changes if one.status != "A")
        names = {one.old_path or one.path: "" if one.deleted else one.path for one in changes}
        sources = tuple(path for path in names if is_markdown(path) and path in base.tree.entries)
        if not sources:
            return
        wanted = {(fault.rule, fault.about) for _, one in left for fault in faults_of(one)}
        before = self._there(base, self._judge(self._context(base, sources), check))
        found = (fault for one in before for fault in faults_of(one) if (fault.rule, fault.about) in wanted)
        texts = _Texts(base.tree, self._ctx.snapshot)
        gone = [fault for fault in found if texts.lost(fault, names)]
        earlier = EarlierFaults(gone, movable=lambda _: True)
        for diagnostic in now if gone else ():  # what stayed, however it weighs and whatever excuses it
            documents = self._documents(diagnostic.finding)
            for fault in faults_of(diagnostic):
                earlier.excuse([fault._replace(paths=documents, weight=0)])
        for at, diagnostic in earlier.order(left) if gone else ():
            if earlier.excuse([fault._replace(paths=(ELSEWHERE,)) for fault in faults_of(diagnostic)]):
                yield at


class _Texts:
    """Texts of documents in the base and now."""

    def __init__(self, before: Snapshot, now: Snapshot) -> None:
        self._trees = (before, now)
        self._read: dict[tuple[int, str], bytes | None] = {}

    def lost(self, fault: Fault, names: Mapping[str, str]) -> bool:
        """Whether the words of a fault are fewer than they were, by the document's name in the base and now."""
        path = fault.paths[0]
        words = fault.words.encode("utf-8", "surrogateescape")
        before, now = self._text(0, path), self._text(1, names[path]) if path in names else None
        return bool(words) and before is not None and now is not None and now.count(words) < before.count(words)

    def _text(self, tree: int, path: str) -> bytes | None:
        """None for what cannot be read; empty where it is deleted."""
        if (tree, path) not in self._read:
            try:
                self._read[tree, path] = self._trees[tree].read(path) if path else b""
            except Unreadable:
                self._read[tree, path] = None
        return self._read[tree, path]


def _may_be_older(diagnostic: Diagnostic) -> bool:
    return diagnostic.suppressed is None and not diagnostic.finding.own


def _stands_in(diagnostic: Diagnostic, documents: Collection[str]) -> bool:
    """Whether a finding is about one of some documents, and about no other one."""
    finding = diagnostic.finding
    return finding.location.path in documents and not finding.documents and finding.rule not in ACROSS


def _for_tree(ctx: Context, entries: Collection[str]) -> Config:
    """The configuration that judges the change; a task list that the change moves is still where it was."""
    documents, before = ctx.config.documents, ctx.limits.documents.task_index
    if documents.task_index in entries or before not in entries:
        return ctx.config
    return ctx.config._replace(documents=documents._replace(task_index=before))


def nothing_before(ctx: Context) -> bool:
    """Whether there is nothing to compare the tree with: no base, or one that is the tree itself."""
    scope = ctx.scope
    return scope.base is None or scope.unknown is not None or (scope.whole_tree and not scope.changes)


def _paired(
    now: Iterable[tuple[int, Diagnostic]], there: Iterable[Diagnostic], renamed: Collection[str]
) -> tuple[list[int], list[tuple[int, Diagnostic]], list[Diagnostic]]:
    """Numbers of the findings that stand in one document as they did, and what is left of both sides.

    In a large tree these are nearly all, and each is found with one look.
    """
    waiting: dict[tuple[object, ...], list[Diagnostic]] = {}
    rest: list[Diagnostic] = []
    for one in there:
        if one.finding.documents:
            rest.append(one)
        else:
            waiting.setdefault(_identity(one.finding), []).append(one)
    unchanged: list[int] = []
    left: list[tuple[int, Diagnostic]] = []
    for at, one in now:
        apart = one.finding.documents or one.finding.location.path in renamed
        same = None if apart else waiting.get(_identity(one.finding))
        if same and same[-1].severity is one.severity:
            same.pop()
            unchanged.append(at)
        else:
            left.append((at, one))
    return unchanged, left, [*rest, *(one for same in waiting.values() for one in same)]


def _identity(finding: Finding) -> tuple[object, ...]:
    return finding.rule, finding.location, finding.about or finding.message


def _marked(result: CheckResult, older: Collection[int]) -> CheckResult:
    if not older:
        return result
    marked = (_as_older(one) if at in older else one for at, one in enumerate(result.diagnostics))
    return result._replace(diagnostics=tuple(marked))


def _as_older(one: Diagnostic) -> Diagnostic:
    return Diagnostic(one.check, one.severity, one.finding, one.suppressed, older=True, in_source=one.in_source)


def _unchanged(path: str, entry: TreeEntry | None) -> Change:
    mode, oid = entry or ("100644", ABSENT)
    return Change("M", path, None, mode, mode, oid, oid, 0, 0)


def _concerning(troubles: Iterable[Trouble], paths: Sequence[str]) -> Iterator[Trouble]:
    """What keeps the judged documents from being compared."""
    yield from (one for one in troubles if not one.location.path or one.location.path in paths)
