"""Whether the documents of a packet, and the task list, name the same task."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from orchgate.lib.patterns import lazy
from orchgate.model import Finding, Location, Severity
from orchgate.packets.layout import TITLES
from orchgate.packets.titles import document_name, normal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.markdown.document import Document
    from orchgate.packets.catalog import Packets
    from orchgate.packets.packet import Packet

_ID = lazy(r"(\d{4})(?:-|$)")
SPECS = frozenset({"tech-spec", "mini-spec"})


def disagreements(packet: Packet, documents: Mapping[str, Document], known: Packets) -> Iterator[Finding]:
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
        yield Finding("DOC005", Location(packet.anchor), message, hint, Severity.WARNING)


def _heading(packet: Packet, kind: str, document: Document, known: Packets) -> Iterator[Finding]:
    first = document.headings[0] if document.headings else None
    if first is None or first.level != 1:
        return
    name = document_name(first.title)
    if name.kind and name.kind != kind and not {name.kind, kind} <= SPECS:
        message = f"the first heading says {TITLES[name.kind]}, but this file is the packet's {TITLES[kind]}"
        hint = "correct the heading or the file name"
        yield Finding("DOC005", document.location(first.offset), message, hint, Severity.WARNING)
    own = _ID.match(packet.task)
    if name.task_id and own and name.task_id != own[1] and name.task_id in known.ids:
        message = f"the first heading names task {name.task_id}, but this is packet {packet.task}"
        yield Finding("DOC005", document.location(first.offset), message, f"write {own[1]}")


def _names(packet: Packet, document: Document, declared: Declaration, known: Packets) -> Iterator[Finding]:
    """A declared document that belongs to another packet; in front matter also one that does not exist."""
    loose = declared.what == "relates_to"
    weight = Severity.WARNING if loose else None
    owners = () if declared.value in packet.paths else known.owners.get(declared.value, ())
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


def _entry(packet: Packet, known: Packets) -> Iterator[Finding]:
    """The paths of the packet's entry in the task list."""
    tasks = known.tasks
    if packet.entry is None or tasks is None:
        return
    for key, path in packet.entry.paths:
        owners = known.owners.get(path, ()) if key == "path" and path not in packet.paths else ()
        if path not in known.tree.entries:
            message = f"{key} of {packet.name} is {path}, which does not exist"
        elif owners and all(owner.name != packet.name for owner in owners):
            message = f"{key} of {packet.name} is {path}, which belongs to packet {owners[0].name}"
        else:
            continue
        hint = f"name {packet.documents.get('checklist', packet.anchor)}"
        yield Finding("DOC005", Location(tasks.path, tasks.line_of(path)), message, hint, Severity.WARNING)


HEADER_CHARACTERS = 8_000
_LINE = lazy(
    r"^[ \t]*[-*+][ \t]+[*_]{0,2}(?P<label>[A-Za-z][\w /-]{1,40}?)[*_]{0,2}:[*_]{0,2}[ \t]+(?P<value>\S.*)$",
    re.MULTILINE,
)
_PATH = lazy(r"[\w@%+./-]+\.(?:md|mdx|markdown)\b", re.IGNORECASE)
_TOKEN = lazy(r"`([^`\n]+)`|(\S+)")
_LABELS = {
    "prd": "prd",
    "primary prd": "prd",
    "linked prd": "prd",
    "tech spec": "tech-spec",
    "technical spec": "tech-spec",
    "action plan": "action-plan",
    "checklist": "checklist",
    "task checklist": "checklist",
    "mini spec": "mini-spec",
    "task id": "task",
    "mcp task id": "task",
}


class Declaration(NamedTuple):
    """What a document says about the packet it belongs to.

    `what` is a kind of document, `task`, or `relates_to`; `value` is a path or a task's name.
    """

    what: str
    label: str
    value: str
    offset: int


def header_declarations(document: Document) -> Iterator[Declaration]:
    """Lines such as `- Primary PRD: docs/PRD-x.md` above the first section; the first of several paths counts."""
    below = next((heading.offset for heading in document.headings if heading.level > 1), len(document.text))
    for match in _LINE.finditer(document.text, 0, min(below, HEADER_CHARACTERS)):
        what = _LABELS.get(normal(match["label"]))
        if what is None or document.hidden(match.start()):
            continue
        value = _task_name(match["value"]) if what == "task" else next(iter(_PATH.findall(match["value"])), "")
        if value:
            yield Declaration(what, match["label"], value.removeprefix("./"), match.start("value"))


def front_matter_declarations(document: Document) -> Iterator[Declaration]:
    """The documents that `relates_to` names; words that are not paths are left out."""
    value = document.front_matter.get("relates_to", "") if document.text.startswith("---") else ""
    at = 0
    for text in [value] if isinstance(value, str) else value:
        for path in _PATH.findall(text):
            at = max(document.text.find(path, at), at)  # they are in this order
            yield Declaration("relates_to", "relates_to", path.removeprefix("./"), at)


def _task_name(value: str) -> str:
    match = _TOKEN.match(value)
    assert match is not None
    return (match[1] or match[2]).strip(" .,;")
