"""What a document's sections hold: which are missing, empty or there twice, and where nobody wrote the value yet."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from orchgate.documents.titles import choices, normal, spellings
from orchgate.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.documents.markdown import Document
    from orchgate.documents.parts import Heading, Section

APPROVALS = frozenset({"approvals", "approval", "sign off", "sign offs", "signoff", "signoffs"})
_BLANK = lazy(r"[\s*+\-_\[\]]*")  # bullets, boxes and rules without a word
_BEFORE_VALUE = lazy(
    r"[ \t>|]*(?:(?:[-*+]|\d{1,4}[.)])[ \t]+)?(?:\[[ xX]\][ \t]*)?(?:[^:\n|]{1,80}:[*_]*[ \t]*)?[*_(]*"
)


def first_titled(document: Document, required: str) -> Section | None:
    """The first section with one of the titles of `A | B`, at whatever level."""
    wanted = {normal(title) for title in choices(required)}
    return next((s for s in document.sections if not wanted.isdisjoint(spellings(s.heading.title))), None)


def missing(document: Document, required: tuple[str, ...]) -> list[str]:
    """The required titles that no heading of the document carries."""
    present = {spelling for heading in document.headings for spelling in spellings(heading.title)}
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


def duplicates(document: Document) -> list[list[Heading]]:
    """Headings of one level below the same parent that share a title, two or more each."""
    titles = {normal(heading.title) for heading in document.headings}
    if len(titles) == len(document.headings):
        return []  # nearly every document
    path: list[tuple[int, str]] = []
    seen: dict[tuple[tuple[int, str], ...], list[Heading]] = {}
    for heading in document.headings:
        while path and path[-1][0] >= heading.level:
            path.pop()
        path.append((heading.level, normal(heading.title)))
        seen.setdefault(tuple(path), []).append(heading)
    return [headings for place, headings in seen.items() if len(headings) > 1 and place[-1][1]]


def placeholders(document: Document, words: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """Values that stand for something nobody wrote yet, with their offsets.

    A word such as TBD counts where a value begins (`- Owner: TBD`), a bracket such as `<fill in>` anywhere; neither
    in code, comments and approvals.
    """
    exempt: list[tuple[int, int]] | None = None
    for word in words:
        if word.partition("*")[0] not in document.text:
            continue
        for match in _expression(word).finditer(document.text):
            at = match.start()
            if (word[0].isalnum() and not _begins_value(document, at)) or document.in_code(at):
                continue
            if exempt is None:
                exempt = [(s.start, s.end) for s in document.sections if normal(s.heading.title) in APPROVALS]
            if not any(start <= at < end for start, end in exempt):
                yield match[0], at


def _begins_value(document: Document, at: int) -> bool:
    start = max(document.text.rfind("\n", 0, at) + 1, at - 200)
    return _BEFORE_VALUE.fullmatch(document.text, start, at) is not None


@lru_cache(maxsize=64)
def _expression(word: str) -> re.Pattern[str]:
    inner = re.escape(word).replace(r"\*", r"[^<>\n]{0,80}")
    return re.compile(rf"\b{inner}(?![\w/-])" if word.isalnum() else inner)
