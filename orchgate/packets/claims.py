"""What a document says about the packet it belongs to: its first heading, its header lines, its front matter."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from orchgate.lib.patterns import lazy
from orchgate.packets.titles import normal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.markdown.document import Document

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


class Claim(NamedTuple):
    """`what` is a kind of document, `task`, or `relates_to`; `value` a path or a task's name."""

    what: str
    label: str
    value: str
    offset: int


def header_claims(document: Document) -> Iterator[Claim]:
    """Lines such as `- Primary PRD: docs/PRD-x.md` above the first section; of several paths the first counts."""
    below = next((heading.offset for heading in document.headings if heading.level > 1), len(document.text))
    for match in _LINE.finditer(document.text, 0, min(below, HEADER_CHARACTERS)):
        what = _LABELS.get(normal(match["label"]))
        if what is None or document.hidden(match.start()):
            continue
        value = _task(match["value"]) if what == "task" else next(iter(_PATH.findall(match["value"])), "")
        if value:
            yield Claim(what, match["label"], value.removeprefix("./"), match.start("value"))


def front_matter_claims(document: Document) -> Iterator[Claim]:
    """The documents that `relates_to` names; words that are no path claim nothing."""
    value = document.front_matter.get("relates_to", "") if document.text.startswith("---") else ""
    at = 0
    for text in [value] if isinstance(value, str) else value:
        for path in _PATH.findall(text):
            at = max(document.text.find(path, at), at)  # they stand in this order
            yield Claim("relates_to", "relates_to", path.removeprefix("./"), at)


def _task(value: str) -> str:
    match = _TOKEN.match(value)
    assert match is not None
    return (match[1] or match[2]).strip(" .,;")
