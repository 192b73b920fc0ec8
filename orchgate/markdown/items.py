"""List items of a Markdown text with their boxes and their own text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.lib.patterns import lazy
from orchgate.markdown.blocks import indent_of
from orchgate.markdown.parts import Item

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Iterator

Range = tuple[int, int]

_ITEM = lazy(r"([ \t>]*)([-*+]|\d{1,9}[.)])(?:[ \t]+(?:\[([ xX])\](?=[ \t]|$))?|$)")
_RULE = lazy(r"[ \t]*([-*_])[ \t]*(?:\1[ \t]*){2,}$")
_OTHER_BLOCK = lazy(r"[ \t]*(?:#{1,6}(?:[ \t]|$)|\||>)")


_BLANK = " \t>"
_MARKS = frozenset("-*+0123456789")


class _Open:
    """An item whose end is not known yet."""

    def __init__(self, match: re.Match[str], offset: int, number: int) -> None:
        self.indent = indent_of(match[1].replace(">", " ")) if match[1] else 0
        self.checked = None if match[3] is None else match[3] != " "
        self.offset = offset + match.start(2)
        self.number = number
        self.lines: list[str] = []

    def close(self, end: int) -> Item:
        return Item(self.checked, "\n".join(self.lines).strip(), self.offset, self.indent, end)


def find(text: str, parts: Iterable[Range]) -> list[Item]:
    """The items in order of appearance; fences and comments inside belong to an item but not to its text."""
    done: list[tuple[int, Item]] = []
    stack: list[_Open] = []
    count, after_blank, last_end = 0, False, 0
    for offset, line in _lines(text, parts):
        if not line.strip(_BLANK):
            after_blank = True
            continue
        first = line.lstrip(_BLANK)[:1]
        match = None if first not in _MARKS or _RULE.match(line) else _ITEM.match(line)
        indent = indent_of(match[1].replace(">", " ") if match else line) if line[0] in _BLANK else 0
        lazy = not match and not after_blank and not _OTHER_BLOCK.match(line)
        while stack and not lazy and indent <= stack[-1].indent:
            opened = stack.pop()
            done.append((opened.number, opened.close(last_end)))
        if match:
            stack.append(_Open(match, offset, count))
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
