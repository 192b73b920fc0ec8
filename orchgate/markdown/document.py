"""A Markdown document: headings, sections, code spans, links, fences, list items, comments, each with its place.

Not a renderer: it reads as much of CommonMark and GitHub's dialect as the checks need, in linear time, and computes
each kind of part on first use.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from itertools import accumulate
from operator import add

from orchgate.lib.typed import TYPE_CHECKING
from orchgate.markdown import anchors, blocks, inline, structure
from orchgate.markdown.names import is_mdx
from orchgate.markdown.parts import (
    CodeSpan,
    Comment,
    Fence,
    Heading,
    LabelUse,
    ListItem,
    MarkdownLink,
    Section,
    covered,
)
from orchgate.model import Location

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.markdown.parts import Blocks


def decode(data: bytes) -> str:
    """The text of a document's bytes, with LF line ends; what is not UTF-8 becomes surrogates."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", "replace")
    else:
        text = data.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


SHORT = 30_000  # characters among which lines are counted faster than they are listed, as few places are asked for


class Document:
    """One document of the tree. Offsets count characters of `text`, which is `source` with MDX's code blanked out."""

    def __init__(self, path: str, data: bytes) -> None:
        self.path = path
        self.source = self.text = decode(data)
        self._mdx: list[Comment] = []
        if is_mdx(path):
            from orchgate.markdown import mdx

            self.text, self._mdx = mdx.read(self.source, blocks.front_matter_end(self.source))

    def __repr__(self) -> str:
        return f"Document({self.path!r})"

    @cached_property
    def front_matter(self) -> Mapping[str, str | list[str]]:
        return blocks.parse_front_matter(self.text[: self._body]) if self._body else {}

    @cached_property
    def _body(self) -> int:
        return blocks.front_matter_end(self.text)

    @cached_property
    def _blocks(self) -> Blocks:
        return blocks.find_blocks(self.text, self._body, indented_code=not is_mdx(self.path))

    @cached_property
    def _segments(self) -> tuple[tuple[int, int], ...]:
        return tuple(inline.segments(len(self.text), self._blocks.masks))

    @cached_property
    def _inline(self) -> tuple[inline.Spans, list[Comment]]:
        return inline.spans_and_comments(self.text, self._segments)

    @property
    def fences(self) -> tuple[Fence, ...]:
        return self._blocks.fences

    @cached_property
    def spans(self) -> tuple[CodeSpan, ...]:
        return tuple(map(CodeSpan, *self._inline[0]))

    @property
    def code(self) -> inline.Spans:
        """The code spans again, for loops over those of a large tree."""
        return self._inline[0]

    @cached_property
    def comments(self) -> tuple[Comment, ...]:
        """Block and inline comments, in order."""
        if "<!--" not in self.text:
            return tuple(self._mdx)
        every = (*self._blocks.comments, *self._inline[1], *self._mdx)
        return tuple(sorted(every, key=lambda comment: comment.offset))

    @cached_property
    def links(self) -> tuple[MarkdownLink, ...]:
        return tuple(inline.links(self.text, self._segments, self._in_span_or_comment))

    @cached_property
    def undefined(self) -> tuple[LabelUse, ...]:
        """References to labels that the document does not define."""
        return tuple(inline.undefined(self.text, self._segments, self._in_span_or_comment))

    @cached_property
    def _remarks(self) -> list[tuple[int, int]]:
        return [(comment.offset, comment.end) for comment in self._inline[1]]

    def _in_span_or_comment(self, offset: int) -> bool:
        texts, offsets = self._inline[0]
        index = bisect_right(offsets, offset) - 1
        if index >= 0 and offset < inline.span_end(self.text, texts[index], offsets[index]):
            return True
        return bool(self._remarks) and covered(self._remarks, offset)

    @cached_property
    def headings(self) -> tuple[Heading, ...]:
        return tuple(structure.find_headings(self.text, self._segments))

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        return tuple(structure.sections(self.headings, len(self.text)))

    @cached_property
    def anchors(self) -> frozenset[str]:
        """What `#…` may point at here: anchors of headings, also of those in quotes and lists, and ids."""
        found = anchors.anchors(self.text, self._segments, self.headings, self._in_span_or_comment)
        return found.union(anchors.named_by(comment.text for comment in self.comments)) if self.comments else found

    @cached_property
    def items(self) -> tuple[ListItem, ...]:
        return tuple(structure.find_items(self.text, self._segments))

    @cached_property
    def _line_starts(self) -> list[int]:
        lines = self.text.split("\n")
        return list(map(add, accumulate(map(len, lines), initial=0), range(len(lines))))

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column, from 1."""
        if len(self.text) <= SHORT:
            return self.text.count("\n", 0, offset) + 1, offset - self.text.rfind("\n", 0, offset)
        line = bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def location(self, offset: int) -> Location:
        return Location(self.path, *self.position(offset))

    def line(self, offset: int) -> str:
        """The line that holds an offset, without its end."""
        start = self.text.rfind("\n", 0, offset) + 1
        return self.text[start : blocks.line_end(self.text, offset)]

    def hidden(self, offset: int) -> bool:
        """Whether an offset lies in front matter, a fence, indented code or a block comment."""
        return covered(self._blocks.masks, offset)

    def in_code(self, offset: int) -> bool:
        """Whether an offset is not prose: hidden as above, or in a code span or an inline comment."""
        return self.hidden(offset) or self._in_span_or_comment(offset)
