"""What documents say about the packet they belong to, in many spellings of one title, and whether they agree."""

from __future__ import annotations

import os
import re
from functools import lru_cache

from orchgate.errors import Unreadable
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, Protocol
from orchgate.markdown.document import Document
from orchgate.model import Finding, Location, Severity
from orchgate.packets.layout import TITLES

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from orchgate.git.snapshot import Snapshot
    from orchgate.packets.layout import Packet

    class OtherPackets(Protocol):
        """What is asked about the other packets of the tree."""

        @property
        def tree(self) -> Snapshot: ...
        @property
        def task_list(self) -> str: ...
        def has_id(self, name: str) -> bool: ...
        def owners_of(self, path: str) -> tuple[Packet, ...]: ...
        def line_of_task(self, path: str) -> int: ...


MAX_TITLE = 500  # characters that are compared
DASHES = "‐‑‒–—―−﹣-"  # noqa: RUF001 -- telling them apart is the point
KIND_WORDS = {
    "prd": "prd",
    "product requirements": "prd",
    "product requirements document": "prd",
    "tech spec": "tech-spec",
    "technical spec": "tech-spec",
    "technical specification": "tech-spec",
    "tech specification": "tech-spec",
    "action plan": "action-plan",
    "task checklist": "checklist",
    "checklist": "checklist",
    "mini spec": "mini-spec",
    "mini-spec": "mini-spec",
}

_TO_HYPHEN = dict.fromkeys(map(ord, DASHES), "-")
_COMMENT = lazy(r"<!--.{0,500}?-->")
_LINK = lazy(r"!?\[([^\[\]]*)\](?:\([^()]*\)|\[[^\[\]]*\])")
_ORNAMENT = lazy(r"^[^\w(§]+")
_NUMBERING = lazy(r"^(?:§\s*)?(?:\d{1,3}(?:\.\d{1,3}){0,5}[.):]?|[a-z][.)])\s+")
_SUFFIX = lazy(r"\s*\([^()]*\)$")


@lru_cache(maxsize=8192)
def normal(title: str) -> str:
    """A section title as it is compared: `## 2. **Goals & Aims** (draft):` is `goals and aims`."""
    text = _plain(title)
    if not text[:1].isalnum():
        text = _ORNAMENT.sub("", text)
    if text[:1] == "§" or text[:1].isdecimal() or text[1:2] in (".", ")"):
        text = _NUMBERING.sub("", text, count=1)
    while text.endswith(")") and (shorter := _SUFFIX.sub("", text, count=1)) not in ("", text):
        text = shorter
    return " ".join(text.replace("&", " and ").replace("-", " ").split()).rstrip(" :.")


@lru_cache(maxsize=8192)
def spellings(title: str) -> tuple[str, ...]:
    """All titles that a section counts as: `Scope / Non-Goals` is both."""
    whole = normal(title)
    return (whole, *(normal(part) for part in whole.split(" / "))) if " / " in whole else (whole,)


def _plain(title: str) -> str:
    """Lower case without markup, every dash a hyphen, closing `#`s and colons gone."""
    text = title[:MAX_TITLE]
    if not text.isascii():
        import unicodedata

        text = unicodedata.normalize("NFKC", text).translate(_TO_HYPHEN)
    if "[" in text or "<" in text:
        text = _LINK.sub(r"\1", _COMMENT.sub("", text))
    text = text.replace("&amp;", "&")
    for mark in "*`~":
        text = text.replace(mark, "")
    text = text.replace("_", " ").replace("\\", "").casefold().strip()
    return " ".join(text.rstrip("#").rstrip(" :").split())


def choices(required: str) -> tuple[str, ...]:
    """The titles that satisfy one configured section: `Summary | Overview` is two."""
    return tuple(part.strip() for part in required.split("|") if part.strip())


class DocumentName(NamedTuple):
    """What a first heading names: a kind of document and a four-digit task id, "" for none."""

    kind: str
    task_id: str
    rest: str


def _kind(text: str) -> tuple[str, str] | None:
    """The kind that a plain title begins with, and what follows it."""
    for words in sorted(filter(text.startswith, KIND_WORDS), key=len, reverse=True):
        after = text[len(words) :].removeprefix(" mirror")
        rest = after.lstrip()
        if not rest or rest[0] in ":|" or after.startswith(" -"):
            return KIND_WORDS[words], rest[1:].lstrip()
    return None


def document_name(title: str) -> DocumentName:
    """`TECH_SPEC — 0939 Faster runs` as ("tech-spec", "0939", "0939 faster runs"), in every spelling seen of it."""
    text = _plain(title)
    kind, rest = _kind(text) or ("", text)
    return DocumentName(kind, leading_id(rest.removeprefix("task ").removeprefix("#"), " -:|"), rest)


def leading_id(text: str, ends: str = "-") -> str:
    """The four digits that a text begins with, where it ends after them or goes on with one of `ends`; else ""."""
    number, after = text[:4], text[4:5]
    return number if len(number) == 4 and number.isdecimal() and (after in ends or not after) else ""


# What a document says about the packet it belongs to: in its first heading, in its header, and by what it cites


MAX_BYTES = 8 * 1024 * 1024
TASK_KEYS = ("task_id", "task-id", "task")
# What is cited under such words is somebody else's.
_ELSEWHERE = lazy(
    r"\b(?:related|see also|unlike|background|depends|dependency|follow[- ]?ups?|supersed\w*|replac\w*|previous|prior"
    r"|parent|blocked|compare|instead)\b"
)


class NamesInDocument(NamedTuple):
    """`tasks` and `declared` documents are named as the document's own; `cited` ones are mentioned somewhere in it."""

    title: str
    tasks: tuple[str, ...]
    declared: tuple[str, ...]
    cited: tuple[str, ...]


def names_in(trees: tuple[Snapshot, ...], paths: Collection[str], known: Collection[str]) -> dict[str, NamesInDocument]:
    """What some documents say, each from the first tree that has it. One that cannot be read says nothing."""
    found: dict[str, NamesInDocument] = {}
    for tree in trees:
        wanted = [path for path in paths if path not in found and path in tree.entries]
        for path, content in tree.read_many(wanted, MAX_BYTES):
            if not isinstance(content, Unreadable):
                found[path] = names_of_document(Document(path, content), known)
    return found


def names_of_document(document: Document, known: Collection[str]) -> NamesInDocument:
    """What a document says, and which of the known ones it cites."""
    first = next(iter(document.headings), None)
    declared = [*header_declarations(document), *front_matter_declarations(document)]
    tasks = [one.value for one in declared if one.what == "task"]
    if document.text.startswith("---"):
        values = (document.front_matter.get(key) for key in TASK_KEYS)
        tasks += [value.strip() for value in values if isinstance(value, str)]
    return NamesInDocument(
        first.title if first is not None and first.level == 1 else "",
        tuple(tasks),
        tuple(one.value for one in declared if one.what != "task"),
        tuple(dict.fromkeys(_cited(document, known))),
    )


def _cited(document: Document, known: Collection[str]) -> Iterator[str]:
    """Documents of packets that the text mentions, outside of code blocks and of what is only related."""
    folder = os.path.dirname(document.path)
    for match in _PATH.finditer(document.text):
        named = match[0].lstrip("/")
        path = named if named in known else os.path.normpath(os.path.join(folder, match[0]))
        if path not in known or path == document.path or document.hidden(match.start()):
            continue
        if not _ELSEWHERE.search(f"{document.line(match.start())}\n{_section(document, match.start())}".casefold()):
            yield path


def _section(document: Document, offset: int) -> str:
    """The title of the section around an offset."""
    above = [heading.title for heading in document.headings if heading.offset <= offset]
    return above[-1] if len(above) > 1 else ""


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


# Whether the documents of a packet, and the task list, name the same task


SPECS = frozenset({"tech-spec", "mini-spec"})


def disagreements(packet: Packet, documents: Mapping[str, Document], known: OtherPackets) -> Iterator[Finding]:
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


def _heading(packet: Packet, kind: str, document: Document, known: OtherPackets) -> Iterator[Finding]:
    first = document.headings[0] if document.headings else None
    if first is None or first.level != 1:
        return
    name = document_name(first.title)
    if name.kind and name.kind != kind and not {name.kind, kind} <= SPECS:
        message = f"the first heading says {TITLES[name.kind]}, but this file is the packet's {TITLES[kind]}"
        hint = "correct the heading or the file name"
        yield Finding("DOC005", document.location(first.offset), message, hint, Severity.WARNING)
    own = leading_id(packet.task)
    if name.task_id and own and name.task_id != own and known.has_id(name.task_id):
        message = f"the first heading names task {name.task_id}, but this is packet {packet.task}"
        yield Finding("DOC005", document.location(first.offset), message, f"write {own}")


def _names(packet: Packet, document: Document, declared: Declaration, known: OtherPackets) -> Iterator[Finding]:
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
    ids = {number for name in packet.names if (number := leading_id(name))}
    listed = packet.entry.names if packet.entry else ()
    if (
        packet.task
        and declared.value not in ids.union(listed)
        and not any(name in declared.value for name in packet.names)
    ):
        message = f"{declared.label} is {declared.value}, but this is packet {packet.task}"
        yield Finding("DOC005", document.location(declared.offset), message, f"write {packet.task}")


def _entry(packet: Packet, known: OtherPackets) -> Iterator[Finding]:
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
