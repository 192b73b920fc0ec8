"""Whether the documents of a packet, and the task list, name the same task."""

from __future__ import annotations

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, Protocol
from orchgate.model import Finding, Location, Severity
from orchgate.packets.layout import TITLES
from orchgate.packets.naming import front_matter_declarations, header_declarations
from orchgate.packets.titles import document_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.git.snapshot import Snapshot
    from orchgate.markdown.document import Document
    from orchgate.packets.naming import Declaration
    from orchgate.packets.packet import Packet

_ID = lazy(r"(\d{4})(?:-|$)")
SPECS = frozenset({"tech-spec", "mini-spec"})


class Known(Protocol):
    """What is asked about the other packets of the tree."""

    @property
    def tree(self) -> Snapshot: ...
    @property
    def task_list(self) -> str: ...
    def has_id(self, name: str) -> bool: ...
    def owners_of(self, path: str) -> tuple[Packet, ...]: ...
    def line_of_task(self, path: str) -> int: ...


def disagreements(packet: Packet, documents: Mapping[str, Document], known: Known) -> Iterator[Finding]:
    """DOC005 for one packet and its parsed documents by kind."""
    yield from _alike(packet)
    for kind, document in documents.items():
        yield from _heading(packet, kind, document, known)
        for declared in front_matter_declarations(document):
            yield from _names(packet, document, declared, known)
    if checklist := documents.get("checklist"):
        for declared in header_declarations(checklist):
            if declared.what == "task":
                yield from _task(packet, checklist, declared)
            else:
                yield from _names(packet, checklist, declared, known)
    yield from _entry(packet, known)


def _alike(packet: Packet) -> Iterator[Finding]:
    if packet.grouped_by_name:
        others = ", ".join(dict.fromkeys((packet.anchor, *packet.grouped_by_name)))
        message = f"these files look like one packet but have different slugs: {others}"
        hint = "rename the files so that all have the same slug"
        place, about = Location(packet.anchor), packet.grouped_by_name
        yield Finding("DOC005", place, message, hint, Severity.WARNING, about=about, documents=packet.paths)


def _heading(packet: Packet, kind: str, document: Document, known: Known) -> Iterator[Finding]:
    first = document.headings[0] if document.headings else None
    if first is None or first.level != 1:
        return
    name = document_name(first.title)
    if name.kind and name.kind != kind and not {name.kind, kind} <= SPECS:
        message = f"the first heading says {TITLES[name.kind]}, but this file is the packet's {TITLES[kind]}"
        hint = "correct the heading or the file name"
        yield Finding("DOC005", document.location(first.offset), message, hint, Severity.WARNING)
    own = _ID.match(packet.task)
    if name.task_id and own and name.task_id != own[1] and known.has_id(name.task_id):
        message = f"the first heading names task {name.task_id}, but this is packet {packet.task}"
        yield Finding("DOC005", document.location(first.offset), message, f"write {own[1]}")


def _names(packet: Packet, document: Document, declared: Declaration, known: Known) -> Iterator[Finding]:
    """A declared document that belongs to another packet; in front matter also one that does not exist."""
    loose = declared.what == "relates_to"
    weight = Severity.WARNING if loose else None
    owners = () if declared.value in packet.paths else known.owners_of(declared.value)
    if owners and not any(owner.name == packet.name for owner in owners):
        own = packet.documents.get("prd" if loose else declared.what, "")
        message = f"{declared.label} is {declared.value}, which belongs to packet {owners[0].name}"
        message += f"; this is packet {packet.name}"
        hint = f"name {own}" if own else "name this packet's document"
        yield Finding("DOC005", document.location(declared.offset), message, hint, weight)
    elif loose and "/" in declared.value and declared.value not in known.tree.entries:
        message = f"{declared.label} names {declared.value}, which does not exist"
        hint = f"name {packet.documents.get('prd', 'a file in the repository')}"
        yield Finding("DOC005", document.location(declared.offset), message, hint, weight)


def _task(packet: Packet, document: Document, declared: Declaration) -> Iterator[Finding]:
    """A task may be named by its id alone, or by its full name with a prefix such as a date."""
    ids = {match[1] for name in packet.names if (match := _ID.match(name))}
    listed = packet.entry.names if packet.entry else ()
    if (
        packet.task
        and declared.value not in ids.union(listed)
        and not any(name in declared.value for name in packet.names)
    ):
        message = f"{declared.label} is {declared.value}, but this is packet {packet.task}"
        yield Finding("DOC005", document.location(declared.offset), message, f"write {packet.task}")


def _entry(packet: Packet, known: Known) -> Iterator[Finding]:
    """The paths of the packet's entry in the task list."""
    if packet.entry is None or not known.task_list:
        return
    for key, path in packet.entry.paths:
        owners = known.owners_of(path) if key == "path" and path not in packet.paths else ()
        if path not in known.tree.entries:
            message = f"{key} of {packet.name} is {path}, which does not exist"
        elif owners and all(owner.name != packet.name for owner in owners):
            message = f"{key} of {packet.name} is {path}, which belongs to packet {owners[0].name}"
        else:
            continue
        hint = f"name {packet.documents.get('checklist', packet.anchor)}"
        place = Location(known.task_list, known.line_of_task(path))
        yield Finding(
            "DOC005", place, message, hint, Severity.WARNING, about=(f"{key} {path}",), documents=packet.paths
        )
