"""What a document's sections hold: which are missing, empty or there twice, and where nobody wrote the value yet."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from orchgate.lib.patterns import lazy
from orchgate.markdown.parts import covered, joined
from orchgate.packets.titles import choices, normal, spellings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.markdown.document import Document
    from orchgate.markdown.parts import Heading, Section

APPROVALS = frozenset({"approvals", "approval", "sign off", "sign offs", "signoff", "signoffs"})
_BLANK = lazy(r"[\s*+\-_\[\]]*")  # bullets, boxes and rules without a word
_BEFORE_VALUE = lazy(
    r"[ \t>|]*(?:(?:[-*+]|\d{1,4}[.)])[ \t]+)?(?:\[[ xX]\][ \t]*)?(?:[^:\n|]{1,80}:[*_]*[ \t]*)?[*_(]*"
)


def first_titled(document: Document, required: str) -> Section | None:
    """The first section with one of the titles of `A | B`, at whatever level."""
    titled = _by_title(document)
    found = [titled[title] for title in _wanted(required) if title in titled]
    return min(found, key=lambda section: section.start) if found else None


@lru_cache(maxsize=4)  # the rules of one document ask one after the other
def _by_title(document: Document) -> dict[str, Section]:
    """The first section of each spelling."""
    found: dict[str, Section] = {}
    for section in document.sections:
        for spelling in spellings(section.heading.title):
            found.setdefault(spelling, section)
    return found


@lru_cache(maxsize=128)
def _wanted(required: str) -> tuple[str, ...]:
    return tuple(normal(title) for title in choices(required))


def missing(document: Document, required: tuple[str, ...]) -> list[str]:
    """The required titles that no heading of the document carries."""
    present = _by_title(document)
    return [title for title in required if not any(wanted in present for wanted in _wanted(title))]


def is_empty(document: Document, section: Section) -> bool:
    """Whether nothing but comments, bare bullets and blank space follows the heading; a subsection is something."""
    at = section.heading.body
    if document.text.find("<!--", at, section.end) < 0:
        return at >= section.end or _BLANK.fullmatch(document.text, at, section.end) is not None
    for comment in document.comments:
        if section.heading.body <= comment.offset < section.end:
            if not _BLANK.fullmatch(document.text, at, comment.offset):
                return False
            at = comment.end
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
                exempt = joined((s.start, s.end) for s in document.sections if normal(s.heading.title) in APPROVALS)
            if not covered(exempt, at):
                yield match[0], at


def _begins_value(document: Document, at: int) -> bool:
    start = max(document.text.rfind("\n", 0, at) + 1, at - 200)
    return _BEFORE_VALUE.fullmatch(document.text, start, at) is not None


@lru_cache(maxsize=64)
def _expression(word: str) -> re.Pattern[str]:
    inner = re.escape(word).replace(r"\*", r"[^<>\n]{0,80}")
    return re.compile(rf"\b{inner}(?![\w/-])" if word.isalnum() else inner)
