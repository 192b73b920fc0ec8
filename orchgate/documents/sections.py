"""What a document's sections hold: which are missing, empty or there twice, and where nobody wrote the value yet."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from orchgate.documents.titles import choices, normal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.documents.markdown import Document
    from orchgate.documents.parts import Heading, Section

APPROVALS = frozenset({"approvals", "approval", "sign off", "sign offs", "signoff", "signoffs"})
_BLANK = re.compile(r"[\s*+\-_\[\]]*")  # bullets, boxes and rules without a word
_BEFORE_VALUE = re.compile(r"[ \t>|]*(?:(?:[-*+]|\d{1,4}[.)])[ \t]+)?(?:\[[ xX]\][ \t]*)?(?:[^:\n|]{1,80}:[*_]*[ \t]*)?[*_(]*")


def first_titled(document: Document, required: str) -> Section | None:
    """The first section with one of the titles of `A | B`, at whatever level."""
    wanted = {normal(title) for title in choices(required)}
    return next((section for section in document.sections if normal(section.heading.title) in wanted), None)


def missing(document: Document, required: tuple[str, ...]) -> list[str]:
    """The required titles that no heading of the document carries."""
    present = {normal(heading.title) for heading in document.headings}
    return [title for title in required if present.isdisjoint(normal(choice) for choice in choices(title))]


def is_empty(document: Document, section: Section) -> bool:
    """Whether nothing but comments, bare bullets and blank space follows the heading; a subsection is something."""
    at = section.heading.body
    for comment in document.comments:
        if section.heading.body <= comment.offset < section.end:
            if not _BLANK.fullmatch(document.text, at, comment.offset):
                return False
            at = comment.offset + len(comment.text) + len("<!---->")
    return at >= section.end or _BLANK.fullmatch(document.text, at, section.end) is not None


def duplicates(document: Document) -> Iterator[tuple[Heading, Heading]]:
    """Headings that repeat an earlier one of the same level below the same parent, as (repeated, first)."""
    path: list[tuple[int, str]] = []
    seen: dict[tuple[tuple[int, str], ...], Heading] = {}
    for heading in document.headings:
        while path and path[-1][0] >= heading.level:
            path.pop()
        path.append((heading.level, normal(heading.title)))
        first = seen.setdefault(tuple(path), heading)
        if first is not heading and path[-1][1]:
            yield heading, first


def placeholders(document: Document, words: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """Values that stand for something nobody wrote yet, with their offsets.

    A word such as TBD counts where a value begins (`- Owner: TBD`), a bracket such as `<fill in>` anywhere; neither
    in code, comments and approvals.
    """
    expression = _expression(words)
    if expression is None:
        return
    exempt = [(s.start, s.end) for s in document.sections if normal(s.heading.title) in APPROVALS]
    for match in expression.finditer(document.text):
        at = match.start()
        if any(start <= at < end for start, end in exempt) or document.in_code(at):
            continue
        if match[0][0].isalnum() and not _begins_value(document, at):
            continue
        yield match[0], at


def _begins_value(document: Document, at: int) -> bool:
    start = max(document.text.rfind("\n", 0, at) + 1, at - 200)
    return _BEFORE_VALUE.fullmatch(document.text, start, at) is not None


@lru_cache(maxsize=8)
def _expression(words: tuple[str, ...]) -> re.Pattern[str] | None:
    parts = [
        rf"\b{re.escape(word)}(?![\w/-])" if word.isalnum() else re.escape(word).replace(r"\*", r"[^<>\n]{0,80}")
        for word in words
    ]
    return re.compile("|".join(parts)) if parts else None
