"""Whether the documents of a packet, and the task list, speak of the same task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.lib.patterns import lazy
from orchgate.model import Finding, Location, Severity
from orchgate.packets.claims import front_matter_claims, header_claims
from orchgate.packets.layout import TITLES
from orchgate.packets.titles import document_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.markdown.document import Document
    from orchgate.packets.claims import Claim
    from orchgate.packets.packet import Packet
    from orchgate.packets.task_documents import Packets

_ID = lazy(r"(\d{4})(?:-|$)")
SPECS = frozenset({"tech-spec", "mini-spec"})


def disagreements(packet: Packet, documents: Mapping[str, Document], known: Packets) -> Iterator[Finding]:
    """DOC005 for one packet and its parsed documents by kind."""
    yield from _alike(packet)
    for kind, document in documents.items():
        yield from _heading(packet, kind, document, known)
        for claim in front_matter_claims(document):
            yield from _names(packet, document, claim, known)
    if checklist := documents.get("checklist"):
        for claim in header_claims(checklist):
            if claim.what == "task":
                yield from _task(packet, checklist, claim)
            else:
                yield from _names(packet, checklist, claim, known)
    yield from _entry(packet, known)


def _alike(packet: Packet) -> Iterator[Finding]:
    if packet.joined:
        others = ", ".join(packet.joined)
        message = f"packet {packet.name} is put together by likeness: {others}"
        hint = "rename the documents so that all carry the same slug"
        yield Finding("DOC005", Location(packet.anchor), message, hint, Severity.WARNING)


def _heading(packet: Packet, kind: str, document: Document, known: Packets) -> Iterator[Finding]:
    first = document.headings[0] if document.headings else None
    if first is None or first.level != 1:
        return
    name = document_name(first.title)
    if name.kind and name.kind != kind and not {name.kind, kind} <= SPECS:
        message = f"the first heading says {TITLES[name.kind]}, the file is the packet's {TITLES[kind]}"
        hint = "correct the heading or the file's name"
        yield Finding("DOC005", document.location(first.offset), message, hint, Severity.WARNING)
    own = _ID.match(packet.task)
    if name.task_id and own and name.task_id != own[1] and name.task_id in known.ids:
        message = f"the first heading names task {name.task_id}, the packet is {packet.task}"
        yield Finding("DOC005", document.location(first.offset), message, f"write {own[1]}")


def _names(packet: Packet, document: Document, claim: Claim, known: Packets) -> Iterator[Finding]:
    """A document named as this packet's that is another's; in front matter, which nobody else reads, also none."""
    loose = claim.what == "relates_to"
    weight = Severity.WARNING if loose else None
    owners = () if claim.value in packet.paths else known.owners.get(claim.value, ())
    if owners and not any(owner.name == packet.name for owner in owners):
        own = packet.documents.get("prd" if loose else claim.what, "")
        message = f"{claim.label} is {claim.value} of packet {owners[0].name}, this is packet {packet.name}"
        hint = f"name {own}" if own else "name this packet's document"
        yield Finding("DOC005", document.location(claim.offset), message, hint, weight)
    elif loose and "/" in claim.value and claim.value not in known.tree.entries:
        message = f"{claim.label} names {claim.value}, which does not exist"
        hint = f"name {packet.documents.get('prd', 'a file of the repository')}"
        yield Finding("DOC005", document.location(claim.offset), message, hint, weight)


def _task(packet: Packet, document: Document, claim: Claim) -> Iterator[Finding]:
    """A task's id alone names it, and so does its full name with something in front, such as a date."""
    ids = {match[1] for name in packet.names if (match := _ID.match(name))}
    listed = packet.item.names if packet.item else ()
    if packet.task and claim.value not in ids.union(listed) and not any(name in claim.value for name in packet.names):
        message = f"{claim.label} is {claim.value}, the packet is {packet.task}"
        yield Finding("DOC005", document.location(claim.offset), message, f"write {packet.task}")


def _entry(packet: Packet, known: Packets) -> Iterator[Finding]:
    """The paths of the packet's entry in the task list."""
    tasks = known.tasks
    if packet.item is None or tasks is None:
        return
    for key, path in packet.item.paths:
        owners = known.owners.get(path, ()) if key == "path" and path not in packet.paths else ()
        if path not in known.tree.entries:
            message = f"{key} of {packet.name} is {path}, which does not exist"
        elif owners and all(owner.name != packet.name for owner in owners):
            message = f"{key} of {packet.name} is {path} of packet {owners[0].name}"
        else:
            continue
        hint = f"name {packet.documents.get('checklist', packet.anchor)}"
        yield Finding("DOC005", Location(tasks.path, tasks.line_of(path)), message, hint, Severity.WARNING)
