"""Code spans, inline comments and links in the prose between blocks. Linear time, fast for plain text."""

from __future__ import annotations

import re
from itertools import accumulate
from operator import add

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.markdown.parts import Comment, LabelUse, MarkdownLink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

Range = tuple[int, int]

_RUN = lazy(r"`+|<!--")
# An inline construct does not cross an empty line, or into the next list item, heading or table row.
_BREAK = lazy(r"\n(?=[ \t>]*(?:\n|[-*+][ \t]|\d{1,9}[.)][ \t]|#{1,6}[ \t\n]|\||-{3,}[ \t]*\n|=+[ \t]*\n))")
_HEADING = lazy(r"\n?[ \t>]*#{1,6}[ \t]")
_WORD = lazy(r"[^\W_]")
_BRACKET = lazy(r"\\[\\\[\]!]|!?\[|\]")
_DEFINITION = lazy(
    r"^[ >]{0,3}\[([^\[\]\n^][^\[\]\n]*)\]:[ \t]*(?:<([^<>\n]*)>|([^\s<]\S*))"
    r"""(?:[ \t]+(?:"[^"\n]*"|'[^'\n]*'|\([^()\n]*\)))?[ \t]*$""",
    re.MULTILINE,
)
_USE = lazy(r"\[([^\[\]\n^][^\[\]\n]{0,200})\](?:\[(?!\^)([^\[\]\n]{0,200})\])?(?!\[(?!\^)|[(:])")
_TAG_START = lazy(r"<[A-Za-z]")  # most angle brackets open comments
_AUTOLINK = lazy(r"<([A-Za-z][A-Za-z0-9+.\-]{1,31}:[^\s<>]*)>")
# `:href`, `v-bind:href` and `data-src` are other attributes; they hold code or names.
_HTML_LINK = lazy(
    r"""<(?<!\\<)(a|img)(?=\s)[^<>]*?\s(?:href|src)\s{0,9}=\s{0,9}(?:"([^"<>]*)"|'([^'<>]*)'|([^\s"'`=<>{}]+))""",
    re.IGNORECASE,
)


def segments(length: int, masks: Iterable[Range]) -> Iterator[Range]:
    """The ranges between the masks."""
    start = 0
    for begin, end in masks:
        if start < begin:
            yield start, begin
        start = end
    if start < length:
        yield start, length


class Spans(NamedTuple):
    """Code spans, as their texts and the offsets of their backticks; most are only looked up by their text."""

    texts: list[str]
    offsets: list[int]


def spans_and_comments(text: str, parts: Iterable[Range]) -> tuple[Spans, list[Comment]]:
    spans = Spans([], [])
    comments: list[Comment] = []
    for start, end in parts:
        remarks = text.find("<!--", start, end) >= 0
        if not remarks and _plain_spans(text, start, end, spans):
            continue
        for begin, stop in paragraphs(text, start, end):
            _careful(text, begin, stop, spans, comments)
    return spans, comments


def _plain_spans(text: str, start: int, end: int, spans: Spans) -> bool:
    """Whether every backtick has its partner on its own line, so that nothing pairs across lines; adds the spans."""
    pieces = text[start:end].split("`")
    if len(pieces) == 1:
        return True
    inside = pieces[1::2]
    plain = len(pieces) % 2 == 1 and "" not in inside and "" not in pieces[2:-1:2] and "\n" not in "".join(inside)
    if not plain or ("\\" in text and text.find("\\`", start, end) >= 0):
        return False
    spans.texts.extend(inside)
    # The piece before a span ends at its backtick, and each span in front of it took two backticks more.
    spans.offsets.extend(map(add, list(accumulate(map(len, pieces)))[::2], range(start, start + len(pieces) - 1, 2)))
    return True


def paragraphs(text: str, start: int, end: int) -> Iterator[Range]:
    """Ranges that inline constructs do not leave."""
    for match in _BREAK.finditer(text, start, end):
        yield from _heading_apart(text, start, match.start())
        start = match.start()
    yield from _heading_apart(text, start, end)


def _heading_apart(text: str, start: int, end: int) -> Iterator[Range]:
    if _HEADING.match(text, start, end):
        stop = text.find("\n", start + 1, end)
        if stop >= 0:
            yield start, stop
            start = stop
    yield start, end


def _careful(text: str, start: int, end: int, spans: Spans, comments: list[Comment]) -> None:
    """Code spans of any length and inline comments of one paragraph, left to right."""
    from orchgate.markdown.inline_text import code_content  # most documents have the usual spans alone

    runs = list(_RUN.finditer(text, start, end))
    later: dict[int, list[int]] = {}  # length of a backtick run -> its places in `runs`, last one first
    for index in range(len(runs) - 1, -1, -1):
        if runs[index][0] != "<!--":
            later.setdefault(len(runs[index][0]), []).append(index)
    index, done, closable = 0, start, True
    while index < len(runs):
        run = runs[index]
        index += 1
        if run.start() < done:
            continue
        if run[0] == "<!--":
            close = text.find("-->", run.start() + 2, end) if closable else -1
            if close >= 0:
                comments.append(Comment(text[run.end() : close], run.start()))
                done = close + 3
            else:
                closable = False
            continue
        length = len(run[0]) - _escaped(text, run.start(), start)
        places = later.get(length, [])
        while places and places[-1] < index:
            places.pop()
        if length and places:
            closing = runs[places[-1]]
            spans.texts.append(code_content(text[run.end() : closing.start()]))
            spans.offsets.append(run.end() - length)
            done = closing.end()
            index = places[-1] + 1


def _escaped(text: str, at: int, start: int) -> int:
    """1 when a backslash escapes the character, else 0."""
    before = at
    while before > start and text[before - 1] == "\\":
        before -= 1
    return (at - before) % 2


def span_end(text: str, content: str, offset: int) -> int:
    """The offset after the closing backticks of the span that begins at another one."""
    start = offset
    end = start + len(content) + 1
    if text.startswith("`", end) and not text.startswith("`", start + 1):
        return end + 1  # the usual kind
    while text.startswith("`", start):
        start += 1
    ticks = text[offset:start]
    end = start + len(content)
    return (end if text.startswith(ticks, end) else end + 2) + len(ticks)  # +2: one blank on each side was dropped


def links(text: str, parts: Sequence[Range], hidden: Callable[[int], bool]) -> list[MarkdownLink]:
    """All links of the ranges, in order; `hidden` says whether an offset is in a code span or comment."""
    found: list[MarkdownLink] = []
    bracket, angle = "[" in text, "<" in text  # searching for one character is several times faster than for two
    if bracket and "](" in text:
        for begin, stop in _with_brackets(text, parts):
            _inline_links(text, begin, stop, hidden, found)
    if bracket and "]:" in text:
        defined = _outside(_DEFINITION, text, parts, hidden)
        found += [MarkdownLink(unescape(match[2] or match[3] or ""), match[1], match.start()) for match in defined]
    if angle and _TAG_START.search(text) is not None:
        written = _outside(_AUTOLINK, text, parts, hidden)
        found += [MarkdownLink(match[1], match[1], match.start()) for match in written]
        from orchgate.markdown.inline_text import unescaped

        tags = _outside(_HTML_LINK, text, parts, hidden)
        found += [
            MarkdownLink(unescaped(match[2] or match[3] or match[4] or "").strip(), "", match.start()) for match in tags
        ]
    return sorted(found, key=_offset) if len(found) > 1 else found


def undefined(text: str, parts: Sequence[Range], hidden: Callable[[int], bool]) -> list[LabelUse]:
    """The references to labels that no definition of the text has, in order."""
    if "[" not in text:
        return []
    if "](" not in text and text.count("[") == text.count("[ ] ") + text.count("[x] "):
        return []  # boxes at most
    found = (match for start, end in parts for match in _USE.finditer(text, start, end))
    uses = [match for match in found if _is_label(text, match) and not hidden(match.start())]
    if not uses:
        return []
    defined = {_folded(match[1]) for match in _outside(_DEFINITION, text, parts, hidden)} if "]:" in text else set()
    unknown = [match for match in uses if _folded(match[2] or match[1]) not in defined]
    return [LabelUse(match[0], match[2] or match[1], match.start(), match[2] is None) for match in unknown]


def _folded(label: str) -> str:
    return " ".join(label.split()).casefold()


def _is_label(text: str, match: re.Match[str]) -> bool:
    """Whether brackets hold a label, and no checkbox, index as in `a[0][1]`, or marks such as `[...]`."""
    if match[1] in (" ", "x", "X"):
        return False
    before = text[match.start() - 1 : match.start()]
    return (
        not before.isalnum() and before not in ("_", ")", "]", "\\") and _WORD.search(match[2] or match[1]) is not None
    )


def _with_brackets(text: str, parts: Iterable[Range]) -> Iterator[Range]:
    """The paragraphs that hold a `](`; looked for around each, as most paragraphs hold none."""
    for start, end in parts:
        at = text.find("](", start, end)
        while at >= 0:
            begin = max(text.rfind("\n", start, at), start)
            while begin > start and not _BREAK.match(text, begin, end):
                begin = max(text.rfind("\n", start, begin), start)
            stop = text.find("\n", at, end)
            while stop >= 0 and not _BREAK.match(text, stop, end):
                stop = text.find("\n", stop + 1, end)
            stop = end if stop < 0 else stop
            yield from (part for part in _heading_apart(text, begin, stop) if text.find("](", *part) >= 0)
            at = text.find("](", stop, end)


def _offset(link: MarkdownLink) -> int:
    return link.offset


def _outside(
    pattern: re.Pattern[str], text: str, parts: Iterable[Range], hidden: Callable[[int], bool]
) -> Iterator[re.Match[str]]:
    for start, end in parts:
        for match in pattern.finditer(text, start, end):
            if not hidden(match.start()):
                yield match


def _inline_links(text: str, start: int, end: int, hidden: Callable[[int], bool], found: list[MarkdownLink]) -> None:
    from orchgate.markdown.inline_text import DESTINATION

    openers: list[re.Match[str]] = []
    done = start
    for token in _BRACKET.finditer(text, start, end):
        if token.start() < done or hidden(token.start()) or token[0][0] == "\\":
            continue
        if token[0] != "]":
            openers.append(token)
            continue
        if not openers:
            continue
        opener = openers.pop()
        match = DESTINATION.match(text, token.end(), end) if text.startswith("(", token.end()) else None
        if match is None:
            continue
        target = unescape(match[1] if match[1] is not None else match[2] or "")
        found.append(MarkdownLink(target, text[opener.end() : token.start()], opener.start()))
        done = match.end()
        if opener[0] != "![":  # a link holds no links, but an image may hold one
            openers.clear()


def unescape(target: str) -> str:
    """A destination without Markdown's backslashes and HTML's entities; `%20` and the like stay."""
    from orchgate.markdown.inline_text import unescaped

    return unescaped(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", target) if "\\" in target else target)
