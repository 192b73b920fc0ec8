"""Do the links of the documents lead to evidence that exists, is theirs, and shows what they claim?"""

from __future__ import annotations

from orchgate.errors import OrchgateError, quoted
from orchgate.evidence.facts import may_cite
from orchgate.evidence.rules import CHECK_ID, LOCK, RULES
from orchgate.gate.context import OF_REF
from orchgate.gate.evidence_sources import (
    EvidenceSources,
    added_claims,
    artifacts_of,
    claims_of,
    judged_documents,
    lost_links,
    mentioning,
    moves_lock,
    names_commands,
    new_claims,
    since_base,
    taken_away,
)
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Check, Finding, Location, Outcome, Trouble
from orchgate.references.targets import RUN_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from orchgate.evidence.claims import RunClaim
    from orchgate.gate.context import Context
    from orchgate.markdown.document import Document
    from orchgate.packets.layout import Packet


OURS = ".orchgate/"  # the folder of pins and signatures
UNJUDGED = "unjudged site links"


def run(ctx: Context) -> Outcome:
    paths = judged_documents(ctx)
    try:
        sources = EvidenceSources(ctx, needed=bool(paths) or moves_lock(ctx) or bool(ctx.config.signatures.required))
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
        if any(map(names_commands, sources.sides[1])):
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


def _unsigned(
    ctx: Context, sources: EvidenceSources, paths: list[str], new: Sequence[RunClaim]
) -> Iterator[Finding | Trouble]:
    """EVD014. A tree adds nothing to itself; as if its packets were finished, they owe what they would then."""
    sides = since_base(ctx, paths) if ctx.as_finished else sources.sides
    if ctx.as_finished:
        new = added_claims(sources, *sides)
    elif ctx.base is ctx.snapshot:
        return
    lost = added_claims(sources, *sides, lost=True)
    packets = list(_finished(sources, paths))
    moved = (path for one in ctx.scope.changes for path in (one.path, one.old_path) if path)
    if not (new or lost or packets or any(path.startswith(OURS) for path in moved)):
        return
    from orchgate.signers.judgement import RunsOfChange, unsigned

    def citing(runs: frozenset[str]) -> Iterable[RunClaim]:
        documents, _ = ctx.documents.read(mentioning(ctx, (), runs, frozenset()))
        return claims_of(sources, documents, runs)

    def cited_before(runs: frozenset[str]) -> Iterable[RunClaim]:
        now, before = since_base(ctx, paths) if ctx.as_finished else sources.sides
        changed = {document.path for document in now}
        documents, _ = ctx.documents.read([p for p in mentioning(ctx, (), runs, frozenset()) if p not in changed])
        return claims_of(sources, [*documents, *before], runs)

    found = RunsOfChange(sources.artifacts, sources.runs, sources.changed, citing, cited_before)
    yield from unsigned(ctx, found, new, packets, lost)


def _finished(sources: EvidenceSources, paths: list[str]) -> Iterator[Packet]:
    """The finished packets among those of some documents."""
    judged = {packet.identity: packet for path in paths for packet in sources.packets.of(path)}
    return (packet for packet in judged.values() if sources.packets.is_finished(packet))


def _unasked(ctx: Context, unknown: OrchgateError) -> Iterator[Trouble]:
    """Without a base nobody knows which claims are new; where no run is cited, nobody needs to."""
    documents, _ = ctx.documents.read(judged_documents(ctx))  # also those that another process judges
    if any(may_cite(document.text) for document in documents):
        yield Trouble(Location(""), unknown.message, unknown.hint)


def suggest(ctx: Context) -> Callable[[tuple[str, ...]], str]:
    """Finds better hints. Raises LockError where the lock cannot be read, but then nothing was judged."""
    from orchgate.evidence.reference_checks import suggester

    return suggester(ctx.snapshot, artifacts_of(ctx, ctx.lock), ctx.documents.one)


CHECK = Check(
    CHECK_ID,
    "links lead to evidence that exists and supports the claim",
    RULES,
    run,
    suggest=suggest,
    shared=True,
    of_tree=True,
    in_documents=True,
)
