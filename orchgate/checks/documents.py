"""Packets: are the documents of a task there, filled in, and in agreement with each other?"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.model import Check, Finding, Location, Outcome, Rule, Severity
from orchgate.packets import approvals, sections
from orchgate.packets.agreement import disagreements
from orchgate.packets.layout import TITLES
from orchgate.packets.review import review_of
from orchgate.packets.selection import Selection, select
from orchgate.packets.standing import Standing, standing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.gate.context import Context
    from orchgate.markdown.document import Document
    from orchgate.packets.packet import Packet

LISTED = 8  # approvals that one message names

RULES = (
    Rule(
        "DOC001",
        "missing document",
        Severity.ERROR,
        what="A packet lacks one of the documents that `documents.required` asks of every packet. A document that"
        " this change deletes or renames counts as missing as long as others of its packet remain.",
        why="Each document answers a question of its own: why, how, in which steps, what is left. A packet"
        " without one of them looks complete to everybody who does not count.",
        bad="docs/PRD-faster-start.md without docs/ACTION_PLAN-faster-start.md",
        good="docs/PRD-, docs/TECH_SPEC-, docs/ACTION_PLAN-faster-start.md and tasks/tasks-0007-faster-start.md",
    ),
    Rule(
        "DOC002",
        "missing section",
        Severity.ERROR,
        what="A document has no heading for a section that `documents.required-sections` asks of its kind. Case,"
        " markup, numbering, a suffix in parentheses and `&` for `and` make no difference; headings in code do"
        " not count.",
        why="Readers and tools look for decisions, steps and results under known names. What has no place is not"
        " written.",
        bad="a PRD that never says what it leaves out",
        good="## Non-Goals",
    ),
    Rule(
        "DOC003",
        "empty section",
        Severity.WARNING,
        what="A required section holds nothing but blank lines, comments or bare bullets. It is a warning while"
        " the work goes on, and an error once the packet is finished.",
        why="A heading without text passes for an answer. In a fresh packet it is the list of what the author owes.",
        bad="## Goals\n<!-- what will be better afterwards? -->",
        good="## Goals\n- A run starts within 50 ms.",
        worst=Severity.ERROR,
    ),
    Rule(
        "DOC004",
        "placeholder left in a finished packet",
        Severity.ERROR,
        what="A document of a finished packet still holds a word that stands for a value"
        " (`documents.placeholders`). Only values count: code, comments and mentions in the middle of a"
        " sentence do not.",
        why="While the work goes on a placeholder is a promise. Once the packet is called done nobody comes back"
        " to it.",
        bad="- Measured impact: TBD",
        good="- Measured impact: 70.2 s -> 58.9 s over 12 runs",
    ),
    Rule(
        "DOC005",
        "packet disagrees about its task",
        Severity.ERROR,
        what="The documents of a packet name different tasks: by their first heading, the links in the checklist's"
        " header, `relates_to`, the task list, or by file names that are only alike.",
        why="Evidence and approvals are looked up by task. A copied header sends both to somebody else's packet.",
        bad="tasks/tasks-0007-faster-start.md: - Primary PRD: `docs/PRD-slower-start.md`",
        good="tasks/tasks-0007-faster-start.md: - Primary PRD: `docs/PRD-faster-start.md`",
    ),
    Rule(
        "DOC006",
        "approval missing once implemented",
        Severity.ERROR,
        what="A packet is finished, and a section for approvals has entries that are empty, pending or refused, or"
        " dates nobody filled in. `N/A` is an answer for a role that is not concerned, but not for all of"
        " them. It is a warning where every box is ticked and the task list still says that the work goes on.",
        why="Approval after the fact is the step that silently never happens.",
        bad="- Product:\n- Engineering: pending",
        good="- Product: approved by Jo (2026-02-14)\n- Engineering: Sam, 2026-02-15\n- Design: N/A",
    ),
    Rule(
        "DOC007",
        "review overdue",
        Severity.NOTE,
        what="`last_review` in the front matter is older than `documents.review-days`, in the future, or no date."
        " Age is a note while the change leaves the document alone, an error when it edits it; finished"
        " packets do not age.",
        why="A document that steers work should have been read lately. A gate that fails because a day has passed"
        " teaches people to skip it, so the calendar alone never blocks.",
        bad="last_review: 2099-01-01",
        good="last_review: 2026-02-27",
        worst=Severity.ERROR,
    ),
    Rule(
        "DOC008",
        "duplicate section",
        Severity.WARNING,
        what="Two headings of one level below the same parent carry the same title.",
        why="Readers stop at the first, writers continue the second, and the two drift apart. Links to the"
        " section reach only the first.",
        bad="## Decision Log … ## Decision Log",
        good="## Decision Log\n### 2026-02-01\n### 2026-02-14",
    ),
)


class _Case(NamedTuple):
    """One packet with its parsed documents by kind, stubs of archived ones left out."""

    packet: Packet
    documents: dict[str, Document]
    standing: Standing


def run(ctx: Context) -> Outcome:
    """Judges the packets of the scope."""
    changes = None if ctx.scope.whole_tree else ctx.scope.require_changes()
    selection = select(ctx.packets, ctx.base, changes, ctx.touched if changes is not None else ())
    paths = tuple(dict.fromkeys(path for packet in selection.packets for path in packet.paths))
    read, troubles = ctx.documents(paths)
    by_path = {document.path: document for document in read}
    edited = _edited(ctx)
    findings: dict[Finding, None] = {}  # two packets may share a document
    for packet in selection.packets:
        for finding in _packet_findings(ctx, selection, _case(ctx, packet, by_path), edited):
            findings[finding] = None
    ordered = sorted(findings, key=lambda finding: (*finding.location, finding.rule, finding.message))
    return Outcome(
        tuple(ordered),
        {"packets": len(selection.packets), "documents": len(read)},
        troubles=(*selection.troubles, *troubles),
    )


def _edited(ctx: Context) -> frozenset[str]:
    """Documents that were there before and that the change rewrote."""
    changes = () if ctx.scope.unknown else ctx.scope.changes
    rewritten = (change for change in changes if change.status in "MT" or (change.status == "R" and change.added))
    return frozenset(change.path for change in rewritten)


def _case(ctx: Context, packet: Packet, by_path: dict[str, Document]) -> _Case:
    settings = ctx.config.documents
    readable = ((kind, by_path[path]) for kind, path in packet.documents.items() if path in by_path)
    documents = {kind: document for kind, document in readable if not _archived(document, settings.archived_markers)}
    return _Case(packet, documents, standing(packet, documents.get("checklist"), settings.finished_statuses))


def _archived(document: Document, markers: tuple[str, ...]) -> bool:
    return any(marker in document.text for marker in markers)


def _packet_findings(ctx: Context, selection: Selection, case: _Case, edited: frozenset[str]) -> Iterator[Finding]:
    yield from _missing_documents(ctx, selection, case.packet)
    yield from disagreements(case.packet, case.documents, ctx.packets)
    for kind, document in case.documents.items():
        yield from _section_findings(ctx, case, kind, document)
        if case.standing is not Standing.OPEN:
            yield from _unfinished(ctx, case, kind, document)
        if case.standing is not Standing.FINISHED or document.path in edited:
            yield from review_of(document, ctx.today, ctx.config.documents.review_days, edited=document.path in edited)


def _missing_documents(ctx: Context, selection: Selection, packet: Packet) -> Iterator[Finding]:
    lost = {kind: (path, to) for kind, path, to in selection.lost.get(packet.name, ())}
    moved_here = {to for entries in selection.lost.values() for _, _, to in entries}
    if not lost and (not _is_packet(packet) or moved_here.issuperset(packet.paths)):
        return
    for kind in ctx.config.documents.required:
        if kind in packet.documents or (kind == "mini-spec" and packet.stands_in):
            continue
        expected = ctx.packets.layout.path(
            kind, slug=packet.slug or "<slug>", task=packet.task or f"<id>-{packet.slug}"
        )
        path, to = lost.get(kind, (expected, ""))
        gone = f"this change renames it to {to}" if to else "this change deletes it"
        how = gone if kind in lost else f"expected {path}"
        undo = f"bring {path} back, or move the packet's other documents the same way"
        yield Finding(
            "DOC001",
            Location(packet.anchor),
            f"packet {packet.name} has no {TITLES[kind]}: {how}",
            undo if kind in lost else f"write {path}; its sections: orchgate explain DOC002",
        )


def _is_packet(packet: Packet) -> bool:
    """A checklist or a mini-spec alone is a small task; with any of the larger documents it is a packet."""
    kinds = set(packet.documents) - {"checklist", "mini-spec"}
    return bool(kinds - {"tech-spec"} if packet.stands_in else kinds)


def _section_findings(ctx: Context, case: _Case, kind: str, document: Document) -> Iterator[Finding]:
    required = _required(ctx, case.packet, kind, document)
    for title in sections.missing(document, required):
        name = title.partition("|")[0].strip()
        yield Finding("DOC002", Location(document.path), f"no section {name!r}", f"add a heading: ## {name}")
    for title in required:
        finished = case.standing is Standing.FINISHED
        if not finished and not _is_judged_itself(ctx, document):
            continue  # what an open packet still owes is said where its author is at work, not at every commit
        section = sections.first_titled(document, title)
        if section is None or not sections.is_empty(document, section):
            continue
        message = f"section {section.heading.title!r} is empty" + (" in a finished packet" if finished else "")
        hint = "write it" if finished else "write it before the packet is finished"
        weight = Severity.ERROR if finished else Severity.WARNING
        yield Finding("DOC003", document.location(section.heading.offset), message, hint, weight)
    for headings in sections.duplicates(document):
        title, line = headings[0].title, document.position(headings[0].offset)[0]
        message = f"section {title!r} is already on line {line}" + (f", {len(headings)} in all" if headings[2:] else "")
        yield Finding("DOC008", document.location(headings[1].offset), message, "join them, or rename one")


def _is_judged_itself(ctx: Context, document: Document) -> bool:
    return ctx.scope.whole_tree or document.path in ctx.touched_set


def _required(ctx: Context, packet: Packet, kind: str, document: Document) -> tuple[str, ...]:
    """The sections a document needs; a mini-spec that stands in for the TECH_SPEC may be built as either."""
    configured = ctx.config.documents.required_sections
    required = configured.get(kind, ())
    if kind != "tech-spec" or not packet.stands_in:
        return required
    return min((required, configured.get("mini-spec", ())), key=lambda titles: len(sections.missing(document, titles)))


def _unfinished(ctx: Context, case: _Case, kind: str, document: Document) -> Iterator[Finding]:
    weight = Severity.ERROR if case.standing is Standing.FINISHED else Severity.WARNING
    says = _why_finished(case)
    for word, at in sections.placeholders(document, ctx.config.documents.placeholders):
        message = f"{word} is still here, and {says}"
        yield Finding("DOC004", document.location(at), message, "write the value, or say why there is none", weight)
    for section in approvals.sections(document):
        gaps = approvals.gaps(document, section)
        if gaps:
            listed = ", ".join(f"{gap.role} ({gap.why})" for gap in gaps[:LISTED])
            listed += f" and {len(gaps) - LISTED} more" if gaps[LISTED:] else ""
            message = f"{TITLES[kind]} lacks approvals, and {says}: {listed}"
            hint = "- Role: name, date; N/A for a role that is not concerned"
            yield Finding("DOC006", document.location(gaps[0].offset), message, hint, weight)


def _why_finished(case: _Case) -> str:
    item = case.packet.item
    if case.standing is Standing.CLAIMED or item is None or not (item.status or item.completed):
        return "every box is ticked"
    return f"its status is {item.status}" if item.status else "the task list gives the day it was completed"


CHECK = Check("documents", "packets are complete, filled in and agree with themselves", RULES, run)
