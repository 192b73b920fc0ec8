"""Packets: are the documents of a task there, filled in, and in agreement with each other?"""

from __future__ import annotations

from functools import lru_cache
from operator import attrgetter

from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Check, Finding, Location, Outcome, Rule, Severity
from orchgate.packets import sections
from orchgate.packets.catalog import Selection, select
from orchgate.packets.layout import TITLES, layout_of
from orchgate.packets.naming import disagreements
from orchgate.packets.progress import PacketProgress, progress_of, review_of, stated_status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchgate.config.settings import Documents
    from orchgate.gate.context import Context
    from orchgate.markdown.document import Document
    from orchgate.model import Change
    from orchgate.packets.layout import Packet
    from orchgate.packets.naming import OtherPackets

LISTED = 8  # approvals that one message names

RULES = (
    Rule(
        "DOC001",
        "missing document",
        Severity.ERROR,
        what="A packet lacks one of the documents listed in `documents.required`, which weighs what "
        "`documents.until-finished` says as long as the packet is not finished. A document that this change deletes "
        "or renames counts as missing while other documents of its packet remain.",
        why="Each document answers its own question: why, how, in which steps, what is left. Without one of them a "
        "packet still looks complete at first glance.",
        bad="docs/PRD-faster-start.md without docs/ACTION_PLAN-faster-start.md",
        good="docs/PRD-, docs/TECH_SPEC-, docs/ACTION_PLAN-faster-start.md and tasks/tasks-0007-faster-start.md",
    ),
    Rule(
        "DOC002",
        "missing section",
        Severity.ERROR,
        what="A document has no heading for a section that `documents.required-sections` lists for its kind. Case, "
        "markup, numbering, a suffix in parentheses and `&` for `and` make no difference; headings inside code do not "
        "count.",
        why="Readers and tools look for decisions, steps and results under known names. What has no place does not get "
        "written.",
        bad="a PRD that never says what it leaves out",
        good="## Non-Goals",
    ),
    Rule(
        "DOC003",
        "empty section",
        Severity.WARNING,
        what="A required section holds nothing but blank lines, comments or bare bullets. While the work is in "
        "progress this is a warning, and only for documents that the change edits; in a finished packet it is an "
        "error.",
        why="A heading without text looks like an answer. In a new packet, empty sections are the author's to-do list.",
        bad="## Goals\n<!-- what will be better afterwards? -->",
        good="## Goals\n- A run starts within 50 ms.",
        worst=Severity.ERROR,
    ),
    Rule(
        "DOC004",
        "placeholder left in a finished packet",
        Severity.ERROR,
        what="A document of a finished packet still contains a placeholder (`documents.placeholders`) where a value "
        "belongs. Code, comments and mentions in the middle of a sentence do not count. It is a warning where all "
        "boxes are ticked but the task list says that the work is in progress.",
        why="While the work is in progress a placeholder is a promise. Once the packet is called done, nobody comes "
        "back to it.",
        bad="- Measured impact: TBD",
        good="- Measured impact: 70.2 s -> 58.9 s over 12 runs",
    ),
    Rule(
        "DOC005",
        "packet disagrees about its task",
        Severity.ERROR,
        what="The documents of a packet name different tasks: in their first heading, the links in the checklist's "
        "header, `relates_to` or the task list, or because their file names are similar but not the same. What only "
        "suggests a mix-up, such as a similar name, is a warning.",
        why="Evidence and approvals are looked up by task. A copied header sends readers to somebody else's packet.",
        bad="tasks/tasks-0007-faster-start.md: - Primary PRD: `docs/PRD-slower-start.md`",
        good="tasks/tasks-0007-faster-start.md: - Primary PRD: `docs/PRD-faster-start.md`",
    ),
    Rule(
        "DOC006",
        "approval missing once implemented",
        Severity.ERROR,
        what="A packet is finished, but its approvals section has entries that are empty, pending or refused, or dates "
        "that nobody filled in. `N/A` is a valid answer for a role that is not concerned, but not for all of them. It "
        "is a warning where all boxes are ticked but the task list says that the work is in progress.",
        why="Approval after the fact tends never to happen.",
        bad="- Product:\n- Engineering: pending",
        good="- Product: approved by Jo (2026-02-14)\n- Engineering: Sam, 2026-02-15\n- Design: N/A",
    ),
    Rule(
        "DOC007",
        "review overdue",
        Severity.NOTE,
        what="`last_review` in the front matter is older than `review.max-age-days`, in the future, or not a date. "
        "An old review is a note while the change leaves the document alone, and an error when it edits the document; "
        "finished packets do not expire.",
        why="A document that guides work should have been reviewed recently. A gate that fails because a day has "
        "passed teaches people to skip it, so the calendar alone never blocks.",
        bad="last_review: 2099-01-01",
        good="last_review: 2026-02-27",
        worst=Severity.ERROR,
    ),
    Rule(
        "DOC008",
        "duplicate section",
        Severity.WARNING,
        what="Two headings of one level below the same parent carry the same title.",
        why="Readers stop at the first, authors continue the second, and the two drift apart. A link to the section "
        "reaches only the first.",
        bad="## Decision Log … ## Decision Log",
        good="## Decision Log\n### 2026-02-01\n### 2026-02-14",
    ),
)


class _Case(NamedTuple):
    """One packet with its parsed documents by kind, stubs of archived ones left out, and the status that they state.

    `settings` say what is asked of it, `sections` which ones by kind of document.
    """

    settings: Documents
    sections: Mapping[str, tuple[str, ...]]
    packet: Packet
    documents: dict[str, Document]
    progress: PacketProgress
    stated: str


def run(ctx: Context) -> Outcome:
    """Judges the packets of the scope."""
    changes = None if ctx.scope.whole_tree else ctx.scope.require_changes()
    selection = select(ctx.packets, ctx.base, changes, ctx.touched if changes is not None else ())
    changed = frozenset() if ctx.scope.unknown else frozenset(change.path for change in ctx.scope.changes)
    packets = [packet for packet in selection.packets if not _is_known(ctx, packet, changed)]
    known_paths = {path for packet in selection.packets for path in packet.paths}
    paths = tuple(dict.fromkeys(path for packet in packets for path in packet.paths))
    read, troubles = ctx.documents.read(paths)
    by_path = {document.path: document for document in read}
    edited = _edited(ctx)
    findings: dict[Finding, None] = {}  # two packets may share a document
    for case, known in _cases(ctx, packets, by_path, changed):
        for finding in _packet_findings(ctx, known, selection, case, edited):
            findings[finding] = None
    ordered = sorted(findings, key=attrgetter("location", "rule", "message"))
    return Outcome(
        tuple(ordered),
        {"packets": len(selection.packets), "documents": len(read) + len(known_paths.difference(paths))},
        troubles=(*selection.troubles, *troubles),
    )


def _is_known(ctx: Context, packet: Packet, changed: frozenset[str]) -> bool:
    """Whether a packet needs no judging. What the change edits or adds to one decides how it is judged."""
    if ctx.parts is None or not changed.isdisjoint(packet.paths):
        return False
    return ctx.parts.recall("documents", packet.paths, 0) is not None


def _cases(
    ctx: Context, packets: Sequence[Packet], by_path: dict[str, Document], changed: frozenset[str]
) -> Iterator[tuple[_Case, OtherPackets]]:
    """Packets with what is asked about all the others, each to be judged before the next one is taken."""
    if ctx.parts is None:
        for packet in packets:
            yield _case(ctx, packet, by_path), ctx.packets
        return
    for part, noted in ctx.parts.each("documents", ctx, packets):
        known = noted.packets(ctx.packets)
        for packet in part:
            case = _case(ctx, packet, by_path)
            noted.add(packet.paths, () if changed.isdisjoint(packet.paths) else None)
            if case.settings is not ctx.config.documents:
                noted.never()
            for path in packet.paths:
                known.owners_of(path)
            yield case, known


def _edited(ctx: Context) -> frozenset[str]:
    """Documents that were there before and that the change rewrote."""
    changes = () if ctx.scope.unknown else ctx.scope.changes
    return frozenset(change.path for change in changes if _is_rewritten(change))


def _is_rewritten(change: Change) -> bool:
    """The documents of a base that is judged for comparison are named as if they changed, and are what they were."""
    moved = change.status == "R" and bool(change.added)
    return moved or (change.status in "MT" and (change.old_oid, change.old_mode) != (change.new_oid, change.new_mode))


def _case(ctx: Context, packet: Packet, by_path: dict[str, Document]) -> _Case:
    settings = _settings(ctx, packet)
    readable = ((kind, by_path[path]) for kind, path in packet.documents.items() if path in by_path)
    documents = {kind: document for kind, document in readable if not _archived(document, settings.stub_markers)}
    stated = stated_status(documents.values(), settings.status.lines)
    progress = progress_of(packet, documents.get("checklist"), settings.status, stated)
    return _Case(settings, settings.sections, packet, documents, progress, stated)


def _settings(ctx: Context, packet: Packet) -> Documents:
    """What is asked of a packet: where only the proposed configuration looks, that is what the proposed one asks.

    Nothing gets looser by it, as the base's does not look there; what was moved there is judged in the base's layout.
    """
    if ctx.accepted is None or ctx.layout is not None or ctx.accepted.documents.places == ctx.proposed.documents.places:
        return ctx.config.documents
    known = next(layout_of(ctx.accepted.documents).documents_among(packet.paths), None)
    return ctx.config.documents if known is not None else ctx.proposed.documents


def _archived(document: Document, markers: tuple[str, ...]) -> bool:
    return any(marker in document.text for marker in markers)


def _packet_findings(
    ctx: Context, known: OtherPackets, selection: Selection, case: _Case, edited: frozenset[str]
) -> Iterator[Finding]:
    if case.stated and ctx.packets.is_inactive(case.stated) and case.packet.name not in selection.lost:
        return
    yield from _missing_documents(ctx, selection, case)
    yield from disagreements(case.packet, case.documents, known)
    for kind, document in case.documents.items():
        yield from _section_findings(ctx, case, kind, document)
        if case.progress is not PacketProgress.OPEN:
            yield from _unfinished(case, document)
        if case.progress is not PacketProgress.FINISHED or document.path in edited:
            yield from review_of(document, ctx.today, ctx.config.review.max_age_days, edited=document.path in edited)


def _weight(case: _Case) -> Severity | None:
    """What something missing weighs, None for what its rule says."""
    weight = case.settings.until_finished
    return None if weight == "error" or case.progress is not PacketProgress.OPEN else Severity(weight)


def _missing_documents(ctx: Context, selection: Selection, case: _Case) -> Iterator[Finding]:
    packet = case.packet
    lost = {kind: (path, to) for kind, path, to in selection.lost.get(packet.name, ())}
    moved_here = {to for entries in selection.lost.values() for _, _, to in entries}
    if not lost and (not _is_packet(packet) or moved_here.issuperset(packet.paths)):
        return
    for kind in case.settings.required:
        if kind in packet.documents or (kind == "mini-spec" and packet.mini_spec_as_tech_spec):
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
            f"packet {packet.name} has no {_called(ctx, kind)}: {how}",
            undo if kind in lost else _written(path, case.sections[kind]),
            None if kind in lost else _weight(case),
            about=(kind,),
            own=_is_carried_on(ctx, packet),
            documents=packet.paths,
        )


def _called(ctx: Context, kind: str) -> str:
    """What people call a kind of document: by the name of its file where the profile has one for it."""
    name = ctx.packets.layout.path(kind, slug="{slug}", task="{task}").rpartition("/")[2]
    profiled = ctx.config.origins.get(f"documents.paths.{kind}", "").startswith("profile")
    return name if profiled and name and "{" not in name else TITLES[kind]


def _is_carried_on(ctx: Context, packet: Packet) -> bool:
    """Whether the change edits documents of a packet and adds none: it goes on working without those that lack."""
    if ctx.scope.unknown is not None:
        return False
    added = {change.path for change in ctx.scope.changes if change.status == "A"}
    return packet.paths_set.isdisjoint(added) and not packet.paths_set.isdisjoint(_edited(ctx))


def _written(path: str, required: tuple[str, ...]) -> str:
    names = [_name_of(title) for title in required]
    return f"write {path}" + (f"; needed sections: {', '.join(names)}" if names else "")


def _name_of(title: str) -> str:
    """The first spelling of a required section, such as "Sign-off" of "Sign-off | Approvals"."""
    return title.partition("|")[0].strip()


def _is_packet(packet: Packet) -> bool:
    """A checklist or a mini-spec alone is a small task; with any of the larger documents it is a packet."""
    kinds = set(packet.documents) - {"checklist", "mini-spec"}
    return bool(kinds - {"tech-spec"} if packet.mini_spec_as_tech_spec else kinds)


def _section_findings(ctx: Context, case: _Case, kind: str, document: Document) -> Iterator[Finding]:
    required = _required(case, kind, document)
    lacking = sections.missing(document, required)
    if lacking:
        place, weight = Location(document.path), _weight(case)
        yield from (_missing_section(place, _name_of(title), weight) for title in lacking)
    finished = case.progress is PacketProgress.FINISHED
    # What an open packet still lacks is reported to who edits it, not at every commit.
    written = finished or _is_written_by_the_change(ctx, document)
    for title in required if written and len(lacking) < len(required) else ():
        section = sections.first_titled(document, title)
        if section is None or not sections.is_empty(document, section):
            continue
        called = finished and not case.packet.as_finished
        name, in_packet = section.heading.title, " in a finished packet" if called else ""
        hint = "write the text" if finished else "to be written before the packet is finished"
        weight = Severity.ERROR if finished else Severity.WARNING
        place = document.location(section.heading.offset)
        listed = (f"empty sections{in_packet}", name)
        yield Finding(
            "DOC003", place, f"section {name!r} is empty{in_packet}", hint, weight, listed=listed, about=(name,)
        )
    for headings in sections.duplicates(document):
        title, line = headings[0].title, document.position(headings[0].offset)[0]
        message = f"section {title!r} already exists on line {line}"
        message += f" ({len(headings)} in all)" if headings[2:] else ""
        yield Finding(
            "DOC008",
            document.location(headings[1].offset),
            message,
            "merge them, or rename one",
            about=(title,) * (len(headings) - 1),
        )


def _missing_section(place: Location, name: str, weight: Severity | None) -> Finding:
    message, hint, listed, about = _without_section(name)
    return Finding("DOC002", place, message, hint, weight, listed=listed, about=about)


@lru_cache(maxsize=256)  # where a section is new, thousands of documents lack it
def _without_section(name: str) -> tuple[str, str, tuple[str, str], tuple[str]]:
    """Message, hint and the rest of a finding about a missing section."""
    return f"missing section {name!r}", f"add the heading ## {name}", ("missing sections", name), (name,)


def _is_written_by_the_change(ctx: Context, document: Document) -> bool:
    """Whether the change touches the document; for the whole tree, every document counts."""
    return ctx.scope.whole_tree or document.path in ctx.touched_set


def _required(case: _Case, kind: str, document: Document) -> tuple[str, ...]:
    """The sections a document needs; a mini-spec in place of the TECH_SPEC may be built as either."""
    configured = case.sections
    required = configured.get(kind, ())
    if kind != "tech-spec" or not case.packet.mini_spec_as_tech_spec:
        return required
    return min((required, configured.get("mini-spec", ())), key=lambda titles: len(sections.missing(document, titles)))


def _unfinished(case: _Case, document: Document) -> Iterator[Finding]:
    weight = Severity.ERROR if case.progress is PacketProgress.FINISHED else Severity.WARNING
    sign, clause = _why_finished(case)
    for word, at in sections.placeholders(document, case.settings.placeholders):
        message = f"placeholder {word} {sign}"
        hint, place = "write the value, or say why there is none", document.location(at)
        yield Finding("DOC004", place, message, hint, weight, about=(document.line(at).strip(),))
    for section in sections.approval_sections(document):
        gaps = sections.missing_approvals(document, section)
        if gaps:
            listed = ", ".join(f"{gap.role} ({gap.why})" for gap in gaps[:LISTED])
            listed += f" and {len(gaps) - LISTED} more" if gaps[LISTED:] else ""
            message = f"{clause}approvals are missing: {listed}"
            hint = "- Role: name, date; N/A for a role that is not concerned"
            about = tuple(f"{gap.role} {gap.why}" for gap in gaps)
            yield Finding("DOC006", document.location(gaps[0].offset), message, hint, weight, about=about)


def _why_finished(case: _Case) -> tuple[str, str]:
    """The sign that a packet is finished, behind a fault of it and in front of one."""
    item = case.packet.entry
    if case.packet.as_finished:
        return "is left", ""
    listed = item is not None and bool(item.status or item.completed)
    if case.progress is PacketProgress.FINISHED and case.stated and not listed and case.stated != "draft":
        return f"in a finished packet (status {case.stated})", f"status is {case.stated} but "
    if case.progress is PacketProgress.ALL_TICKED or not listed:
        return "in a finished packet (all boxes ticked)", "all boxes are ticked but "
    if item is not None and item.status:
        return f"in a finished packet (status {item.status})", f"status is {item.status} but "
    return "in a finished packet (completed_at is set)", "completed_at is set but "


CHECK = Check(
    "documents",
    "packets are complete, filled in and agree with themselves",
    RULES,
    run,
    of_tree=True,
    in_documents=True,
)
