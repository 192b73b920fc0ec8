"""The candidate references of a document: code spans, Markdown links, and artifact paths written without backticks."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from functools import cached_property

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, Enum, NamedTuple
from orchgate.markdown.blocks import line_end

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.markdown.document import Document

_OPENING = lazy(r"[ \t>]*(?:[-*+]|\d{1,9}[.)])[ \t]+(?:\[([ xX])\](?=[ \t]))?")
_BREAK = lazy(r"[ \t>]*(?:#{1,6}[ \t]|\||(?:[-*+]|\d{1,9}[.)])[ \t]|\n|$)")
_MARKER = lazy(r"\bEvidence\b[^:\x01\n]{0,24}:", re.IGNORECASE)
# A comment ends before the next one begins, so that many which never end take no longer than one.
_SPAN = lazy(r"`+[^`]*`+|\[[^\[\]]*\]\([^()]*\)|<!--(?:[^<-]|-(?!->)|<(?!!--))*-->")
_LABEL = lazy(r"\s*[*_]{0,3}[^\x01:]{1,100}:[*_]{0,3}")
_FILLER = lazy(r"(?:[\s,;+&/.\x01]|\band\b|\([^()]*\))*")
_CLAUSE_END = lazy(r"[.;:]\s|\bEvidence\b[^:\x01\n]{0,24}:", re.IGNORECASE)
_GONE = lazy(
    r"\b(?:delet|remov|renam|retir|archiv|drop|moved|mov(?:e|ing) |replac|former|histor|absent|missing|"
    r"no longer|not (?:present|exist|found|created|add)|does not exist|never|without|prun|purg|clean)",
    re.IGNORECASE,
)
_NEAR = 400  # characters before a reference in which a word counts as about it


Range = tuple[int, int]


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
        self._text = text
        self._held: dict[re.Pattern[str], bool] = {}

    @cached_property
    def plain(self) -> str:
        """The prose after the bullet. References and comments are blanked out, and the length stays the same."""
        return _SPAN.sub(lambda match: "\x01" * len(match[0]), self._text[self._body : self.end])

    @cached_property
    def evidence(self) -> int:
        """Where in the prose an `Evidence:` ends; after all of it where there is none."""
        marker = _MARKER.search(self.plain)
        return marker.end() if marker else len(self.plain) + 1

    @cached_property
    def status(self) -> Range:
        """Where in the prose nothing but references stands between a label's colon and this one; nowhere: (1, 0)."""
        label = _LABEL.match(self.plain)
        filler = _FILLER.match(self.plain, label.end()) if label else None
        return (label.end(), filler.end()) if label and filler else (1, 0)

    def holds(self, words: re.Pattern[str]) -> bool:
        """Whether one of the words is in the prose; searched once, however many references ask."""
        if words not in self._held:
            self._held[words] = words.search(self.plain) is not None
        return self._held[words]

    def at(self, offset: int) -> Statement:
        return Statement(self, max(offset - self._body, 0))

    @cached_property
    def clauses(self) -> list[int]:
        """Where clauses begin."""
        return [0, *(match.end() for match in _CLAUSE_END.finditer(self.plain))]

    @cached_property
    def gone(self) -> list[int]:
        """The offsets of words which say that something no longer exists."""
        return [match.start() for match in _GONE.finditer(self.plain)]


class Statement(NamedTuple):
    """What a sentence says about one reference in it, which is `here` in its prose."""

    sentence: Sentence
    here: int

    @property
    def checked(self) -> bool | None:
        """The item's box, None without one."""
        return self.sentence.checked

    @property
    def evidence(self) -> bool:
        """Whether there is an `Evidence:` before the reference."""
        return self.here >= self.sentence.evidence

    @property
    def status(self) -> bool:
        """Whether there are only references between a label's colon and this one."""
        begin, end = self.sentence.status
        return begin <= self.here <= end

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


_BARE = lazy(r"[^\s`<>()\[\]{},;\"'|*…]+")
_INSIDE_A_PATH = frozenset("_`/.<*$%@\\-")


class BarePaths:
    """Finds artifact paths in prose."""

    def __init__(self, roots: tuple[str, ...]) -> None:
        self._starts = [root.strip("/") + "/" for root in roots]

    def find(self, document: Document) -> Iterator[Reference]:
        text = document.text
        for start in self._starts:
            at = text.find(start)
            while at >= 0:
                before, match = text[at - 1 : at], _BARE.match(text, at + len(start))
                if match is None or before.isalnum() or before in _INSIDE_A_PATH:
                    at = text.find(start, at + 1)
                    continue
                if not text.startswith("](", at - 2) and not document.in_code(at):
                    yield Reference(text[at : match.end()].rstrip(".:!?_"), at, Notation.BARE)
                at = text.find(start, match.end())
