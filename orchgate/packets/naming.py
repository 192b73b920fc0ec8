"""What a document says about the packet it belongs to: in its first heading, in its header, and by what it cites."""

from __future__ import annotations

import os
import re

from orchgate.errors import Unreadable
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.markdown.document import Document
from orchgate.packets.titles import normal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from orchgate.git.snapshot import Snapshot

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
