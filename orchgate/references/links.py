"""The candidate references of a document: code spans, Markdown links, and artifact paths written without backticks."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from orchgate.lib.patterns import lazy
from orchgate.markdown.blocks import line_end

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.markdown.document import Document

_OPENING = lazy(r"[ \t>]*(?:[-*+]|\d{1,9}[.)])[ \t]+(?:\[([ xX])\](?=[ \t]))?")
_BREAK = lazy(r"[ \t>]*(?:#{1,6}[ \t]|\||(?:[-*+]|\d{1,9}[.)])[ \t]|\n|$)")
_MARKER = lazy(r"\bEvidence\b[^:\x01\n]{0,24}:", re.IGNORECASE)
_SPAN = lazy(r"`+[^`]*`+|\[[^\[\]]*\]\([^()]*\)")
_LABEL = lazy(r"\s*[*_]{0,3}[^\x01:]{1,100}:[*_]{0,3}")
_FILLER = lazy(r"(?:[\s,;+&/.\x01]|\band\b|\([^()]*\))*")
_CLAUSE_END = lazy(r"[.;:]\s|\bEvidence\b[^:\x01\n]{0,24}:", re.IGNORECASE)
_GONE = lazy(
    r"\b(?:delet|remov|renam|retir|archiv|drop|moved|mov(?:e|ing) |replac|former|histor|absent|missing|"
    r"no longer|not (?:present|exist|found|created|add)|does not exist|never|without|prun|purg|clean)",
    re.IGNORECASE,
)
_NEAR = 400  # characters before a reference in which a word counts as about it


class Notation(Enum):
    SPAN = "span"
    LINK = "link"
    BARE = "bare"


class Reference(NamedTuple):
    """Something that a document points at. `text` is without the marks around it, `offset` is where these begin."""

    text: str
    offset: int
    written: Notation


class Sentence:
    """A list item or a paragraph, read once for all the references in it.

    `start` and `end` bound it in the document; `checked` is the item's box, None without one.
    """

    def __init__(self, text: str, start: int, end: int) -> None:
        opening = _OPENING.match(text, start, end)
        self.checked = None if opening is None or opening[1] is None else opening[1] != " "
        self.start, self.end = start, end
        self._body = opening.end() if opening else start
        self._held: dict[re.Pattern[str], bool] = {}
        # References are blanked out, so that only words in the prose are found; the length stays the same.
        self.plain = _SPAN.sub(lambda match: "\x01" * len(match[0]), text[self._body : end])
        marker = _MARKER.search(self.plain)
        self._evidence = marker.end() if marker else len(self.plain) + 1
        label = _LABEL.match(self.plain)
        filler = _FILLER.match(self.plain, label.end()) if label else None
        self._status = (label.end(), filler.end()) if label and filler else (1, 0)

    def holds(self, words: re.Pattern[str]) -> bool:
        """Whether one of the words is in the prose; searched once, however many references ask."""
        if words not in self._held:
            self._held[words] = words.search(self.plain) is not None
        return self._held[words]

    def at(self, offset: int) -> Statement:
        here = max(offset - self._body, 0)
        status = self._status[0] <= here <= self._status[1]
        return Statement(self, here, self.checked, here >= self._evidence, status)

    @cached_property
    def clauses(self) -> list[int]:
        """Where clauses begin."""
        return [0, *(match.end() for match in _CLAUSE_END.finditer(self.plain))]

    @cached_property
    def gone(self) -> list[int]:
        """The offsets of words which say that something no longer exists."""
        return [match.start() for match in _GONE.finditer(self.plain)]


class Statement(NamedTuple):
    """What a sentence says about one reference in it.

    `checked` is the item's box, None without one; `evidence`: there is an `Evidence:` before the reference;
    `status`: there are only references between a label's colon and this one.
    """

    sentence: Sentence
    here: int
    checked: bool | None
    evidence: bool
    status: bool

    @property
    def gone(self) -> bool:
        """Whether the clause says that its subject was deleted, moved, or is missing."""
        clauses, gone = self.sentence.clauses, self.sentence.gone
        begin = clauses[bisect_right(clauses, self.here) - 1]
        return bisect_left(gone, begin) < bisect_left(gone, self.here)

    def says(self, words: re.Pattern[str]) -> bool:
        """Whether one of the words is in the label, or shortly before the reference."""
        plain = self.sentence.plain
        near = words.search(plain, max(self.here - _NEAR, 0), self.here)
        return bool(near or words.search(plain, 0, min(100, self.here)))


class Sentences:
    """The sentences of one document; keeps the last one, because references come in order."""

    def __init__(self, document: Document) -> None:
        self._text = document.text
        self._last: Sentence | None = None

    def at(self, offset: int) -> Statement:
        if self._last is None or not self._last.start <= offset < self._last.end:
            start, end = self._bounds(offset)
            self._last = Sentence(self._text, start, end)
        return self._last.at(offset)

    def _bounds(self, offset: int) -> tuple[int, int]:
        text = self._text
        start = text.rfind("\n", 0, offset) + 1
        end = line_end(text, offset)
        while start > 0 and not _BREAK.match(text, start):
            above = text.rfind("\n", 0, start - 1) + 1
            if not text[above : start - 1].strip(" \t>") or text[above] in "#|":
                break
            start = above
        if text[start : start + 1] not in ("#", "|"):
            while end < len(text) and not _BREAK.match(text, end + 1):
                end = line_end(text, end + 1)
        return start, end


class BarePaths:
    """Finds artifact paths in prose. The pattern begins with literal text, which the regex engine finds quickly."""

    def __init__(self, roots: tuple[str, ...]) -> None:
        self._patterns = [self._pattern(re.escape(root.strip("/"))) for root in roots]

    @staticmethod
    def _pattern(root: str) -> re.Pattern[str]:
        return re.compile(rf"{root}/(?<![\w`/.<*-]{root}/)[^\s`<>()\[\]{{}},;\"'|*…]+")

    def find(self, document: Document) -> Iterator[Reference]:
        for pattern in self._patterns:
            for match in pattern.finditer(document.text):
                if not document.text.startswith("](", match.start() - 2) and not document.in_code(match.start()):
                    yield Reference(match[0].rstrip(".:!?_"), match.start(), Notation.BARE)
