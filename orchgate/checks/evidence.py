"""Do the links of the documents lead to evidence that exists, is theirs, and shows what they claim?"""

from __future__ import annotations

from collections import Counter
from functools import partial

from orchgate.errors import OrchgateError, quoted
from orchgate.evidence.facts import CitedRuns, cited_anew, may_cite
from orchgate.evidence.packet_evidence import Owners, may_lack_evidence, ticked_findings
from orchgate.evidence.reference_checks import ReferenceChecks, Support
from orchgate.evidence.references import SUMMARY, References
from orchgate.evidence.rules import LOCK, RULES
from orchgate.gate.candidates import is_checked, judged_documents, lost_links, mentioning, taken_away
from orchgate.gate.context import OF_REF
from orchgate.git.snapshot import folders_of
from orchgate.lib.paths import matches
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, cached_property
from orchgate.model import Check, Finding, Location, Outcome, Trouble
from orchgate.references.targets import RUN_ID, TargetReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from orchgate.evidence.claims import RunClaim
    from orchgate.evidence.lock import Lock
    from orchgate.evidence.lock_checks import LockChecks, PinComparison
    from orchgate.gate.context import Context
    from orchgate.git.snapshot import Snapshot
    from orchgate.markdown.document import Document
    from orchgate.packets.layout import Packet
    from orchgate.references.artifacts import Artifacts


OURS = ".orchgate/"  # the folder of pins and signatures
UNJUDGED = "unjudged site links"
BEHIND = (":", "*", "_")  # accept: and **Accept**:, by which an item names a command
TICKED = ("[x]", "[X]")


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
        if _names_commands(document):
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
        self.changed = _repinned(ctx, self.lock) if _moves_lock(ctx) else frozenset()
        self.artifacts = _artifacts(ctx, pins)
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
        numbers = parts.recall("evidence", (path,), 2) if parts is not None and not self.changed else None
        if numbers is not None:
            self.counted.append(numbers)
        return numbers is not None

    def findings(self, documents: Sequence[Document]) -> Iterator[Finding]:
        """What is wrong with documents that are judged themselves."""
        if self._ctx.parts is None:
            for document in documents:
                yield from self.judge.findings(document)
            return
        for part, noted in self._ctx.parts.each("evidence", self._ctx, documents):
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


def run(ctx: Context) -> Outcome:
    paths = judged_documents(ctx)
    try:
        sources = EvidenceSources(ctx, needed=bool(paths) or _moves_lock(ctx) or bool(ctx.config.signatures.required))
    except OrchgateError as error:
        if not hasattr(error, "line"):  # no LockError, which is not imported where there is no lock
            raise
        # Judged without the lock, every pinned artifact would be reported missing: one fault, reported once.
        return Outcome(troubles=(Trouble(Location(LOCK, error.line), error.message, error.hint),))
    read: list[Document] = []
    reported = [
        *_changed(ctx, sources, paths, read),
        *_once(ctx, sources, paths),
        *_untouched(ctx, sources, paths, read),
    ]
    reported += _of_new_claims(ctx, sources, paths) if ctx.share.leads else ()
    findings = (one for one in reported if isinstance(one, Finding))
    troubles = (one for one in reported if isinstance(one, Trouble))
    pins = {"pins": sources.lock.count} if sources.lock and ctx.share.leads else {}  # two processes read one lock
    counted = (*sources.counted, *(judge.numbers for judge in sources.judges))
    links, unjudged = map(sum, zip(*counted, strict=True))
    beside = {UNJUDGED: unjudged} if unjudged else {}
    return Outcome(
        tuple(sorted(findings, key=lambda finding: finding.location)),
        {"documents": len(read) + len(sources.counted), "links": links, **pins, **beside},
        troubles=(*troubles, *sources.troubles),
    )


def _changed(
    ctx: Context, sources: EvidenceSources, paths: list[str], read: list[Document]
) -> Iterator[Finding | Trouble]:
    """What is wrong with the documents that are judged themselves; they are added to `read`."""
    for part in ctx.share.parts(paths):
        documents, unread = ctx.documents.read([path for path in part if not sources.known(path)])
        yield from unread
        read += documents
        yield from sources.findings(documents)


def _once(ctx: Context, sources: EvidenceSources, paths: list[str]) -> Iterator[Finding]:
    """What is said once, by whichever process leads."""
    if ctx.share.leads:
        yield from _required(ctx, sources, paths)
        yield from _tracked(ctx)
        yield from lost_links(ctx)


def _untouched(
    ctx: Context, sources: EvidenceSources, paths: list[str], read: list[Document]
) -> Iterator[Finding | Trouble]:
    """What the change breaks in documents that it leaves alone; they are added to `read`."""
    gone = taken_away(ctx)
    if not gone and not sources.changed:
        return
    documents, unread = ctx.documents.read(mentioning(ctx, gone, _names(sources.changed), frozenset(paths)))
    yield from unread
    read += documents
    for document in documents:
        yield from sources.judge.checks.vanished(document, gone)
        yield from sources.judge.checks.repinned(document, sources.changed)
        yield from sources.judge.summaries(document)


def _moves_lock(ctx: Context) -> bool:
    return any(LOCK in (change.path, change.old_path) for change in ctx.scope.changes)


def _artifacts(ctx: Context, pins: Lock | None) -> Artifacts:
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


def _names(paths: frozenset[str]) -> set[str]:
    """What a document that cites one of the artifacts contains: the id of its run, or its name."""
    runs = {path: RUN_ID.search(path) for path in paths}
    return {run[0] if run else path.rpartition("/")[2] for path, run in runs.items()}


def _tracked(ctx: Context) -> Iterator[Finding]:
    """EVD015, once for each folder of artifacts."""
    for root in ctx.artifacts.roots:
        added = [one.path for one in ctx.scope.changes if one.status == "A" and one.path.startswith(root + "/")]
        if added:
            more = f" and {len(added) - 1} more" if len(added) > 1 else ""
            message = f"{added[0]}{more}: run artifacts are being added to git"
            yield Finding("EVD015", Location(added[0]), message, f"git rm -r --cached {quoted(root)}")


def _required(ctx: Context, sources: EvidenceSources, paths: list[str]) -> Iterator[Finding]:
    kinds = ctx.config.evidence.required_runs
    by_default = ctx.config.origin("evidence.required-runs") == "default"
    if not kinds or (by_default and not ctx.config.pipelines):
        return
    from orchgate.evidence.packet_evidence import missing_runs, required_runs

    required = required_runs(ctx.config)
    if not required:
        return
    for packet in _finished(sources, paths):
        yield from missing_runs(packet, required, ctx.documents.one, sources.artifacts, sources.runs)


def _of_new_claims(ctx: Context, sources: EvidenceSources, paths: list[str]) -> Iterator[Finding | Trouble]:
    """EVD012 and EVD014, asked of what a change adds; of nothing where no run is cited."""
    if ctx.base is not ctx.snapshot and ctx.scope.unknown is not None:
        yield from _unasked(ctx, ctx.scope.unknown)
        return
    new: Sequence[RunClaim] = ()
    if ctx.base is not ctx.snapshot:  # a tree adds nothing to itself
        if any(map(_names_commands, sources.sides[1])):
            from orchgate.acceptance.given_up import given_up

            yield from given_up(*sources.sides, sources.packets, ctx.snapshot)
        new = new_claims(sources)
    if new:
        from orchgate.evidence.run_trees import TreeLookup, other_trees

        ctx.asked(OF_REF)  # where among the commits a run was made
        lookup = TreeLookup(ctx.repository, ctx.scope, ctx.snapshot, ctx.base, ctx.config, started=lambda: ctx.started)
        yield from other_trees(new, sources.runs, lookup.judged)
    if ctx.config.signatures.required:
        yield from _unsigned(ctx, sources, paths, new)


def _names_commands(document: Document) -> bool:
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
    return _added(sources, *sources.sides)


def _added(sources: EvidenceSources, documents: list[Document], old: list[Document]) -> Sequence[RunClaim]:
    if not any(may_cite(document.text) for document in documents):
        return ()
    lines = Counter(line for document in old for line in document.text.split("\n"))
    runs = frozenset(run for document in documents for run in cited_anew(document.text, lines))
    if not runs:
        return ()
    from orchgate.evidence.claims import added

    return added(_claims(sources, documents, runs), _claims(sources, old, runs))


def _claims(sources: EvidenceSources, documents: Iterable[Document], runs: frozenset[str]) -> list[RunClaim]:
    from orchgate.evidence.claims import claims

    found = (claims(one, sources.judge.references, sources.artifacts.roots, runs) for one in documents)
    return [claim for some in found for claim in some]


def _unsigned(
    ctx: Context, sources: EvidenceSources, paths: list[str], new: Sequence[RunClaim]
) -> Iterator[Finding | Trouble]:
    """EVD014. A tree adds nothing to itself; as if its packets were finished, they owe what they would then."""
    if ctx.as_finished:
        new = _added(sources, *_since_base(ctx, paths))
    elif ctx.base is ctx.snapshot:
        return
    packets = list(_finished(sources, paths))
    moved = (path for one in ctx.scope.changes for path in (one.path, one.old_path) if path)
    if not (new or packets or any(path.startswith(OURS) for path in moved)):
        return
    from orchgate.signers.judgement import RunsOfChange, unsigned

    def citing(runs: frozenset[str]) -> Iterable[RunClaim]:
        documents, _ = ctx.documents.read(mentioning(ctx, (), runs, frozenset()))
        return _claims(sources, documents, runs)

    def cited_before(runs: frozenset[str]) -> Iterable[RunClaim]:
        now, before = _since_base(ctx, paths) if ctx.as_finished else sources.sides
        changed = {document.path for document in now}
        documents, _ = ctx.documents.read([p for p in mentioning(ctx, (), runs, frozenset()) if p not in changed])
        return _claims(sources, [*documents, *before], runs)

    found = RunsOfChange(sources.artifacts, sources.runs, sources.changed, citing, cited_before)
    yield from unsigned(ctx, found, new, packets)


def _since_base(ctx: Context, paths: list[str]) -> tuple[list[Document], list[Document]]:
    """The documents of a tree that cite runs and are not as they are at the base, and as they are there."""
    now, before = ctx.snapshot.entries, ctx.base.entries
    documents, _ = ctx.documents.read([path for path in paths if before.get(path) != now[path]])
    citing = {one.path: one.path for one in documents if may_cite(one.text)}
    return [one for one in documents if one.path in citing], list(_at_base(ctx, citing))


def _finished(sources: EvidenceSources, paths: list[str]) -> Iterator[Packet]:
    """The finished packets among those of some documents."""
    judged = {packet.identity: packet for path in paths for packet in sources.packets.of(path)}
    return (packet for packet in judged.values() if sources.packets.is_finished(packet))


def _unasked(ctx: Context, unknown: OrchgateError) -> Iterator[Trouble]:
    """Without a base nobody knows which claims are new; where no run is cited, nobody needs to."""
    documents, _ = ctx.documents.read(judged_documents(ctx))  # also those that another process judges
    if any(may_cite(document.text) for document in documents):
        yield Trouble(Location(""), unknown.message, unknown.hint)


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


def suggest(ctx: Context) -> Callable[[tuple[str, ...]], str]:
    """Finds better hints. Raises LockError where the lock cannot be read, but then nothing was judged."""
    from orchgate.evidence.reference_checks import suggester

    return suggester(ctx.snapshot, _artifacts(ctx, ctx.lock), ctx.documents.one)


CHECK = Check(
    "evidence",
    "links lead to evidence that exists and supports the claim",
    RULES,
    run,
    suggest=suggest,
    shared=True,
    of_tree=True,
    in_documents=True,
)
