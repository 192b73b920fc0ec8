"""What MDX adds to Markdown: `export` statements, expressions in braces, and comments `{/* … */}`.

Code is blanked out, so that `rows[0](row)` is not a link and `{items[0][1]}` not a reference; offsets stay the same. A
brace that is not closed in its paragraph is text.
"""

from __future__ import annotations

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.markdown import blocks, inline
from orchgate.markdown.parts import Comment

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

Range = tuple[int, int]

OPENING, CLOSING = "{/*", "*/}"
_BLOCK_COMMENT = lazy(r"(?:\A|\n)[ \t]*(\{/\*)")
_STATEMENT = lazy(r"\n*export[ \t]+(?:default|const|let|var|function|class|async|[*{])")
_TOKEN = lazy(r"\\[`{}]|`+|\{/\*|[{}]")
_SEEN = lazy(r"[^\n]")
_NAME = lazy(r"\{[ ]?[#:]")  # `{#anchor}` after a heading


def read(text: str, start: int) -> tuple[str, list[Comment]]:
    """The text with the code after the front matter, which ends at `start`, blanked out; and its comments."""
    fences = blocks.find_blocks(text, start, indented_code=False).masks
    comments = list(_block_comments(text, fences))
    hidden = sorted([*fences, *((one.offset, one.end) for one in comments)])
    blank = [(one.offset, one.end) for one in comments]
    for begin, end in inline.segments(len(text), hidden):
        for paragraph in inline.paragraphs(text, begin, end):
            if _STATEMENT.match(text, *paragraph):
                blank.append(paragraph)
            else:
                _Paragraph(text, *paragraph).read(comments, blank)
    return _blanked(text, sorted(blank)), sorted(comments, key=lambda one: one.offset)


def _block_comments(text: str, fences: tuple[Range, ...]) -> Iterator[Comment]:
    """Comments that begin a line; they may hold empty lines."""
    for begin, end in inline.segments(len(text), fences):
        at = begin
        while match := _BLOCK_COMMENT.search(text, at, end):
            close = text.find(CLOSING, match.end(), end)
            if close < 0:
                break
            at = close + len(CLOSING)
            yield _comment(text, match.start(1), close)


def _comment(text: str, at: int, close: int) -> Comment:
    return Comment(text[at + len(OPENING) : close], at, len(OPENING) + len(CLOSING))


class _Paragraph:
    """One paragraph, read once from left to right."""

    def __init__(self, text: str, start: int, end: int) -> None:
        self._text = text
        self._end = end
        self._tokens: Iterator[re.Match[str]] = _TOKEN.finditer(text, start, end)
        self._open: list[int] = []
        self._never = False  # no comment is closed any more
        self._done = start
        self._single: set[int] = set()  # lengths of backtick runs that have no partner

    def read(self, comments: list[Comment], blank: list[Range]) -> None:
        for token in self._tokens:
            at, what = token.start(), token[0]
            if at < self._done or what[0] == "\\":
                continue
            if what[0] == "`":
                if not self._open:
                    self._skip_span(token)
            elif what == "}":
                if self._open:
                    begin = self._open.pop()
                    if not self._open and not _NAME.match(self._text, begin):
                        blank.append((begin, at + 1))
            elif what == OPENING and not self._open and (close := self._close(token)) >= 0:
                comments.append(_comment(self._text, at, close))
                self._done = close + len(CLOSING)
                blank.append((at, self._done))
            else:
                self._open.append(at)

    def _close(self, token: re.Match[str]) -> int:
        close = -1 if self._never else self._text.find(CLOSING, token.end(), self._end)
        self._never = close < 0
        return close

    def _skip_span(self, token: re.Match[str]) -> None:
        """Moves past a code span, in which braces are text."""
        length = len(token[0])
        if length in self._single:
            return
        at = self._text.find(token[0], token.end(), self._end)
        while at >= 0:
            stop = at + length
            while stop < self._end and self._text[stop] == "`":
                stop += 1
            if stop - at == length:
                self._done = stop
                return
            at = self._text.find(token[0], stop, self._end)
        self._single.add(length)


def _blanked(text: str, ranges: list[Range]) -> str:
    parts: list[str] = []
    done = 0
    for begin, end in ranges:
        parts += [text[done:begin], _SEEN.sub(" ", text[begin:end])]
        done = end
    return "".join([*parts, text[done:]])
