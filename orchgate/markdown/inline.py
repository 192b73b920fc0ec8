"""Code spans, inline comments and links in the prose between blocks. Linear time, fast for plain text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orchgate.lib.patterns import lazy
from orchgate.markdown.parts import CodeSpan, Comment, LabelUse, MarkdownLink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

Range = tuple[int, int]

_PLAIN_SPAN = lazy(r"`(?<!\\`)([^`\n]+)`(?!`)")
_RUN = lazy(r"`+|<!--")
# An inline construct does not cross an empty line, or into the next list item, heading or table row.
_BREAK = lazy(r"\n(?=[ \t>]*(?:\n|[-*+][ \t]|\d{1,9}[.)][ \t]|#{1,6}[ \t\n]|\||-{3,}[ \t]*\n|=+[ \t]*\n))")
_HEADING = lazy(r"\n?[ \t>]*#{1,6}[ \t]")
_BRACKET = lazy(r"\\[\\\[\]!]|!?\[|\]")
# Possessive throughout: a megabyte of blanks after `](` is read once.
_GAP = r"[ \t]*+\n?+[ \t]*+"
_DESTINATION = lazy(
    rf"""\({_GAP}(?:<([^<>\n]*)>|((?:(?!<)(?:[^\s()\\]|\\.|\([^\s()]*+\))++)?+))"""
    rf"""(?:{_GAP}(?:"[^"]*"|'[^']*'|\([^()]*\)))?{_GAP}\)"""
)
_DEFINITION = lazy(
    r"^[ >]{0,3}\[([^\[\]\n^][^\[\]\n]*)\]:[ \t]*(?:<([^<>\n]*)>|([^\s<]\S*))"
    r"""(?:[ \t]+(?:"[^"\n]*"|'[^'\n]*'|\([^()\n]*\)))?[ \t]*$""",
    re.MULTILINE,
)
_USE = lazy(r"\[([^\[\]\n^][^\[\]\n]{0,200})\](?:\[([^\[\]\n]{0,200})\])?(?![\[(:])")
_AUTOLINK = lazy(r"<([A-Za-z][A-Za-z0-9+.\-]{1,31}:[^\s<>]*)>")
_HTML_LINK = lazy(r"""<(a|img)\b[^<>]*?\b(?:href|src)=["']([^"'<>]*)["']""", re.IGNORECASE)


def segments(length: int, masks: Iterable[Range]) -> Iterator[Range]:
    """The ranges between the masks."""
    start = 0
    for begin, end in masks:
        if start < begin:
            yield start, begin
        start = end
    if start < length:
        yield start, length


def spans_and_comments(text: str, parts: Iterable[Range]) -> tuple[list[CodeSpan], list[Comment]]:
    spans: list[CodeSpan] = []
    comments: list[Comment] = []
    for start, end in parts:
        ticks = text.count("`", start, end)
        remarks = text.find("<!--", start, end) >= 0
        if not ticks and not remarks:
            continue
        if not remarks:
            plain = [CodeSpan(match[1], match.start()) for match in _PLAIN_SPAN.finditer(text, start, end)]
            # Every backtick found its partner on its own line: nothing can pair across lines.
            if 2 * len(plain) == ticks:
                spans += plain
                continue
        for begin, stop in paragraphs(text, start, end):
            _careful(text, begin, stop, spans, comments)
    return spans, comments


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


def _careful(text: str, start: int, end: int, spans: list[CodeSpan], comments: list[Comment]) -> None:
    """Code spans of any length and inline comments of one paragraph, left to right."""
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
            spans.append(CodeSpan(_content(text[run.end() : closing.start()]), run.end() - length))
            done = closing.end()
            index = places[-1] + 1


def _escaped(text: str, at: int, start: int) -> int:
    """1 when a backslash escapes the character, else 0."""
    before = at
    while before > start and text[before - 1] == "\\":
        before -= 1
    return (at - before) % 2


def _content(raw: str) -> str:
    text = raw.replace("\n", " ")
    return text[1:-1] if len(text) > 2 and text[0] == text[-1] == " " and text.strip(" ") else text


def span_end(text: str, span: CodeSpan) -> int:
    """The offset after the closing backticks."""
    start = span.offset
    end = start + len(span.text) + 1
    if text.startswith("`", end) and not text.startswith("`", start + 1):
        return end + 1  # the usual kind
    while text.startswith("`", start):
        start += 1
    ticks = text[span.offset : start]
    end = start + len(span.text)
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
        found += [
            MarkdownLink(unescape(match[2] or match[3] or ""), match[1], match.start(), image=False)
            for match in defined
        ]
    if angle:
        written = _outside(_AUTOLINK, text, parts, hidden)
        found += [MarkdownLink(match[1], match[1], match.start(), image=False) for match in written]
        tags = _outside(_HTML_LINK, text, parts, hidden)
        found += [MarkdownLink(match[2], "", match.start(), match[1].lower() == "img") for match in tags]
    return sorted(found, key=_offset) if len(found) > 1 else found


def undefined(text: str, parts: Sequence[Range], hidden: Callable[[int], bool]) -> list[LabelUse]:
    """The references to labels that no definition of the text has, in order."""
    if "[" not in text:
        return []
    uses = list(_outside(_USE, text, parts, hidden))
    if not uses:
        return []
    defined = {_folded(match[1]) for match in _outside(_DEFINITION, text, parts, hidden)} if "]:" in text else set()
    found = []
    for match in uses:
        shortcut = match[2] is None
        label = match[2] or match[1]
        if (
            _folded(label) not in defined
            and any(character.isalnum() for character in label)
            and not _is_box(text, match)
        ):
            found.append(LabelUse(match[0], label, match.start(), shortcut))
    return found


def _folded(label: str) -> str:
    return " ".join(label.split()).casefold()


def _is_box(text: str, match: re.Match[str]) -> bool:
    """Whether the first brackets are a checkbox, or an index as in `a[0][1]`, rather than the text of a link."""
    before = text[match.start() - 1 : match.start()]
    return match[1] in (" ", "x", "X") or before.isalnum() or before in ("_", ")", "]", "\\")


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
        yield from (match for match in pattern.finditer(text, start, end) if not hidden(match.start()))


def _inline_links(text: str, start: int, end: int, hidden: Callable[[int], bool], found: list[MarkdownLink]) -> None:
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
        match = _DESTINATION.match(text, token.end(), end) if text.startswith("(", token.end()) else None
        if match is None:
            continue
        image = opener[0] == "!["
        target = unescape(match[1] if match[1] is not None else match[2] or "")
        found.append(MarkdownLink(target, text[opener.end() : token.start()], opener.start(), image))
        done = match.end()
        if not image:  # a link holds no links, but an image may hold one
            openers.clear()


def unescape(target: str) -> str:
    """A destination without Markdown's backslashes; `%20` and the like stay."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", target) if "\\" in target else target
