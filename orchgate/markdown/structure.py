"""Headings (ATX and Setext) with their sections and the anchors GitHub gives them, and list items with their boxes."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from orchgate.lib.patterns import lazy
from orchgate.markdown.blocks import indent_of
from orchgate.markdown.parts import Heading, ListItem, Section

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Iterator, Sequence

Range = tuple[int, int]

# They begin with a literal newline, which the regex engine finds many times faster than `^`; see _search.
_ATX = lazy(r"\n {0,3}(#{1,6})(?:[ \t]([^\n]*))?(?=\n|\Z)")
_NESTED_ATX = lazy(r"\n[ \t>]*+(?:(?:[-*+]|\d{1,9}[.)])[ \t>]++)*+#{1,6}[ \t]+([^\n]*)")
_UNDERLINE = lazy(r"\n {0,3}(=+|-+)[ \t]*(?=\n|\Z)")
_NO_PARAGRAPH = lazy(
    r"[ \t]*(?:#{1,6}(?:[ \t]|$)|>|[-*+](?:[ \t]|$)|1[.)](?:[ \t]|$)|\||=+[ \t]*$|-+[ \t]*$|<!--)|$| {4}|\t"
)
_RULE = lazy(r" {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$")
_CLOSING = lazy(r"(?:^|(?<=[ \t]))#+$")
_MARKUP = lazy(
    r"(?<!`)`++([^`]+)`++|!?\[([^\[\]]*)\](?:\([^()]*\)|\[[^\[\]]*\])?|<!--[^<>]*-->|</?[A-Za-z][^<>]*>|\\([!-/:-@\[-`{-~])"
)
_EMPHASIS = lazy(r"\*+|~~|(?<![^\W_])_+(?=\S)|(?<=\S)_+(?![^\W_])")
_SPECIAL = lazy(r"[`*_~\[\]<>\\&!]")
_NOT_WORD = lazy(r"[^\w\- ]")
_ID = lazy(r"""<[A-Za-z][^<>]*?\s(?:id|name)\s*=\s*["']?([^"'\s<>]+)""")


def find_headings(text: str, parts: Iterable[Range]) -> Iterator[Heading]:
    """The headings at the top level of the text, in order."""
    seen: dict[str, int] = {}
    for offset, level, raw, end in sorted(_atx_and_setext(text, parts)):
        title, anchor = _title_and_slug(raw)
        yield Heading(level, title, _numbered(anchor, seen), offset, min(end + 1, len(text)))


@lru_cache(maxsize=4096)  # every packet has the same few section titles
def _title_and_slug(raw: str) -> tuple[str, str]:
    title = plain(raw)
    return title, slug(title)


def _atx_and_setext(text: str, parts: Iterable[Range]) -> Iterator[tuple[int, int, str, int]]:
    for start, end in parts:
        for match, shift in _search(_ATX, text, start, end):
            yield match.start(1) + shift, len(match[1]), _opened(match[2] or ""), match.end() + shift
        if text.find("\n=", start, end) >= 0 or text.find("\n-", start, end) >= 0 or text.find("\n ", start, end) >= 0:
            for match in _UNDERLINE.finditer(text, start, end):
                begin = _paragraph_before(text, start, match.start())
                if begin < match.start():
                    raw = text[begin : match.start()]
                    place = begin + len(raw) - len(raw.lstrip())
                    yield place, 1 if match[1][0] == "=" else 2, raw.replace("\n", " "), match.end()


def _opened(raw: str) -> str:
    """What follows the opening `#`s, without the closing ones."""
    return _CLOSING.sub("", raw.strip(" \t")) if "#" in raw else raw


def _search(pattern: re.Pattern[str], text: str, start: int, end: int) -> Iterator[tuple[re.Match[str], int]]:
    """Matches, with what to add to their offsets because the first line of the text has no newline before it."""
    if start == 0:
        stop = text.find("\n", 0, end)
        match = pattern.match("\n" + text[: end if stop < 0 else stop])
        if match:
            yield match, -1
    for match in pattern.finditer(text, start, end):
        yield match, 0


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


def plain(raw: str) -> str:
    """A heading's text as a reader sees it: no emphasis, links, code marks, tags or escapes."""
    if _SPECIAL.search(raw) is None:
        return " ".join(raw.split())
    parts: list[str] = []
    last = 0
    for match in _MARKUP.finditer(raw):
        parts.append(_EMPHASIS.sub("", raw[last : match.start()]))
        parts.append(match[1] or match[3] or plain(match[2] or "") if match[0][0] != "!" else match[2])
        last = match.end()
    text = "".join(parts) + _EMPHASIS.sub("", raw[last:])
    if "&" in text and ";" in text:
        import html

        text = html.unescape(text)
    return " ".join(text.split())


def slug(title: str) -> str:
    """The anchor GitHub makes of a heading: lower case, punctuation dropped, blanks as hyphens."""
    lower = title.lower()
    if lower.isascii():
        return _NOT_WORD.sub("", lower).replace(" ", "-")
    return "".join(filter(_is_word, lower)).replace(" ", "-")


def _is_word(char: str) -> bool:
    if char.isalpha() or char.isdecimal() or char in "-_ ":
        return True
    import unicodedata

    return unicodedata.category(char) in ("Mn", "Mc", "Me", "Pc", "Nl")


def _numbered(anchor: str, seen: dict[str, int]) -> str:
    count = seen.get(anchor, 0)
    seen[anchor] = count + 1
    return f"{anchor}-{count}" if count else anchor


def anchors(text: str, parts: Iterable[Range], headings: Sequence[Heading]) -> frozenset[str]:
    """Everything that `#…` may point at."""
    found = {heading.anchor for heading in headings}
    nested: dict[str, int] = {}
    for start, end in parts:
        for match, _ in _search(_NESTED_ATX, text, start, end):
            found.add(_numbered(_title_and_slug(_opened(match[1]))[1], nested))
        if "<" in text:
            found.update(match[1] for match in _ID.finditer(text, start, end))
    return frozenset(found)


_ITEM = lazy(r"([ \t>]*)([-*+]|\d{1,9}[.)])(?:[ \t]+(?:\[([ xX])\](?=[ \t]|$))?|$)")
_BREAK_LINE = lazy(r"[ \t]*([-*_])[ \t]*(?:\1[ \t]*){2,}$")
_OTHER_BLOCK = lazy(r"[ \t]*(?:#{1,6}(?:[ \t]|$)|\||>)")


_BLANK = " \t>"
_MARKS = frozenset("-*+0123456789")


class _OpenItem:
    """An item whose end is not known yet."""

    def __init__(self, match: re.Match[str], offset: int, number: int) -> None:
        self.indent = indent_of(match[1].replace(">", " ")) if match[1] else 0
        self.checked = None if match[3] is None else match[3] != " "
        self.offset = offset + match.start(2)
        self.number = number
        self.lines: list[str] = []

    def close(self, end: int) -> ListItem:
        return ListItem(self.checked, "\n".join(self.lines).strip(), self.offset, self.indent, end)


def find_items(text: str, parts: Iterable[Range]) -> list[ListItem]:
    """The items in order of appearance; fences and comments inside belong to an item but not to its text."""
    done: list[tuple[int, ListItem]] = []
    stack: list[_OpenItem] = []
    count, after_blank, last_end = 0, False, 0
    for offset, line in _lines(text, parts):
        if not line.strip(_BLANK):
            after_blank = True
            continue
        first = line.lstrip(_BLANK)[:1]
        match = None if first not in _MARKS or _BREAK_LINE.match(line) else _ITEM.match(line)
        indent = indent_of(match[1].replace(">", " ") if match else line) if line[0] in _BLANK else 0
        lazy = not match and not after_blank and not _OTHER_BLOCK.match(line)
        while stack and not lazy and indent <= stack[-1].indent:
            opened = stack.pop()
            done.append((opened.number, opened.close(last_end)))
        if match:
            stack.append(_OpenItem(match, offset, count))
            stack[-1].lines.append(line[match.end() :].strip())
            count += 1
        elif stack:
            stack[-1].lines.append(line.strip())
        after_blank = False
        last_end = offset + len(line)
    done += [(opened.number, opened.close(last_end)) for opened in stack]
    return [item for _, item in sorted(done, key=lambda pair: pair[0])]


def _lines(text: str, parts: Iterable[Range]) -> Iterator[tuple[int, str]]:
    for start, end in parts:
        offset = start
        for line in text[start:end].split("\n"):
            yield offset, line
            offset += len(line) + 1
