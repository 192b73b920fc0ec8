"""Which documents the evidence check judges, what with, and which of their claims a change adds.

A document is judged once, also where it has two names by a symbolic link.
"""

from __future__ import annotations

from collections import Counter
from functools import partial

from orchgate.errors import Unreadable
from orchgate.evidence.facts import CitedRuns, cited_anew, may_cite
from orchgate.evidence.packet_evidence import Owners, may_lack_evidence, ticked_findings
from orchgate.evidence.reference_checks import ReferenceChecks, Support
from orchgate.evidence.references import SUMMARY, References
from orchgate.evidence.rules import CHECK_ID, LOCK
from orchgate.git.snapshot import SUBMODULE, SYMLINK, folders_of
from orchgate.lib.paths import matches
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, cached_property
from orchgate.markdown.parts import is_markdown, is_mdx
from orchgate.model import Finding, Location, Severity
from orchgate.references.targets import TargetReader

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from orchgate.evidence.claims import RunClaim
    from orchgate.evidence.lock import Lock
    from orchgate.evidence.lock_checks import LockChecks, PinComparison
    from orchgate.gate.context import Context
    from orchgate.git.snapshot import Snapshot
    from orchgate.markdown.document import Document
    from orchgate.model import Trouble
    from orchgate.references.artifacts import Artifacts

BEHIND = (":", "*", "_")  # accept: and **Accept**:, by which an item names a command
TICKED = ("[x]", "[X]")
_MANY = 200  # names; from here on reading every document is cheaper than searching for them


def judged_documents(ctx: Context) -> list[str]:
    """The documents whose links are judged, apart from those that mention what a change took away."""
    return [path for path in candidates(ctx) if is_checked(ctx, path)]


def candidates(ctx: Context) -> Collection[str]:
    """Paths that may be documents to judge."""
    if ctx.scope.whole_tree:
        return ctx.snapshot.entries
    return ctx.touched


def is_checked(ctx: Context, path: str) -> bool:
    """Whether a document's links are judged under this name: one that has two by a symbolic link is judged once."""
    if not _is_chosen(ctx, path):
        return False
    mode = ctx.snapshot.entries[path].mode
    if mode == SYMLINK:
        return _is_followed(ctx, path)
    return mode != SUBMODULE and not any(_is_followed(ctx, link) for link in ctx.documents.links.get(path, ()))


def _is_chosen(ctx: Context, path: str) -> bool:
    settings = ctx.config.evidence
    chosen = matches(path, settings.documents) and not matches(path, settings.exclude)
    return chosen and path in ctx.snapshot.entries


def _is_followed(ctx: Context, link: str) -> bool:
    """Whether what a symbolic link leads to is judged under the link's name: a packet's, or no document by itself."""
    if not _is_chosen(ctx, link):
        return False
    from orchgate.references.symlinks import target

    try:
        real = target(ctx.snapshot, link)
    except Unreadable:
        return False
    return not _is_chosen(ctx, real) or (_is_of_packet(ctx, link) and not _is_of_packet(ctx, real))


def _is_of_packet(ctx: Context, path: str) -> bool:
    return next(ctx.packets.layout.documents_among((path,)), None) is not None


def lost_links(ctx: Context) -> Iterator[Finding]:
    """Documents that are symbolic links and lead to no file of the repository, as the change writes or leaves them."""
    entries = ctx.snapshot.entries
    for path in dict.fromkeys((*candidates(ctx), *_bereaved(ctx))):
        if path in entries and entries[path].mode == SYMLINK and _is_chosen(ctx, path):
            from orchgate.references import symlinks

            try:
                symlinks.target(ctx.snapshot, path)
            except Unreadable as error:
                rule = "EVD004" if isinstance(error, symlinks.LeadsOut) else "EVD001"
                weight = Severity.NOTE if isinstance(error, symlinks.InSubmodule) else Severity.ERROR
                yield Finding(rule, Location(path), f"the document {error.message}", error.hint, weight)


def _bereaved(ctx: Context) -> Iterator[str]:
    """Links that led to what the change takes away."""
    changes = () if ctx.scope.whole_tree else ctx.scope.changes
    gone = {one.old_path or one.path for one in changes if one.deleted or one.old_path}
    indirect = ctx.snapshot.indirect if gone else ()
    links = {path for path in indirect if ctx.snapshot.entries[path].mode == SYMLINK}
    if links:
        from orchgate.references import symlinks

        led = symlinks.by_target(ctx.base)
        yield from (link for path in sorted(gone) for link in led.get(path, ()) if link in links)


def taken_away(ctx: Context) -> frozenset[str]:
    """Paths that the change deletes or renames away, and the folders that are empty now."""
    if ctx.scope.whole_tree:
        return frozenset()
    names = (change.path if change.deleted else change.old_path for change in ctx.scope.require_changes())
    gone = {name for name in names if name and name not in ctx.snapshot.entries}
    for path in tuple(gone):
        folder = path.rpartition("/")[0]
        while folder and folder not in ctx.snapshot.folders and folder not in gone:
            gone.add(folder)
            folder = folder.rpartition("/")[0]
    return frozenset(gone)


def mentioning(ctx: Context, gone: Iterable[str], names: Iterable[str], judged: frozenset[str]) -> list[str]:
    """Documents other than the judged ones that may point at paths that are gone, or that hold one of some names."""
    gone = tuple(gone)
    wanted = sorted({path.rpartition("/")[2] for path in gone} | _pages(ctx, gone) | set(names))
    found = ctx.snapshot.mentioning(wanted) if len(wanted) <= _MANY else ctx.snapshot.entries
    return [path for path in sorted(found) if path not in judged and is_checked(ctx, path)]


def _pages(ctx: Context, gone: Iterable[str]) -> set[str]:
    """What pages of a site that are gone are called in links without their suffix."""
    pages = [path for path in gone if is_markdown(path)]
    if not pages:
        return set()
    from orchgate.references.sites import is_configuration, page_name

    sites = ctx.config.evidence.link_roots or any(
        is_mdx(path) or is_configuration(path) for path in ctx.snapshot.entries
    )
    if not sites:
        return set()

    return {page_name(path) for path in pages} - {""}


class DocumentView(NamedTuple):
    """What a document is judged by: `document` parses another one."""

    snapshot: Snapshot
    packets: Owners
    runs: CitedRuns
    document: Callable[[str], Document]
    pins: PinComparison | None


class DocumentJudge(NamedTuple):
    view: DocumentView
    artifacts: Artifacts
    references: References
    support: Support
    checks: ReferenceChecks

    @property
    def numbers(self) -> tuple[int, int]:
        """How many links were looked at, and how many could not be judged."""
        return self.checks.links, self.checks.unjudged

    def findings(self, document: Document) -> Iterator[Finding]:
        """What is wrong with a document that is judged itself."""
        yield from self.checks.findings(document)
        yield from self.checks.undefined(document)
        yield from self.summaries(document)
        if names_commands(document):
            from orchgate.acceptance.findings import unproven

            yield from unproven(document, self.view.packets, self.view.runs, self.artifacts.roots, self.view.snapshot)
        if may_lack_evidence(document.text):
            packets, path = self.view.packets, document.path
            yield from ticked_findings(document, packets.kinds(path), partial(packets.finished, path))

    def summaries(self, document: Document) -> Iterable[Finding]:
        """EVD011. Few documents have a summary, and the rest of them should not wait for its module."""
        if SUMMARY not in document.text:
            return ()
        from orchgate.evidence import summary

        return summary.findings(document, self.view.runs, self.artifacts)


_TROUBLES: tuple[Callable[[DocumentJudge], Mapping[str, Trouble]], ...] = (
    lambda judge: judge.checks.troubles,
    lambda judge: judge.support.troubles,
)


class EvidenceSources:
    """What one judgement is made with.

    `lock` is None where the judged tree keeps none. `changed` are the artifacts whose pins the change takes away or
    alters, and the folders above them. Raises LockError.
    """

    def __init__(self, ctx: Context, *, needed: bool) -> None:
        self._ctx = ctx
        self.lock = pins = ctx.lock if needed else None
        self.changed = _repinned(ctx, self.lock) if moves_lock(ctx) else frozenset()
        self.artifacts = artifacts_of(ctx, pins)
        self.packets = Owners(ctx.packets, ctx.documents.one, whole=ctx.scope.whole_tree)
        self.runs = CitedRuns(ctx.snapshot, self.artifacts, ctx.config.manifests.max_bytes, self.lock)
        self.reader = TargetReader(self.artifacts.roots)
        self.judges: list[DocumentJudge] = []
        self.counted: list[tuple[int, ...]] = []  # links and unjudged ones of documents that need no judging
        self.judge = self._judge(
            DocumentView(ctx.snapshot, self.packets, self.runs, ctx.documents.one, self.comparison)
        )

    def _judge(self, view: DocumentView) -> DocumentJudge:
        artifacts = self.artifacts
        references = References(
            view.snapshot, artifacts, view.packets, self._ctx.config.evidence.link_roots, self.reader
        )
        support = Support(references, view.packets, view.runs, artifacts, kept=self._kept(view))
        checks = ReferenceChecks(
            view.snapshot, artifacts, view.packets, references=references, support=support, document=view.document
        )
        self.judges.append(DocumentJudge(view, artifacts, references, support, checks))
        return self.judges[-1]

    def known(self, path: str) -> bool:
        """Whether a document needs no judging; then its links are counted."""
        parts = self._ctx.parts
        numbers = parts.recall(CHECK_ID, (path,), 2) if parts is not None and not self.changed else None
        if numbers is not None:
            self.counted.append(numbers)
        return numbers is not None

    def findings(self, documents: Sequence[Document]) -> Iterator[Finding]:
        """What is wrong with documents that are judged themselves."""
        if self._ctx.parts is None:
            for document in documents:
                yield from self.judge.findings(document)
            return
        for part, noted in self._ctx.parts.each(CHECK_ID, self._ctx, documents):
            noted.content(LOCK)
            packets, runs = noted.owners(self.packets), noted.runs(self.runs)
            pins = noted.pins(self.comparison) if self.comparison else None
            judge = self._judge(DocumentView(noted.tree, packets, runs, noted.document, pins))
            for document in part:
                links, unjudged = judge.numbers
                yield from judge.findings(document)
                noted.add((document.path,), (judge.checks.links - links, judge.checks.unjudged - unjudged))
            if self.changed:
                noted.never()

    @cached_property
    def sides(self) -> tuple[list[Document], list[Document]]:
        """The touched documents, and where one of them may claim anything, all of them as they were."""
        ctx = self._ctx
        touched, _ = ctx.documents.read(
            [path for path in ctx.touched if is_checked(ctx, path)]
        )  # of the unread was told
        claiming = any(_may_claim(document.text) for document in touched)
        return touched, list(_as_they_were(ctx)) if claiming else []

    def _kept(self, view: DocumentView) -> LockChecks | None:
        """Findings about pins; None where neither this tree nor the one before has a lock."""
        if view.pins is None:
            return None
        from orchgate.evidence.lock import Lock
        from orchgate.evidence.lock_checks import LockChecks

        return LockChecks(view.snapshot, self.artifacts.roots, self.lock or Lock(), view.pins)

    @cached_property
    def comparison(self) -> PinComparison | None:
        if self.lock is None and not self.changed:
            return None
        from orchgate.evidence.lock_checks import PinComparison

        config = self._ctx.config
        return PinComparison(self.artifacts, config.evidence.max_artifact_bytes, config.manifests.max_bytes)

    @property
    def troubles(self) -> Iterable[Trouble]:
        compared = self.comparison.troubles.values() if self.comparison else ()
        found = ({path: one for judge in self.judges for path, one in of(judge).items()} for of in _TROUBLES)
        return (*(trouble for troubles in found for trouble in troubles.values()), *compared)


def moves_lock(ctx: Context) -> bool:
    return any(LOCK in (change.path, change.old_path) for change in ctx.scope.changes)


def artifacts_of(ctx: Context, pins: Lock | None) -> Artifacts:
    """What is on disk or pinned."""
    return ctx.artifacts_with(pins) if pins is not None else ctx.artifacts


def _repinned(ctx: Context, lock: Lock | None) -> frozenset[str]:
    """Artifacts whose pins the change takes away or alters, and the folders above them.

    A base whose lock cannot be read says nothing: then every pin may have been altered.
    """
    from orchgate.evidence.kept_lock import of
    from orchgate.evidence.lock import Lock, LockError

    now = lock or Lock()
    try:
        before = of(ctx.base, ctx.base.cache)
        changed = before.differing(now) if before else set()
    except LockError:
        changed = set(now.pins)
    return folders_of(changed) - {""} | changed


def names_commands(document: Document) -> bool:
    """Whether an item of a document may name the command that proves it; of most, the word is nowhere."""
    text, at = document.text, -1
    while (at := text.find("ccept", at + 1)) >= 0:
        if text[at + 5 : at + 6] in BEHIND:
            return True
    return False


def _may_claim(text: str) -> bool:
    """Whether a document may rest on a run."""
    return any(mark in text for mark in TICKED) or may_cite(text)


def new_claims(sources: EvidenceSources) -> Sequence[RunClaim]:
    """The sentences that a change adds and that rest on runs."""
    return added_claims(sources, *sources.sides)


def added_claims(
    sources: EvidenceSources, documents: list[Document], old: list[Document], *, lost: bool = False
) -> Sequence[RunClaim]:
    """Those of some documents that are not in the old ones; `lost`: by runs that are nowhere."""
    if not any(may_cite(document.text) for document in documents):
        return ()
    lines = Counter(line for document in old for line in document.text.split("\n"))
    runs = frozenset(run for document in documents for run in cited_anew(document.text, lines))
    if not runs:
        return ()
    from orchgate.evidence.claims import added

    return added(*(claims_of(sources, some, runs, lost=lost) for some in (documents, old)))


def claims_of(
    sources: EvidenceSources, documents: Iterable[Document], runs: frozenset[str], *, lost: bool = False
) -> list[RunClaim]:
    from orchgate.evidence.claims import claims

    read = sources.judge.references, sources.artifacts.roots, runs
    found = (claims(one, *read, lost=lost) for one in documents)
    return [claim for some in found for claim in some]


def since_base(ctx: Context, paths: list[str]) -> tuple[list[Document], list[Document]]:
    """The documents of a tree that cite runs and are not as they are at the base, and as they are there."""
    now, before = ctx.snapshot.entries, ctx.base.entries
    documents, _ = ctx.documents.read([path for path in paths if before.get(path) != now[path]])
    citing = {one.path: one.path for one in documents if may_cite(one.text)}
    return [one for one in documents if one.path in citing], list(_at_base(ctx, citing))


def _as_they_were(ctx: Context) -> Iterator[Document]:
    """The touched documents before the change, under the names they have now."""
    names = {change.old_path or change.path: change.path for change in ctx.scope.changes if change.status != "A"}
    wanted = (name for name in names if matches(name, ctx.config.evidence.documents))
    return _at_base(ctx, {name: names[name] for name in wanted})


def _at_base(ctx: Context, names: Mapping[str, str]) -> Iterator[Document]:
    """Documents of the base, under other names."""
    from orchgate.gate.documents import MAX_BYTES
    from orchgate.markdown.document import Document

    for name, content in ctx.base.read_many(names, MAX_BYTES):
        if isinstance(content, bytes):
            yield Document(names[name], content)
