"""A Markdown document: headings, sections, code spans, links, fences, list items, comments, each with its place.

Not a renderer: it reads as much of CommonMark and GitHub's dialect as the checks need, in linear time, and computes
each kind of part on first use.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import accumulate
from operator import add

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, cached_property
from orchgate.markdown import anchors, blocks, inline
from orchgate.markdown.anchors import Numbering, opened, title_of
from orchgate.markdown.blocks import indent_of
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
    is_mdx,
)
from orchgate.model import Location

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchgate.markdown.parts import Blocks


Range = tuple[int, int]

# A heading by its first line, or the underline of one. It begins with a literal newline, which the regex engine finds
# many times faster than `^`; `_FIRST` is for the first line of a text, which has none before it.
_FIRST = lazy(r" {0,3}(#{1,6})(?:[ \t]([^\n]*))?(?=\n|\Z)")
_HEADING = lazy(r"\n {0,3}(?:(#{1,6})(?:[ \t]([^\n]*))?|(=+|-+)[ \t]*)(?=\n|\Z)")
_NO_PARAGRAPH = lazy(
    r"[ \t]*(?:#{1,6}(?:[ \t]|$)|>|[-*+](?:[ \t]|$)|1[.)](?:[ \t]|$)|\||=+[ \t]*$|-+[ \t]*$|<!--)|$| {4}|\t"
)
_ITEM_START = lazy(r" *(?:[-*+]|\d{1,9}[.)]) {1,4}(?! )")
_FARTHEST = 500  # lines above an indented heading in which its list item is looked for
# What looks like the first lines of a setext heading and is none of its text.
_DEFINITIONS = lazy(r"\A(?: {0,3}\[[^\[\]\n^][^\[\]\n]*\]:[ \t]*\S+[ \t]*\n)+(?=.)", re.DOTALL)
_RULE = lazy(r" {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$")


def find_headings(text: str, parts: Iterable[Range]) -> list[Heading]:
    """The headings at the top level of the text, in order."""
    found: list[Heading] = []
    anchor_of, length = Numbering().next, len(text)
    for offset, level, raw, end in _atx_and_setext(text, parts):
        title, body = title_of(raw), end + 1 if end < length else length
        found.append(Heading(level, title.text, title.id or anchor_of(title.slug), offset, body, raw))
    return found


def _atx_and_setext(text: str, parts: Iterable[Range]) -> list[tuple[int, int, str, int]]:
    """Offset, level, Markdown and end of each heading, in order."""
    found: list[tuple[int, int, str, int]] = []
    for start, end in parts:
        first = _FIRST.match(text, 0, end) if start == 0 else None
        if first:
            found.append((first.start(1), len(first[1]), opened(first[2] or ""), first.end()))
        for match in _HEADING.finditer(text, start, end):
            marks, raw, underline = match.groups()
            if underline:
                found += _setext(text, start, match)
                continue
            offset, line = match.start(1), match.start()
            if offset == line + 1 or not _in_item(text, line, offset - line - 1):
                found.append((offset, len(marks), opened(raw) if raw else "", match.end()))
    found.sort()
    return found


def _setext(text: str, start: int, match: re.Match[str]) -> Iterator[tuple[int, int, str, int]]:
    begin = _paragraph_before(text, start, match.start())
    if begin < match.start():
        raw = _DEFINITIONS.sub("", text[begin : match.start()])
        place = match.start() - len(raw.lstrip())
        yield place, 1 if match[3][0] == "=" else 2, _unindented(raw), match.end()


def _in_item(text: str, line: int, indent: int) -> bool:
    """Whether a line that ends before `line` and is less indented opens a list item that the indented line is in."""
    for _ in range(_FARTHEST):
        if line <= 0:
            return False
        above = text.rfind("\n", 0, line) + 1
        content = text[above : min(line, above + 2 * indent + 12)]
        if content.strip() and indent_of(content) < indent:
            marker = _ITEM_START.match(content)
            return marker is not None and len(marker[0]) <= indent
        line = above - 1
    return False


def _unindented(raw: str) -> str:
    """The lines of a paragraph without the blanks around them."""
    return "\n".join(line.strip(" \t") for line in raw.split("\n"))


def _paragraph_before(text: str, start: int, end: int) -> int:
    """Where the paragraph begins whose last line ends at `end`; `end` itself when none does."""
    begin = end
    while begin > start:
        line = text.rfind("\n", start, begin - (begin < end)) + 1 or start
        content = text[line : begin - (begin < end)]
        if _RULE.match(content):
            break
        if _NO_PARAGRAPH.match(content):
            nested = content.strip()[:1] in ("-", "*", "+", ">", "1") and len(content.strip()) > 1
            return end if nested else begin
        if line >= begin:
            break
        begin = line
    return begin


def sections(headings: Sequence[Heading], length: int) -> list[Section]:
    ends = [length] * len(headings)
    opened: list[int] = []
    for index, heading in enumerate(headings):
        while opened and headings[opened[-1]].level >= heading.level:
            ends[opened.pop()] = heading.offset
        opened.append(index)
    return [Section(heading, heading.body, end) for heading, end in zip(headings, ends, strict=True)]


_ITEM = lazy(r"([ \t>]*)([-*+]|\d{1,9}[.)])(?:[ \t]+(?:\[([ xX])\](?=[ \t]|$))?|$)")

_BLANK = " \t>"
_MARKS = frozenset("-*+0123456789")


class _OpenItem:
    """An item whose end is not known yet; `number` is its place among all."""

    __slots__ = ("checked", "indent", "lines", "number", "offset")

    def __init__(self, match: re.Match[str], offset: int, number: int) -> None:
        blank, _, box = match.groups()
        self.indent = indent_of(blank.replace(">", " ")) if blank else 0
        self.checked = None if box is None else box != " "
        self.offset = offset + len(blank)
        self.number = number
        self.lines = [match.string[match.end() :].strip()]

    def close(self, end: int) -> ListItem:
        text = "\n".join(self.lines).strip() if self.lines[1:] else self.lines[0]
        return ListItem(self.checked, text, self.offset, self.indent, end)


def find_items(text: str, parts: Iterable[Range]) -> list[ListItem]:
    """The items in order of appearance; fences and comments inside belong to an item but not to its text."""
    found: list[ListItem] = []
    stack: list[_OpenItem] = []
    after_blank, last_end = False, 0
    for offset, line in _lines(text, parts):
        first = line.lstrip(_BLANK)[:1]
        if not first:
            after_blank = True
            continue
        match = None if first not in _MARKS or _is_rule(line) else _ITEM.match(line)
        indent = indent_of(match[1].replace(">", " ") if match else line) if line[0] in _BLANK else 0
        lazy = not match and not after_blank and not _is_other_block(line)
        while stack and not lazy and indent <= stack[-1].indent:
            opened = stack.pop()
            found[opened.number] = opened.close(last_end)
        if match:
            stack.append(_OpenItem(match, offset, len(found)))
            found.append(_STILL_OPEN)
        elif stack:
            stack[-1].lines.append(line.strip())
        after_blank = False
        last_end = offset + len(line)
    for opened in stack:
        found[opened.number] = opened.close(last_end)
    return found


_STILL_OPEN = ListItem(None, "", 0, 0, 0)


def _is_rule(line: str) -> bool:
    """Whether a line is a thematic break, such as `- - -`."""
    if line[-1:] not in "-*_ \t":
        return False  # as nearly all
    marks = line.replace(" ", "").replace("\t", "")
    return len(marks) > 2 and marks[0] in "-*_" and not marks.strip(marks[0])


def _is_other_block(line: str) -> bool:
    """Whether a line begins a heading, a table row or a quote."""
    text = line.lstrip(" \t")
    after = text.lstrip("#")
    return text[:1] in ("|", ">") or (0 < len(text) - len(after) <= 6 and after[:1] in ("", " ", "\t"))


def _lines(text: str, parts: Iterable[Range]) -> Iterator[tuple[int, str]]:
    for start, end in parts:
        offset = start
        for line in text[start:end].split("\n"):
            yield offset, line
            offset += len(line) + 1


# A Markdown document: headings, sections, code spans, links, fences, list items, comments, each with its place.
#
# Not a renderer: it reads as much of CommonMark and GitHub's dialect as the checks need, in linear time, and computes
# each kind of part on first use.


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
        self._counted = (0, 0)  # an offset, and the line ends in front of it
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
        return tuple(find_headings(self.text, self._segments))

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        return tuple(sections(self.headings, len(self.text)))

    @cached_property
    def anchors(self) -> frozenset[str]:
        """What `#…` may point at here: anchors of headings, also of those in quotes and lists, and ids."""
        found = anchors.anchors(self.text, self._segments, self.headings, self._in_span_or_comment)
        return found.union(anchors.named_by(comment.text for comment in self.comments)) if self.comments else found

    @cached_property
    def items(self) -> tuple[ListItem, ...]:
        return tuple(find_items(self.text, self._segments))

    @cached_property
    def _line_starts(self) -> list[int]:
        lines = self.text.split("\n")
        return list(map(add, accumulate(map(len, lines), initial=0), range(len(lines))))

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column, from 1."""
        text = self.text
        if len(text) <= SHORT:
            before, lines = self._counted if self._counted[0] <= offset else (0, 0)
            lines += text.count("\n", before, offset)
            self._counted = (offset, lines)  # most ask for one place after the other
            return lines + 1, offset - text.rfind("\n", 0, offset)
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
