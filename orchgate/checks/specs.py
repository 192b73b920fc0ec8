"""Code changes come with a spec: does the task behind this change have one, and is it fresh?"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.config.keys import FEWER, GLOBS, MORE, SEEN, key
from orchgate.errors import quoted
from orchgate.lib.globs import matches
from orchgate.model import Check, Finding, Location, Outcome, Rule, Severity
from orchgate.packets.progress import packets_in_work, packets_named_in
from orchgate.packets.review import KEY, date_of, last_review

if TYPE_CHECKING:
    from orchgate.gate.context import Context
    from orchgate.model import Change, Trouble
    from orchgate.packets.catalog import Packets
    from orchgate.packets.layout import Layout
    from orchgate.packets.packet import Packet

SPECS = ("tech-spec", "mini-spec")
TRAILER = "task"

RULES = (
    Rule(
        "SPC001",
        "code changed and the task has no fresh spec",
        Severity.ERROR,
        what="The change touches code (`specs.paths`), and no task it belongs to has a TECH_SPEC or a mini-spec in the "
        "tree. The task is the one whose packet the change touches, else the one that the branch or a `Task:` trailer "
        "names, else any task of the list that is in progress. The spec may have landed earlier. Its `last_review` "
        "counts only when this change edits the spec.",
        why="A spec written after the code only describes the code. Asking for it in the same diff, or at a fixed age, "
        "would make people touch files to please the gate.",
        bad="src/start.py changes on branch 0007-faster-start, and tasks/specs/0007-faster-start.md was deleted",
        good="src/start.py changes on branch 0007-faster-start, and docs/TECH_SPEC-faster-start.md is in the tree",
    ),
)


class Code(NamedTuple):
    paths: tuple[str, ...] = key(
        GLOBS,
        (),
        "code that needs a task's spec, as globs; none: the check has nothing to do",
        SEEN,
        FEWER,
        governs=("SPC",),
        was="specs.code",
    )
    exclude: tuple[str, ...] = key(
        GLOBS, (), "code that needs none, as globs", SEEN, MORE, governs=("SPC",), was="specs.exempt", common=True
    )


class _Behind(NamedTuple):
    """The packets of the tasks behind a change, and what points to them. `names` are tasks named without a packet."""

    packets: tuple[Packet, ...]
    by: str
    names: tuple[str, ...] = ()
    partly: bool = False  # named only by commits that merges brought along


def run(ctx: Context) -> Outcome:
    """Judges the change; there is nothing to do where no code is configured."""
    if not ctx.config.of(Code).paths:
        return Outcome(examined={"code files": 0})
    changes = ctx.scope.require_changes()
    code = [change.path for change in changes if any(_is_code(ctx, path) for path in _paths(change))]
    if not code:
        return Outcome(examined={"code files": 0})
    known, troubles = ctx.packets, ctx.packets.troubles
    behind = _behind(ctx, known, changes)
    parts = [(behind, code)]
    if uncovered := _uncovered(ctx, behind):
        covered = [path for path in code if path not in uncovered]
        parts = [
            (_Behind(packets_in_work(ctx.config.documents, known.all), ""), uncovered),
            *([(behind, covered)] if covered else []),
        ]
    findings: list[Finding] = []
    specs: list[str] = []
    for named, paths in parts:
        own = list(dict.fromkeys(path for packet in named.packets for path in _specs(packet)))
        specs += own
        if own:
            stale, unread = _stale(ctx, own, changes)
            findings += stale
            troubles = (*troubles, *unread)
        elif named.packets or not troubles:  # otherwise whether a task is in work cannot be known: the trouble says so
            findings.append(_missing(ctx, known.layout, named, paths))
    return Outcome(tuple(findings), {"code files": len(code), "specs": len(specs)}, troubles=troubles)


def _paths(change: Change) -> tuple[str, ...]:
    return (change.path, change.old_path) if change.old_path else (change.path,)


def _is_code(ctx: Context, path: str) -> bool:
    code = ctx.config.of(Code)
    return matches(path, code.paths) and not matches(path, code.exclude)


def _specs(packet: Packet) -> list[str]:
    return [packet.documents[kind] for kind in SPECS if kind in packet.documents]


def _behind(ctx: Context, known: Packets, changes: tuple[Change, ...]) -> _Behind:
    """The tasks behind a change: of its documents, else of its branch, else of its trailers, else those in work."""
    places = list(known.layout.documents_among(path for change in changes for path in _paths(change)))
    if places:
        touched = {name for place in places for name in (place.task, place.slug) if name}
        own = known.of({place.path for place in places})
        if not own:  # what the change touches is gone; others of its packet may be left
            own = tuple(packet for packet in known.all if not touched.isdisjoint(packet.names))
        return _Behind(own, "the documents of this change", tuple(sorted(touched)))
    if named := packets_named_in(ctx.branch, known.all):
        return _Behind(named, f"branch {ctx.branch}")
    reasons = ctx.exceptions.reasons(TRAILER)
    if reasons:
        values = tuple(reason.text for reason in reasons)
        found = tuple(packet for value in values for packet in packets_named_in(value, known.all))
        return _Behind(found, f"trailer Task: {values[0]}", values, partly=bool(reasons[0].merge))
    return _Behind(packets_in_work(ctx.config.documents, known.all), "")


def _uncovered(ctx: Context, behind: _Behind) -> list[str]:
    """Changed code that is no part of the merges whose commits name a task, where no other commit does."""
    if not behind.partly:
        return []
    changes = (change for part in ctx.exceptions.rest(TRAILER) for change in part.changes)
    return [change.path for change in changes if any(_is_code(ctx, path) for path in _paths(change))]


def _stale(ctx: Context, specs: list[str], changes: tuple[Change, ...]) -> tuple[list[Finding], tuple[Trouble, ...]]:
    """Findings for specs that this change edits and leaves with an old review; none as long as one of them is fresh."""
    edited = {change.path for change in changes if not change.deleted and (change.status != "R" or change.added)}
    documents, troubles = ctx.documents.read([path for path in specs if path in edited])
    limit = ctx.config.review.spec_max_age_days
    findings: list[Finding] = []
    for document in documents:
        value = last_review(document)
        reviewed = date_of(value) if value else None
        if reviewed is None:
            return [], tuple(troubles)  # no date claims nothing; a wrong one is DOC007's
        age = (ctx.today - reviewed).days
        if age <= limit:
            return [], tuple(troubles)
        message = f"the spec of the changed code was last reviewed {age} days ago (limit {limit})"
        hint = f"review it, then set {KEY}: {ctx.today.isoformat()}"
        findings.append(Finding("SPC001", document.location(document.text.index(KEY)), message, hint))
    return findings, tuple(troubles)


def _missing(ctx: Context, layout: Layout, behind: _Behind, code: list[str]) -> Finding:
    changed = f"{len(code):,} code file{'s' * (len(code) != 1)} changed"
    where = Location(code[0])
    if behind.packets:
        packet = behind.packets[0]
        path = layout.path("tech-spec", slug=packet.slug or packet.name, task=packet.name)
        source = f" (named by {behind.by})" if behind.by else ""
        return Finding(
            "SPC001",
            where,
            f"{changed}, but task {packet.name}{source} has no TECH_SPEC or mini-spec",
            f"write {path}, or start a whole packet with `orchgate new`"
            if path
            else "documents.paths.tech-spec names no place for one",
            excuse="" if behind.by else TRAILER.capitalize(),
        )
    if behind.names:
        message = f"{changed}, but task {behind.names[0]} (named by {behind.by}) has no packet"
        return Finding("SPC001", where, message, f"orchgate new {quoted(behind.names[0])}")
    message = f"cannot tell which task this change belongs to ({changed})"
    index = ctx.config.documents.task_index
    none = f"; no task in {index} is in progress" if index in ctx.snapshot.entries else ""
    hint = "name the task in the branch or in a commit trailer `Task: …`, or start one with `orchgate new`"
    return Finding("SPC001", where, message + none, hint, excuse=TRAILER.capitalize())


CHECK = Check("specs", "changed code has a spec that was reviewed recently", RULES, run, excusable=True, keys=Code)
